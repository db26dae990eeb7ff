// The universe of a session: the largest tickers by dollar volume, or those that are gone since.

import { ask, askRows, tableAddress } from "./client.js";
import { element, replace } from "./dom.js";
import { compact, decimals, NONE, plural, whole } from "./format.js";
import { optionOf } from "./markets.js";
import { Part } from "./part.js";

const SHOWN = 100;
const PATH = "api/v1/universe";

// Heading, content of a cell, and true for numbers; of the largest tickers, and of those that are gone.
const NAMES = [
  ["Name", (row) => row.name ?? NONE, false],
  ["Type", (row) => row.type ?? NONE, false],
  ["First session", (row) => row.first_session, false],
  ["Last session", (row) => row.last_session, false],
];
const LARGEST = [
  ["Ticker", (row) => row.ticker ?? row.symbol, false],
  ...NAMES,
  ["Price", (row) => row.price.toFixed(decimals(row.price)), true],
  ["Dollar volume", (row) => compact(row.dollar_volume), true],
];
const GONE = [["Ticker", (row) => row.ticker ?? row.symbol, false], ["Symbol here", (row) => row.symbol, false], ...NAMES];

export class Universe {
  constructor() {
    this.part = new Part("universe");
    this.form = this.part.section.querySelector("form");
    this.table = this.part.body.querySelector(".scroll");
    this.form.addEventListener("change", () => this.show());
    this.form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Shows the newest session of the first market, until another one is chosen. `months`: of listings_by_month. */
  async refresh(months) {
    const markets = [...new Set(months.map((row) => row.market))];
    this.part.section.hidden = markets.length === 0;
    if (markets.length === 0) return null;
    const { market, date } = this.form.elements;
    if (market.options.length !== markets.length) {
      market.replaceChildren(...markets.map((name) => element("option", { value: name }, optionOf(name))));
    }
    return date.value ? null : this.open(market.value);
  }

  /** Shows the universe of a month's last session that is stored whole; without a month, of the newest. */
  async open(name, month) {
    const { market, date } = this.form.elements;
    market.value = name;
    const until = month === undefined ? [] : [["date", `lt.${nextMonth(month)}`]];
    const conditions = [["market", `eq.${name}`], ["loaded_at", "is.not_null"], ...until, ["order", "date.desc"], ["limit", "1"]];
    const error = await this.part.show(
      () => ask(tableAddress("market_sessions", conditions)),
      ({ data: [session] }) => void (date.value = session.date),
    );
    return error ?? this.show();
  }

  show() {
    const { market, date, shown } = this.form.elements;
    if (!date.value) return null;
    const request = { market: market.value, day: date.value, gone: shown.value === "gone" };
    return this.part.show(
      async () => ({ ...request, rows: await (request.gone ? askGone(request) : askLargest(request)), ...(await askSession(request)) }),
      (data) => this.render(data),
      { fresh: true },
    );
  }

  render({ market, day, gone, rows, tickers }) {
    this.part.section.dataset.rows = rows.length;
    this.part.section.dataset.date = day;
    const kind = gone ? `${rows.length < SHOWN ? whole(rows.length) : `${SHOWN} or more`} gone since` : `the ${whole(rows.length)} largest`;
    this.part.section.querySelector(".count").textContent = `${plural(tickers, "ticker")} traded; ${kind}`;
    if (rows.length === 0) return "Of those that traded on that session, none is gone.";
    replace(this.table, drawTable(gone ? GONE : LARGEST, rows));
    const query = new URLSearchParams({ date: day, market: optionOf(market), format: "csv" });
    const link = element("a", { href: `${PATH}?${query}` }, "All tickers of the session as CSV");
    replace(this.part.body.querySelector(".downloads"), link);
    return undefined;
  }
}

async function askLargest({ market, day }) {
  const query = new URLSearchParams({ date: day, market: optionOf(market), order: "dollar_volume", limit: SHOWN });
  return (await ask(`${PATH}?${query}`)).data;
}

function askGone({ market, day }) {
  const conditions = [
    ["market", `eq.${market}`],
    ["state", "eq.ended"],
    ["first_session", `lte.${day}`],
    ["last_session", `gte.${day}`],
    ["order", "last_session.asc,symbol.asc"],
    ["limit", SHOWN],
  ];
  return ask(tableAddress("listings", conditions)).then(({ data }) => data);
}

/** The session's number of tickers; the largest of a session that isn't stored whole are an error with the reason. */
async function askSession({ market, day }) {
  const [session] = await askRows(tableAddress("market_sessions", [["market", `eq.${market}`], ["date", `eq.${day}`]]));
  return { tickers: session?.tickers ?? 0 };
}

const nextMonth = (month) => {
  const [year, number] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number, 1)).toISOString().slice(0, 10);
};

function drawTable(columns, rows) {
  const headings = columns.map(([name, , numeric]) => element("th", { scope: "col", class: numeric ? "number" : null }, name));
  return element(
    "table",
    {},
    element("caption", { class: "hidden" }, "Tickers of the session"),
    element("thead", {}, element("tr", {}, ...headings)),
    element("tbody", {}, ...rows.map((row) => drawRow(columns, row))),
  );
}

function drawRow([[, first], ...others], row) {
  const cells = others.map(([, show, numeric]) => element("td", { class: numeric ? "number" : null }, show(row)));
  return element("tr", {}, element("th", { scope: "row" }, first(row)), ...cells);
}

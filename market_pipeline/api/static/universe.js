// The universe of a session: the largest tickers by dollar volume, or those that are gone since.

import { fetchJson, fetchRows, tableAddress } from "./client.js";
import { element, prose, replace } from "./dom.js";
import { compact, decimals, decode, NONE, plural, whole } from "./format.js";
import { optionOf } from "./markets.js";
import { Part } from "./part.js";

const HASH = /^#universe(?:\/([^/?]+))?$/;
const NO_SESSION =
  "No session of a whole market is stored yet: `market-pipeline market track us-stocks` tracks one, and `market-pipeline market backfill us-stocks` fetches its sessions.";
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

// The vendor's type codes. A ticker whose type isn't known has none of them; the API's note counts those.
const TYPES = {
  CS: "Common stock", ADRC: "Depositary receipt", PFD: "Preferred stock", ETF: "ETF", ETN: "Exchange-traded note", ETV: "Exchange-traded vehicle",
  ETS: "Single-security ETF", FUND: "Closed-end fund", UNIT: "Unit", RIGHT: "Right", WARRANT: "Warrant", SP: "Structured product",
};

export class Universe {
  constructor() {
    this.part = new Part("universe");
    this.form = this.part.section.querySelector("form");
    this.table = this.part.body.querySelector(".scroll");
    this.more = this.part.body.querySelector(".more");
    const types = Object.entries(TYPES).map(([code, title]) => element("option", { value: code }, `${title} (${code})`));
    this.form.elements.type.replaceChildren(element("option", { value: "" }, "All"), ...types);
    this.form.addEventListener("change", () => this.show());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("click", ({ target }) => this.stepped(target.className));
    this.more.addEventListener("click", () => this.showMore());
    this.months = null;
    addEventListener("hashchange", () => this.navigated());
  }

  /**
   * Shows the session in the address, or the newest of the first market, until another one is chosen. Without a market the part is
   * hidden, unless the address is its own. `months`: of listings_by_month.
   */
  async refresh(months) {
    this.months = months;
    const markets = [...new Set(months.map((row) => row.market))];
    const day = parseHash(location.hash);
    this.form.hidden = markets.length === 0;
    this.part.section.hidden = markets.length === 0 && day === null;
    if (markets.length === 0) return this.part.section.hidden ? null : this.part.show(() => null, () => NO_SESSION);
    const { market, date } = this.form.elements;
    if (market.options.length !== markets.length) {
      market.replaceChildren(...markets.map((name) => element("option", { value: name }, optionOf(name))));
    }
    if (date.value) return null;
    return day ? this.openDay(day) : this.open(market.value);
  }

  async navigated() {
    const day = parseHash(location.hash);
    if (day === null || this.months === null) return;
    const isOpen = this.months.length > 0;
    const shown = isOpen && day ? this.openDay(day) : this.refresh(this.months);
    this.revealAddressed();
    await shown;
  }

  /** Scrolls to the part if the address is one of it. */
  revealAddressed() {
    if (parseHash(location.hash) === null) return;
    this.part.section.scrollIntoView({ block: "start" });
    document.getElementById("universe-title").focus({ preventScroll: true });
  }

  /** Shows the universe of a day; `text` is that of an address. */
  openDay(text) {
    const { date } = this.form.elements;
    date.value = text;
    if (date.value === text) return this.show();
    this.clear();
    return this.part.show(() => null, () => `${text} is no date: use one such as 2024-03-15.`, { fresh: true });
  }

  /** Shows the universe of a month's last session that is stored whole; without a month, of the newest. */
  async open(name, month) {
    this.form.elements.market.value = name;
    return this.find(month === undefined ? [] : [["date", `lt.${nextMonth(month)}`]], "desc");
  }

  /** Shows the session before or after, of those that are stored whole. */
  stepped(way) {
    const { value } = this.form.elements.date;
    if (way === "earlier") this.find([["date", `lt.${value}`]], "desc");
    if (way === "later") this.find([["date", `gt.${value}`]], "asc");
  }

  async find(limits, direction) {
    const { market, date } = this.form.elements;
    const conditions = [["market", `eq.${market.value}`], ["loaded_at", "is.not_null"], ...limits, ["order", `date.${direction}`], ["limit", "1"]];
    const error = await this.part.show(
      () => fetchJson(tableAddress("market_sessions", conditions)),
      ({ data: [session] }) => void (date.value = session?.date ?? date.value),
    );
    return error ?? this.show();
  }

  async show() {
    const { market, date, shown, type } = this.form.elements;
    if (!date.value) return null;
    const request = { market: market.value, day: date.value, type: type.value, gone: shown.value === "gone" };
    const error = await this.part.show(
      async () => {
        const [page, tickers] = await Promise.all([request.gone ? fetchGone(request) : fetchLargest(request), fetchTickers(request)]);
        return { ...request, ...page, tickers };
      },
      (data) => this.render(data),
      { fresh: true },
    );
    if (this.part.state === "error") this.clear();
    return error;
  }

  /** Takes out the sentence and the rows of the session before. */
  clear() {
    this.part.section.querySelector(".count").textContent = "";
    this.table.replaceChildren();
    Object.assign(this.part.section.dataset, { rows: 0, date: "" });
  }

  showMore() {
    const before = this.data;
    return this.part.show(
      async () => {
        const page = before.next ? await fetchPage(before.next) : pageOf(before.rest);
        return { ...before, ...page, rows: [...before.rows, ...page.rows], note: before.note };
      },
      (data) => this.render(data),
    );
  }

  render(data) {
    const { day, type, gone, rows, rest, tickers, note, next } = data;
    this.data = data;
    this.part.section.dataset.rows = rows.length;
    this.part.section.dataset.date = day;
    if (parseHash(location.hash)) history.replaceState(null, "", `#universe/${day}`);
    const which = type ? ` of type ${type}` : "";
    const kind = gone ? `${whole(rows.length + rest.length)}${which} gone since` : `the ${whole(rows.length)} largest${which}`;
    this.part.section.querySelector(".count").textContent = `${plural(tickers, "ticker")} traded; ${kind}`;
    replace(this.part.body.querySelector(".hint"), ...prose(note ?? ""));
    this.more.hidden = !next && rest.length === 0;
    const nothing = gone ? "is gone" : "is shown";
    if (rows.length === 0) return `Of those${which} that traded on that session, none ${nothing}.${note ? ` ${note}` : ""}`;
    replace(this.table, drawTable(gone ? GONE : LARGEST, rows));
    const link = element("a", { href: universeAddress(data, { format: "csv" }) }, `All tickers${which} of the session as CSV`);
    replace(this.part.body.querySelector(".downloads"), link);
    return undefined;
  }
}

/** The day of an address of this part, "" if it has none; null of another address. */
function parseHash(hash) {
  const [found, day = ""] = HASH.exec(hash) ?? [];
  return found === undefined ? null : (decode(day) ?? day);
}

const fetchLargest = (request) => fetchPage(universeAddress(request, { order: "dollar_volume", limit: SHOWN }));

/** Those of the session that are gone now, the first to go first. */
async function fetchGone(request) {
  const conditions = [["market", `eq.${request.market}`], ["state", "eq.ended"], ["last_session", `gte.${request.day}`], ["select", "symbol,last_session"]];
  const [{ data, note }, ended] = await Promise.all([fetchJson(universeAddress(request)), fetchRows(tableAddress("listings", conditions))]);
  const lasts = new Map(ended.map((listing) => [listing.symbol, listing.last_session]));
  const gone = data.filter(({ symbol }) => lasts.has(symbol)).sort((one, other) => compare(lasts.get(one.symbol), lasts.get(other.symbol)));
  return { ...pageOf(gone), note };
}

const compare = (one, other) => (one === other ? 0 : one < other ? -1 : 1);

const universeAddress = ({ market, day, type }, others = {}) =>
  `${PATH}?${new URLSearchParams({ date: day, market: optionOf(market), ...(type ? { type } : {}), ...others })}`;

/** A page of the API, and the address of the following one. */
async function fetchPage(address) {
  const { data, note, next } = await fetchJson(address);
  return { rows: data, rest: [], note, next };
}

/** The first rows, and the rest of them. */
const pageOf = (rows) => ({ rows: rows.slice(0, SHOWN), rest: rows.slice(SHOWN), next: null });

/** The session's number of tickers; the largest of a session that isn't stored whole are an error with the reason. */
async function fetchTickers({ market, day }) {
  const [session] = await fetchRows(tableAddress("market_sessions", [["market", `eq.${market}`], ["date", `eq.${day}`]]));
  return session?.tickers ?? 0;
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

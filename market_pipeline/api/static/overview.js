// The overview: the verdict, the totals, and a table of symbols that can be filtered and sorted.

import { missingOf, needsAttention, verdict } from "./attention.js";
import { fetchRows, tableAddress } from "./client.js";
import { element, fact, prose, replace } from "./dom.js";
import { instant, NONE, percent, plural, whole } from "./format.js";
import { Part } from "./part.js";

const ADDRESS = tableAddress("coverage", [["order", "symbol.asc"]]);
export const NONE_TRACKED = "No symbol is tracked yet: run `market-pipeline symbols init`.";
const NEXT_STEP =
  "`market-pipeline gaps` lists the sessions that are missing, `market-pipeline backfill --missing` fetches them.";

// Heading, sort key, content of a cell, and true for numbers.
const COLUMNS = [
  ["Symbol", (row) => row.symbol, null, false],
  ["Class", (row) => row.asset_class, (row) => [row.asset_class], false],
  ["First", (row) => row.first_session, (row) => [row.first_session ?? NONE], false],
  ["Last", (row) => row.last_session, (row) => [row.last_session ?? NONE], false],
  ["Loaded / sessions", (row) => (row.sessions ? row.loaded / row.sessions : null), (row) => [share(row)], true],
  ["Missing", (row) => row.missing, (row) => [missing(row)], false],
  ["Flagged", (row) => row.flagged, (row) => [row.flagged ? whole(row.flagged) : NONE], true],
  ["Behind", (row) => row.behind, (row) => [row.behind ? whole(row.behind) : NONE], true],
  ["Last load", (row) => row.last_loaded_at, (row) => [row.last_loaded_at ? instant(row.last_loaded_at) : NONE], false],
  ["Last error", (row) => row.last_error, (row) => [error(row)], false],
];

export class Overview {
  /** `onChoose(symbol)`: called when a symbol is clicked. `onFilter()`: called when filter or order changes. */
  constructor({ onChoose, onFilter }) {
    this.part = new Part("overview");
    this.rows = [];
    this.sorting = { column: 0, descending: false };
    this.onFilter = onFilter;
    this.filter = document.getElementById("filter");
    this.onlyAttention = document.getElementById("only-attention");
    this.filter.addEventListener("input", () => this.rearrange());
    this.onlyAttention.addEventListener("change", () => this.rearrange());
    this.table = this.part.body.querySelector(".scroll");
    this.table.addEventListener("click", (event) => this.clicked(event, onChoose));
  }

  /** `elsewhere`: the sentence on markets, or null, in this and other parts of tracked symbols. */
  refresh(elsewhere) {
    return this.part.show(
      () => fetchRows(ADDRESS),
      (rows) => this.render(rows, elsewhere),
    );
  }

  render(rows, elsewhere) {
    this.rows = rows;
    if (rows.length === 0) return elsewhere ? `No symbol is tracked. ${elsewhere}` : NONE_TRACKED;
    const line = this.part.body.querySelector(".verdict");
    line.textContent = verdict(rows);
    line.dataset.verdict = rows.some(needsAttention) ? "attention" : "well";
    const fetchable = rows.some((row) => needsAttention(row) && row.fetchable > 0);
    replace(this.part.body.querySelector(".hint"), ...(fetchable ? prose(NEXT_STEP) : []));
    replace(this.part.body.querySelector(".tiles"), ...totals(rows));
    this.draw();
    return undefined;
  }

  draw() {
    const rows = this.visible();
    this.part.section.dataset.rows = rows.length;
    this.part.body.querySelector(".count").textContent =
      `${whole(rows.length)} of ${plural(this.rows.length, "symbol")}`;
    replace(this.table, this.drawTable(rows));
  }

  rearrange() {
    this.draw();
    this.onFilter();
  }

  /** The shown symbols with any known session, in their order. */
  get symbols() {
    return this.visible().flatMap((row) => (row.sessions > 0 ? [row.symbol] : []));
  }

  visible() {
    const wanted = this.filter.value.trim().toLowerCase();
    const matches = (row) => row.symbol.toLowerCase().includes(wanted) || row.asset_class.startsWith(wanted);
    const rows = this.rows.filter((row) => matches(row) && (!this.onlyAttention.checked || needsAttention(row)));
    const key = COLUMNS[this.sorting.column][1];
    return rows.sort((one, other) => compare(key(one), key(other), this.sorting.descending));
  }

  drawTable(rows) {
    return element(
      "table",
      {},
      element("caption", { class: "hidden" }, "Tracked symbols and their coverage"),
      element("thead", {}, element("tr", {}, ...COLUMNS.map((column, index) => this.heading(column, index)))),
      element("tbody", {}, ...rows.map(drawRow)),
    );
  }

  heading([name, , , numeric], index) {
    const { column, descending } = this.sorting;
    const sorted = index === column ? (descending ? "descending" : "ascending") : null;
    const button = element("button", { type: "button", "data-sort": index, "data-focus": `sort-${index}` }, name);
    return element("th", { scope: "col", class: numeric ? "number" : null, "aria-sort": sorted }, button);
  }

  clicked(event, onChoose) {
    const button = event.target.closest("[data-sort]");
    const anchor = event.target.closest("[data-symbol]");
    if (button) this.sortBy(Number(button.dataset.sort));
    if (anchor && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
      event.preventDefault();
      onChoose(anchor.dataset.symbol);
    }
  }

  sortBy(column) {
    this.sorting = { column, descending: this.sorting.column === column && !this.sorting.descending };
    this.rearrange();
  }
}

function drawRow(row) {
  const address = `?${new URLSearchParams({ symbol: row.symbol })}#candles`;
  const anchor = element("a", { href: address, "data-symbol": row.symbol, "data-focus": row.symbol }, row.symbol);
  const cells = COLUMNS.slice(1).map(([, , show, numeric]) =>
    element("td", { class: numeric ? "number" : null }, ...show(row)),
  );
  return element("tr", { "data-attention": needsAttention(row), title: row.health_reason }, element("th", { scope: "row" }, anchor), ...cells);
}

function share(row) {
  if (row.sessions === 0) return NONE;
  const text = element("span", { class: "share" }, `${whole(row.loaded)} / ${whole(row.sessions)}`);
  text.style.setProperty("--share", row.loaded / row.sessions);
  return text;
}

function missing(row) {
  const reasons = missingOf(row);
  return reasons.length ? element("span", { class: row.failed ? "bad" : null }, reasons.join(", ")) : NONE;
}

function error(row) {
  return row.last_error ? element("span", { class: "error", title: row.last_error }, row.last_error) : NONE;
}

function totals(rows) {
  const sum = (column) => rows.reduce((total, row) => total + row[column], 0);
  const newest = rows
    .map((row) => row.last_session)
    .filter(Boolean)
    .sort()
    .at(-1);
  return [
    fact("Symbols", whole(rows.length)),
    fact("Bars loaded", whole(sum("loaded"))),
    fact("Of all sessions", percent(sum("loaded"), sum("sessions"))),
    fact("Missing, to be fetched", whole(rows.reduce((total, row) => total + row.fetchable, 0))),
    fact("Flagged bars", whole(sum("flagged"))),
    fact("Newest session", newest ?? NONE),
  ];
}

/** Ascending or descending; missing values come last in both. */
function compare(one, other, descending) {
  if (one === other) return 0;
  if (one === null || other === null) return one === null ? 1 : -1;
  return one < other === descending ? 1 : -1;
}

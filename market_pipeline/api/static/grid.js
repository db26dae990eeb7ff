// Any table that the API serves: its rows by pages, with filters, order and columns that the page's address keeps.
// Without a table in the address, the list of all tables.

import { fetchJson, fetchCount, fetchExactly } from "./client.js";
import { element, replace } from "./dom.js";
import { plural, whole } from "./format.js";
import { GridTools } from "./grid_tools.js";
import { isNumber } from "./grid_filters.js";
import { countAddress, emptyView, firstPage, formatView, orderBy, parseView, rowsAddress } from "./grid_view.js";
import { Part } from "./part.js";

const TABLES = "api/v1/tables";
const ESTIMATED = 100_000; // the API counts up to API_MAX_ROWS rows, and estimates a larger number
const SHORT_TYPES = { "timestamp with time zone": "timestamptz", "double precision": "double" };

export class Grid {
  constructor() {
    this.part = new Part("grid");
    this.tables = [];
    this.view = null;
    this.cursors = new Map(); // of the pages that were shown, as the API's cursors lead forward only
    this.frame = this.part.body.querySelector(".scroll");
    this.pager = this.part.body.querySelector(".pager");
    this.description = this.part.body.querySelector(".hint");
    this.count = this.part.section.querySelector(".count");
    this.tools = new GridTools(this.part.section, (view) => this.go(view));
    this.frame.addEventListener("click", (event) => this.clicked(event));
    this.pager.addEventListener("click", (event) => this.turned(event));
    addEventListener("hashchange", () => this.navigated());
  }

  /** Reads the tables, and the rows of the one in the address. */
  refresh() {
    if (this.view === null) this.enter(parseView(location.hash));
    return this.show({ fresh: false });
  }

  /** Shows another view, under an address of its own. */
  go(view) {
    location.hash = view.table ? formatView(view) : "#table";
  }

  navigated() {
    const view = parseView(location.hash);
    if (view === null && !/^#table(\/|$)/.test(location.hash)) return;
    this.enter(view);
    this.show({ fresh: true });
  }

  enter(view) {
    this.view = view;
    if (view === null) return;
    const rows = formatView(firstPage(view));
    if (rows !== this.paged) this.cursors = new Map();
    this.paged = rows;
    this.cursors.set(view.page, view.cursor);
  }

  /** Scrolls to the grid if the address is one of a table. */
  revealAddressed() {
    if (!location.hash.startsWith("#table")) return;
    this.part.section.scrollIntoView({ block: "start" });
    document.getElementById("grid-title").focus({ preventScroll: true });
  }

  async show({ fresh }) {
    const { view } = this;
    const error = await this.part.show(() => this.load(view), (data) => this.render(data), { fresh });
    if (error === null && view !== null) await this.showCount(view);
    return error;
  }

  async load(view) {
    this.tables = (await fetchJson(TABLES)).tables;
    const table = this.tables.find(({ name }) => name === view?.table);
    this.tools.show(this.tables, view ?? emptyView(""), table);
    return { view, tables: view ? null : this.tables, rows: view ? await fetchExactly(rowsAddress(view)) : null };
  }

  render({ view, tables, rows }) {
    const { dataset } = this.part.section;
    dataset.table = view?.table ?? "";
    dataset.rows = rows ? rows.data.length : tables.length;
    dataset.page = view?.page ?? "";
    this.pager.hidden = !view;
    this.description.textContent = "";
    if (!view) {
      this.count.textContent = plural(tables.length, "table");
      replace(this.frame, drawTables(tables));
      return undefined;
    }
    const table = this.tables.find(({ name }) => name === view.table);
    const columns = table.columns.filter(({ name }) => view.columns?.includes(name) ?? true);
    this.description.textContent = table.description;
    replace(this.frame, drawRows(view, table, columns, rows.data));
    this.next = rows.next && new URL(rows.next, document.baseURI).searchParams.get("cursor");
    this.showPager(view, rows);
    this.frame.scrollTop = 0;
    return undefined;
  }

  showPager(view, rows) {
    const first = (view.page - 1) * view.size;
    const shown = rows.data.length ? `Rows ${whole(first + 1)} to ${whole(first + rows.data.length)}` : "No row has all of this";
    const rest = rows.truncated && !rows.next ? "; it has no key to page by: filter for others" : "";
    this.pager.querySelector(".range").textContent = shown + rest;
    const enabled = { first: view.cursor !== null, previous: view.page === 2 || this.cursors.has(view.page - 1), next: Boolean(this.next) };
    for (const [name, isEnabled] of Object.entries(enabled)) this.pager.querySelector(`.${name}`).disabled = !isEnabled;
  }

  /** Counts all rows of the filters; a number that takes too long to count is left out. */
  async showCount(view) {
    const filters = JSON.stringify([view.table, view.filters]);
    if (filters !== this.counted) this.count.textContent = "";
    const address = countAddress(view);
    const total = address && (await fetchCount(address).catch(() => null));
    if (view !== this.view || total === null) return;
    this.counted = filters;
    this.count.textContent = `${total > ESTIMATED ? "about " : ""}${plural(total, "row")}`;
  }

  turned(event) {
    const { view } = this;
    const step = event.target.closest("button")?.className;
    if (step === "next") this.go({ ...view, page: view.page + 1, cursor: this.next });
    if (step === "previous") this.go({ ...view, page: view.page - 1, cursor: this.cursors.get(view.page - 1) ?? null });
    if (step === "first") this.go(firstPage(view));
  }

  clicked(event) {
    const { sortBy, filterBy } = event.target.closest("button")?.dataset ?? {};
    if (sortBy) this.go(orderBy(this.view, sortBy, { also: event.shiftKey }));
    if (filterBy) this.tools.startFilter(filterBy);
  }
}

function drawTables(tables) {
  const headings = ["Table", "Kind", "Rows", "Contents"].map((name) => element("th", { scope: "col", class: name === "Rows" ? "number" : null }, name));
  const rows = tables.map(({ name, kind, row_estimate: estimate, description }) => {
    const anchor = element("a", { href: formatView(emptyView(name)), "data-focus": name }, name);
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, anchor),
      element("td", {}, kind),
      element("td", { class: "number" }, estimate === null ? "" : `about ${whole(estimate)}`),
      element("td", { class: "prose", title: description }, /^.*?[.](?=\s|$)|^.*/s.exec(description)[0]),
    );
  });
  return element("table", { class: "list" }, element("thead", {}, element("tr", {}, ...headings)), element("tbody", {}, ...rows));
}

function drawRows(view, table, columns, rows) {
  return element(
    "table",
    {},
    element("caption", { class: "hidden" }, `Rows of ${table.name}`),
    element("thead", {}, element("tr", {}, ...columns.map((column) => drawHeading(view, column)))),
    element("tbody", {}, ...rows.map((row) => drawRow(columns, row))),
  );
}

function drawHeading(view, { name, type, description }) {
  const place = view.order.findIndex((part) => part.column === name);
  const sorted = place < 0 ? null : view.order[place].descending ? "descending" : "ascending";
  const number = place >= 0 && view.order.length > 1 ? place + 1 : null; // of several columns, the first one orders first
  const sort = element("button", { type: "button", "data-sort-by": name, "data-focus": `sort ${name}`, "data-place": number }, name);
  const filter = element(
    "button",
    { type: "button", class: "type", "data-filter-by": name, "data-focus": `filter ${name}`, "aria-label": `Filter by ${name}, ${type}` },
    SHORT_TYPES[type] ?? type,
  );
  const attributes = { scope: "col", class: isNumber(type) ? "number" : null, title: description, "aria-sort": sorted };
  return element("th", attributes, sort, filter);
}

// The first cell is the row's heading, which stays in sight.
const drawRow = (columns, row) =>
  element("tr", {}, ...columns.map((column, index) => drawCell(index ? "td" : "th", column, row[column.name])));

function drawCell(tag, { name, type }, value) {
  const kind = isNumber(type) ? "number" : "text";
  const scope = tag === "th" ? "row" : null;
  if (value === null) return element(tag, { scope, class: `${kind} null` }, "NULL");
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const content = name === "symbol" ? element("a", { href: `?${new URLSearchParams({ symbol: text })}#candles` }, text) : text;
  return element(tag, { scope, class: kind, title: text.length > 40 ? text : null }, content);
}

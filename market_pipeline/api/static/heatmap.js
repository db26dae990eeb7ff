// Coverage as a heatmap: a row per symbol, a cell per month. Thirty of the overview's symbols at a time.

import { missingOf } from "./attention.js";
import { fetchRows, listed, tableAddress } from "./client.js";
import { element, replace } from "./dom.js";
import { monthName, plural, whole } from "./format.js";
import { Part } from "./part.js";

const SYMBOLS_A_PAGE = 30;
const PROBLEMS = ["failed", "rejected", "never_asked"];
const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export class Heatmap {
  /** `onOpen(symbol, month)`: called when a cell is opened for its sessions. */
  constructor({ onOpen }) {
    this.part = new Part("heatmap");
    this.symbols = [];
    this.page = 0;
    this.onOpen = onOpen;
    const { body } = this.part;
    this.frame = body.querySelector(".scroll");
    this.description = body.querySelector(".description");
    this.pager = body.querySelector(".pager");
    this.pager.querySelector(".previous").addEventListener("click", () => this.turnTo(this.page - 1));
    this.pager.querySelector(".next").addEventListener("click", () => this.turnTo(this.page + 1));
    for (const kind of ["pointerover", "focusin"]) this.frame.addEventListener(kind, (event) => this.pointedAt(event));
    this.frame.addEventListener("click", (event) => this.opened(event));
    this.frame.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Fetches again; from the first page if the symbols or their order changed. */
  show(symbols, elsewhere = null) {
    const same = symbols.join() === this.symbols.join();
    this.elsewhere = elsewhere;
    this.symbols = symbols;
    return this.turnTo(same ? this.page : 0);
  }

  turnTo(page) {
    const symbols = this.symbols.slice(page * SYMBOLS_A_PAGE, (page + 1) * SYMBOLS_A_PAGE);
    return this.part.show(
      async () => ({ page, symbols, months: await loadMonths(symbols) }),
      (data) => this.render(data),
    );
  }

  render({ page, symbols, months }) {
    this.page = page;
    this.drawPager(symbols.length);
    this.part.section.dataset.cells = months.length;
    if (months.length === 0) return this.elsewhere ?? "No session of these symbols was ever fetched: run `market-pipeline backfill`.";
    const first = this.frame.childElementCount === 0;
    this.byCell = new Map(months.map((row) => [`${row.symbol} ${row.month}`, row]));
    const axis = monthsBetween(months.map((row) => row.month).sort());
    replace(this.frame, drawGrid(symbols, axis, this.byCell));
    const newest = this.newestLoaded();
    newest.tabIndex = 0;
    if (first) requestAnimationFrame(() => this.scrollTo(newest));
    return undefined;
  }

  /** The rightmost cell with loaded sessions, or the rightmost of all. */
  newestLoaded() {
    return (
      rightmost(this.frame.querySelectorAll(".month:not([data-level='0'])")) ??
      rightmost(this.frame.querySelectorAll(".month"))
    );
  }

  /** Scrolls a cell to the right of the frame, with some of the later cells. */
  scrollTo(cell) {
    this.frame.scrollLeft = cell.offsetLeft - 0.8 * this.frame.clientWidth;
  }

  drawPager(count) {
    const first = this.page * SYMBOLS_A_PAGE;
    const last = first + count;
    this.pager.hidden = this.symbols.length <= SYMBOLS_A_PAGE;
    this.pager.querySelector(".count").textContent = `${first + 1} to ${last} of ${whole(this.symbols.length)}`;
    this.pager.querySelector(".previous").disabled = first === 0;
    this.pager.querySelector(".next").disabled = last >= this.symbols.length;
  }

  pointedAt(event) {
    const cell = event.target.closest(".month");
    if (cell) this.description.textContent = describe(this.byCell.get(cell.dataset.focus));
  }

  opened(event) {
    const row = this.byCell.get(event.target.closest(".month")?.dataset.focus);
    if (row) this.onOpen(row.symbol, row.month);
  }

  pressed(event) {
    const cell = event.target.closest(".month");
    if (!cell) return;
    if (event.key === "Enter" || event.key === " ") this.opened(event);
    else if (event.key in STEPS) move(cell, ...STEPS[event.key]);
    else return;
    event.preventDefault();
  }
}

function loadMonths(symbols) {
  if (symbols.length === 0) return [];
  const conditions = [
    ["symbol", listed(symbols)],
    ["order", "symbol.asc,month.asc"],
  ];
  return fetchRows(tableAddress("coverage_by_month", conditions));
}

function drawGrid(symbols, axis, byCell) {
  const table = element("table", { role: "grid", "aria-readonly": "true" });
  table.style.setProperty("--months", axis.length);
  table.append(
    element("caption", { class: "hidden" }, "Sessions loaded, by symbol and month"),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Symbol"), ...years(axis))),
    element("tbody", {}, ...symbols.map((symbol) => drawRow(symbol, axis, byCell))),
  );
  return table;
}

function years(axis) {
  const counts = new Map();
  for (const month of axis) counts.set(month.slice(0, 4), (counts.get(month.slice(0, 4)) ?? 0) + 1);
  return [...counts].map(([year, count]) => element("th", { scope: "colgroup", colspan: count }, year));
}

function drawRow(symbol, axis, byCell) {
  const cells = axis.map((month) => drawCell(byCell.get(`${symbol} ${month}`)));
  return element("tr", {}, element("th", { scope: "row" }, symbol), ...cells);
}

function drawCell(row) {
  if (row === undefined) return element("td");
  const problem = PROBLEMS.find((column) => row[column] > 0);
  const cell = element("td", {
    class: ["month", problem, row.flagged > 0 ? "flagged" : null].filter(Boolean).join(" "),
    "data-level": level(row),
    "data-focus": `${row.symbol} ${row.month}`,
    "aria-label": describe(row),
    tabindex: "-1",
  });
  if (problem) cell.style.setProperty("--problem", row[problem] / row.sessions);
  return cell;
}

/** 0 for nothing loaded, 4 for complete, and three levels between. */
function level({ loaded, sessions }) {
  if (loaded === 0 || loaded === sessions) return loaded === 0 ? 0 : 4;
  return loaded / sessions >= 0.9 ? 3 : loaded / sessions >= 0.5 ? 2 : 1;
}

function describe(row) {
  const flagged = row.flagged > 0 ? [`${whole(row.flagged)} flagged`] : [];
  const rest = [...missingOf(row), ...flagged].map((words) => `, ${words}`).join("");
  const loaded = `${whole(row.loaded)} of ${plural(row.sessions, "session")} loaded`;
  return `${row.symbol}, ${monthName(row.month)}: ${loaded}${rest}.`;
}

/** Every month's first day from the first of a sorted list to the last. */
function monthsBetween(sorted) {
  const [year, month] = sorted[0].split("-").map(Number);
  const axis = [];
  for (let step = 0; (axis.at(-1) ?? "") < sorted.at(-1); step += 1) {
    axis.push(new Date(Date.UTC(year, month - 1 + step, 1)).toISOString().slice(0, 10));
  }
  return axis;
}

/** Moves the focus by rows and columns, skipping missing cells, and stays at the edge. */
function move(cell, down, right) {
  const rows = [...cell.closest("tbody").rows];
  let line = rows.indexOf(cell.parentElement);
  let column = cell.cellIndex;
  let target;
  do {
    line += down;
    column += right;
    target = rows[line]?.cells[column];
  } while (target && !target.matches(".month"));
  if (!target) return;
  cell.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}

function rightmost(cells) {
  return [...cells].reduce((one, other) => (other.cellIndex > (one?.cellIndex ?? 0) ? other : one), null);
}

// Whole markets: a bar for each month, of the symbols listed then and of those of them that are gone now.

import { fetchJson, fetchRows, tableAddress } from "./client.js";
import { element, replace } from "./dom.js";
import { instant, monthName, plural, whole } from "./format.js";
import { Part } from "./part.js";

const ADDRESS = tableAddress("listings_by_month", [["order", "market.desc,month.asc"]]);
const NEWEST_LOAD = tableAddress("market_loads", [["success", "is.true"], ["order", "ended_at.desc"], ["limit", "1"]]);
const STEPS = { ArrowLeft: -1, ArrowRight: 1 };
const HINT = "Point at a month, or move with the arrow keys, for its numbers; click it, or press Enter, for its universe.";

/** A market's name on the command line. */
export const optionOf = (market) => market.replaceAll("_", "-");

export class Markets {
  /** `onOpen(market, month)`: called when a month is opened for the universe of its last session. */
  constructor({ onOpen }) {
    this.part = new Part("markets");
    this.months = [];
    this.newest = null; // the load of a market that was the last to end well
    this.onOpen = onOpen;
    this.frame = this.part.body.querySelector(".months");
    this.description = this.part.body.querySelector(".description");
    replace(this.description, element("span", { class: "hint" }, HINT));
    for (const kind of ["pointerover", "focusin"]) this.frame.addEventListener(kind, (event) => this.pointedAt(event));
    this.frame.addEventListener("click", (event) => this.opened(event));
    this.frame.addEventListener("keydown", (event) => this.pressed(event));
  }

  /** Fetches the months. The part is shown once a market has any. */
  refresh() {
    return this.part.show(
      async () => {
        const rows = await fetchRows(ADDRESS);
        return { rows, newest: rows.length > 0 ? (await fetchJson(NEWEST_LOAD)).data[0] : null };
      },
      (data) => this.render(data),
    );
  }

  /** The sentence for a part of tracked symbols where none is tracked; null without a market. */
  get elsewhere() {
    if (!this.newest) return null;
    const { market, date, ended_at: at } = this.newest;
    return `This part is of tracked symbols; for markets see “Whole markets”: the last load, of ${optionOf(market)} on ${date}, ended at ${instant(at)} UTC.`;
  }

  render({ rows, newest }) {
    this.months = rows;
    this.newest = newest;
    this.part.section.hidden = rows.length === 0;
    this.part.section.dataset.months = rows.length;
    this.byMonth = new Map(rows.map((row) => [`${row.market} ${row.month}`, row]));
    this.part.body.querySelector(".sandbox").hidden = !rows.some((row) => row.source === "sandbox");
    const markets = [...new Set(rows.map((row) => row.market))];
    replace(this.frame, ...markets.map((market) => drawMarket(market, rows.filter((row) => row.market === market))));
    for (const last of this.frame.querySelectorAll(".bar-of-month:last-child")) last.tabIndex = 0;
    return undefined;
  }

  pointedAt(event) {
    const row = this.rowOf(event);
    if (row) this.description.textContent = describe(row);
  }

  opened(event) {
    const row = this.rowOf(event);
    if (row) this.onOpen(row.market, row.month);
  }

  pressed(event) {
    const bar = event.target.closest(".bar-of-month");
    if (!bar) return;
    if (event.key === "Enter" || event.key === " ") this.opened(event);
    else if (event.key in STEPS) move(bar, STEPS[event.key]);
    else return;
    event.preventDefault();
  }

  rowOf(event) {
    return this.byMonth.get(event.target.closest(".bar-of-month")?.dataset.focus);
  }
}

function drawMarket(market, rows) {
  const most = Math.max(...rows.map((row) => row.listed));
  const last = rows.at(-1);
  const caption = `${optionOf(market)}: ${whole(last.listed)} listed in ${monthName(last.month)}, at most ${whole(most)}`;
  const figure = element(
    "figure",
    { class: "market" },
    element("figcaption", {}, caption),
    element("div", { class: "bars", role: "group", "aria-label": caption }, ...rows.map((row) => drawBar(row, most))),
    element("p", { class: "axis" }, element("span", {}, rows[0].month.slice(0, 7)), element("span", {}, last.month.slice(0, 7))),
  );
  figure.style.setProperty("--months", rows.length);
  return figure;
}

function drawBar(row, most) {
  const bar = element("div", {
    class: "bar-of-month",
    role: "button",
    tabindex: "-1",
    "data-focus": `${row.market} ${row.month}`,
    "aria-label": describe(row),
  });
  bar.style.setProperty("--listed", row.listed / most);
  bar.style.setProperty("--gone", row.gone / row.listed);
  return bar;
}

/** "March 2012: 8,412 listed, of which 301 are gone now (22 sessions)." */
function describe(row) {
  const gone = row.gone > 0 ? `, of which ${whole(row.gone)} ${row.gone === 1 ? "is" : "are"} gone now` : "";
  return `${monthName(row.month)}: ${whole(row.listed)} listed${gone} (${plural(row.sessions, "session")}).`;
}

function move(bar, step) {
  const target = step < 0 ? bar.previousElementSibling : bar.nextElementSibling;
  if (!target) return;
  bar.tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}

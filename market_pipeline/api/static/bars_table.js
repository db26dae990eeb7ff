// The chart as a table, for screen readers: the newest sessions first, with its gaps.

import { element, replace } from "./dom.js";
import { decimals, NONE, plural, whole } from "./format.js";
import { describeGap, noteOf } from "./readout.js";

const MOST_ROWS = 500;

/** A `details` whose table is made when it is opened. */
export class BarsTable {
  constructor(details) {
    this.details = details;
    this.frame = details.querySelector(".scroll");
    details.addEventListener("toggle", () => this.draw());
  }

  /** `slots` of a picture; `columns`: heading, cell of a day, and true for numbers. */
  show(slots, columns) {
    const gaps = new Set();
    // A gap has one row, whatever its slots.
    const rows = slots.filter(({ gap }) => gap === undefined || (!gaps.has(gap) && gaps.add(gap))).toReversed();
    Object.assign(this, { rows, columns });
    this.draw();
  }

  draw() {
    if (!this.details.open || !this.rows) return;
    const shown = this.rows.slice(0, MOST_ROWS);
    const rest = this.rows.length > shown.length ? `The newest ${whole(shown.length)} of ${plural(this.rows.length, "row")}; the downloads have all.` : "";
    this.details.querySelector(".hint").textContent = rest;
    const headings = [["Session"], ...this.columns].map(([name, , numeric]) =>
      element("th", { scope: "col", class: numeric ? "number" : null }, name),
    );
    const table = element(
      "table",
      {},
      element("caption", { class: "hidden" }, "The chart as a table, newest first"),
      element("thead", {}, element("tr", {}, ...headings)),
      element("tbody", {}, ...shown.map((slot) => this.drawRow(slot))),
    );
    replace(this.frame, table);
  }

  drawRow({ time, gap }) {
    if (gap) return element("tr", { class: "gap" }, element("td", { colspan: this.columns.length + 1 }, describeGap(gap)));
    const cells = this.columns.map(([, cell, numeric]) => element("td", { class: numeric ? "number" : null }, cell(time) ?? NONE));
    return element("tr", {}, element("th", { scope: "row" }, time), ...cells);
  }
}

/** Columns of bars. */
export function barColumns(bars) {
  const byDay = new Map(bars.map((bar) => [bar.date, bar]));
  const prices = ["Open", "High", "Low", "Close"].map((heading) => {
    const name = heading.toLowerCase();
    return [heading, (day) => byDay.get(day)[name].toFixed(decimals(byDay.get(day).low)), true];
  });
  const flags = (day) => (byDay.get(day).flags.length > 0 ? noteOf(byDay.get(day)) : null);
  return [...prices, ["Volume", (day) => whole(byDay.get(day).volume), true], ["Flags", flags, false]];
}

/** Columns of compared symbols. */
export function comparedColumns(lines) {
  return lines.map(({ symbol, points }) => [symbol, (day) => points.get(day)?.toFixed(2), true]);
}

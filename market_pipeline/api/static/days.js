// The latest sessions of each calendar: their condition, their bars, and when one of these last changed.

import { changesHash } from "./changes.js";
import { fetchRows, tableAddress } from "./client.js";
import { element, replace } from "./dom.js";
import { instant, NONE, plural, whole } from "./format.js";
import { Part } from "./part.js";

const SHOWN = 10;
// Ten sessions of New York's exchange, with two holidays and three weekends among them.
const DAYS = 18;
const DAY_MS = 86_400_000;
const HEADINGS = ["Session", "Condition", "Bars", "Corrected", "Last change"];
const NUMBERS = new Set(["Bars", "Corrected"]);
const EMPTY = `No session of the last ${DAYS} days is expected to have a bar.`;

export class Days {
  constructor() {
    this.part = new Part("days");
  }

  refresh(elsewhere) {
    const since = new Date(Date.now() - DAYS * DAY_MS).toISOString().slice(0, 10);
    const conditions = [
      ["date", `gte.${since}`],
      ["order", "calendar.desc,date.desc"],
    ];
    return this.part.show(
      () => fetchRows(tableAddress("day_conditions", conditions)),
      (rows) => this.render(rows, elsewhere),
    );
  }

  render(rows, elsewhere) {
    this.part.section.dataset.rows = rows.length;
    if (rows.length === 0) return elsewhere ?? EMPTY;
    const calendars = [...new Set(rows.map((row) => row.calendar))]; // New York's first
    replace(this.part.body, ...calendars.map((calendar) => drawCalendar(calendar, rows)));
    return undefined;
  }
}

function drawCalendar(calendar, rows) {
  const latest = rows.filter((row) => row.calendar === calendar).slice(0, SHOWN);
  const headings = HEADINGS.map((name) =>
    element("th", { scope: "col", class: NUMBERS.has(name) ? "number" : null }, name),
  );
  const table = element(
    "table",
    {},
    element("caption", {}, calendar),
    element("thead", {}, element("tr", {}, ...headings)),
    element("tbody", {}, ...latest.map(drawRow)),
  );
  return element("div", { class: "scroll", role: "region", "aria-label": `Sessions of ${calendar}`, tabindex: "0" }, table);
}

function drawRow(row) {
  return element(
    "tr",
    { title: describe(row) },
    element("th", { scope: "row" }, row.loaded + row.corrected > 0 ? element("a", { href: changesHash(row.date), "data-focus": `${row.calendar} ${row.date}` }, row.date) : row.date),
    element("td", {}, element("span", { class: "condition", "data-condition": row.condition }, row.condition)),
    element("td", { class: "number" }, `${whole(row.loaded)} / ${whole(row.expected)}`),
    element("td", { class: "number" }, row.corrected ? whole(row.corrected) : NONE),
    element("td", {}, row.changed_at ? element("time", { datetime: row.changed_at }, instant(row.changed_at)) : NONE),
  );
}

/** "2 missing, 1 of which may still come; 1 symbol without a bar at the vendor". */
function describe({ missing, awaited, empty }) {
  const rest = awaited > 0 ? `, ${whole(awaited)} of which may still come` : "";
  const parts = [
    missing > 0 ? `${whole(missing)} missing${rest}` : null,
    empty > 0 ? `${plural(empty, "symbol")} without a bar at the vendor` : null,
  ];
  return parts.filter(Boolean).join("; ") || null;
}

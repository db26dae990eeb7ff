// The sessions of a cell of the heatmap: those without a bar, with the reason, and the flagged bars.

import { REASONS } from "./attention.js";
import { fetchRows, tableAddress } from "./client.js";
import { element, replace } from "./dom.js";
import { monthName, NONE } from "./format.js";
import { Part } from "./part.js";

const WORDS = new Map([...REASONS, ["flagged", "flagged"]]);

export class Month {
  constructor() {
    this.part = new Part("month");
    this.title = document.getElementById("month-title");
    this.part.section.querySelector(".close").addEventListener("click", () => this.close());
  }

  async open(symbol, month) {
    const { section, body } = this.part;
    this.opener = `[data-focus="${CSS.escape(`${symbol} ${month}`)}"]`;
    section.hidden = false;
    body.hidden = true; // it shows another month
    this.title.textContent = `${symbol}, ${monthName(month)}`;
    this.title.focus();
    await this.part.show(
      () => loadSessions(symbol, month),
      (rows) => this.render(rows),
      { fresh: true },
    );
  }

  render(rows) {
    this.part.section.dataset.rows = rows.length;
    if (rows.length === 0) return "Every session's bar is loaded, and none is flagged.";
    replace(this.part.body, drawTable(rows));
    return undefined;
  }

  close() {
    this.part.section.hidden = true;
    document.querySelector(this.opener)?.focus();
  }
}

async function loadSessions(symbol, month) {
  const inMonth = [
    ["symbol", `eq.${symbol}`],
    ["date", `gte.${month}`],
    ["date", `lt.${nextMonth(month)}`],
  ];
  const [states, flagged] = await Promise.all([
    fetchRows(tableAddress("session_states", [...inMonth, ["state", "neq.loaded"], ["select", "date,state,reason"]])),
    fetchRows(tableAddress("market_data", [...inMonth, ["validated", "is.false"], ["select", "date,validation_notes"]])),
  ]);
  const odd = flagged.map((bar) => ({ date: bar.date, state: "flagged", reason: bar.validation_notes }));
  return [...states, ...odd].sort((one, other) => (one.date < other.date ? -1 : 1));
}

function nextMonth(month) {
  const [year, number] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number, 1)).toISOString().slice(0, 10);
}

function drawTable(rows) {
  const headings = ["Session", "State", "Reason"].map((name) => element("th", { scope: "col" }, name));
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...headings)),
    element("tbody", {}, ...rows.map(drawRow)),
  );
}

function drawRow({ date, state, reason }) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, date),
    element("td", { class: state === "failed" ? "bad" : null }, WORDS.get(state) ?? state),
    element("td", {}, reason ?? NONE),
  );
}

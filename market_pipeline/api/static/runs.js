// The last runs: trigger, result, and link to the Dagster UI.

import { fetchJson, tableAddress } from "./client.js";
import { element, link, replace } from "./dom.js";
import { duration, instant, NONE, whole } from "./format.js";
import { Part } from "./part.js";

const SHOWN = 10;
const COUNTS = ["loaded", "revised", "unchanged", "rejected", "flagged", "missing"];
const URGENT = new Set(["rejected", "missing"]);
const HEADINGS = ["Started", "Trigger", "Sessions", "Took", "Symbols", ...COUNTS.map(capitalized), "Run"];
const TEXTS = new Set(["Started", "Trigger", "Sessions", "Run"]);

export class Runs {
  constructor() {
    this.part = new Part("runs");
  }

  /** `dagster` is the Dagster UI's URL, or null if unknown. */
  refresh(dagster, elsewhere) {
    const address = tableAddress("runs", [
      ["order", "started_at.desc"],
      ["limit", SHOWN],
    ]);
    const load = async () => ({ dagster, runs: (await fetchJson(address)).data });
    return this.part.show(load, (data) => this.render(data, elsewhere));
  }

  render({ dagster, runs }, elsewhere) {
    this.part.section.dataset.rows = runs.length;
    if (runs.length === 0) return elsewhere ?? "No run yet: run `market-pipeline backfill`, or wait for the night's.";
    replace(this.part.body, drawTable(runs, dagster));
    return undefined;
  }
}

function drawTable(runs, dagster) {
  const headings = HEADINGS.map((name) =>
    element("th", { scope: "col", class: TEXTS.has(name) ? null : "number" }, name),
  );
  return element(
    "table",
    {},
    element("caption", { class: "hidden" }, "The last runs, newest first"),
    element("thead", {}, element("tr", {}, ...headings)),
    element("tbody", {}, ...runs.map((run) => drawRow(run, dagster))),
  );
}

function drawRow(run, dagster) {
  const seconds = (Date.parse(run.ended_at) - Date.parse(run.started_at)) / 1000;
  const short = element("code", {}, run.run_id.slice(0, 8));
  const way = dagster && link(`${dagster}/runs/${encodeURIComponent(run.run_id)}`, { "data-focus": run.run_id }, short);
  return element(
    "tr",
    { "data-failed": run.failed },
    element("th", { scope: "row" }, element("time", { datetime: run.started_at }, instant(run.started_at))),
    element("td", {}, run.trigger),
    element("td", {}, `${run.start_date} to ${run.end_date}`),
    element("td", { class: "number" }, duration(seconds)),
    element("td", { class: "number" }, symbolCounts(run)),
    ...COUNTS.map((column) => drawCount(column, Number(run[column]))),
    element("td", {}, way ?? short),
  );
}

/** "5 ok" and the number of failed symbols, with a link to their errors. */
function symbolCounts(run) {
  const counts = element("span", {}, `${whole(run.succeeded)} ok`);
  if (run.failed === 0) return counts;
  const why = [
    ["run_id", `eq.${run.run_id}`],
    ["success", "is.false"],
    ["select", "symbol,error_details"],
  ];
  const attributes = { class: "bad", "data-focus": `failed ${run.run_id}` };
  counts.append(", ", link(tableAddress("backfill_history", why), attributes, `${whole(run.failed)} failed`));
  return counts;
}

function drawCount(column, count) {
  const urgent = count > 0 && URGENT.has(column);
  return element("td", { class: urgent ? "number notable" : "number" }, count === 0 ? NONE : whole(count));
}

function capitalized(word) {
  return word[0].toUpperCase() + word.slice(1);
}

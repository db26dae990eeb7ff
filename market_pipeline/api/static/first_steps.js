// What to do first where there is nothing to draw: no symbols, no bars, or no database.

import { fetchJson } from "./client.js";
import { element, prose } from "./dom.js";

const UNAVAILABLE = 503;
const INIT = ["market-pipeline symbols init", "tracks 65 stocks, funds and coins to start with."];
const BACKFILL = [
  "market-pipeline backfill",
  "fetches their bars with your `POLYGON_API_KEY`, by default five years of 15 of them. Later bars come every night.",
];
const UP = ["market-pipeline up", "starts the embedded database, Dagster and this page; a server that `DATABASE_URL` names is yours to start."];
const DOCTOR = ["market-pipeline doctor", "names what is wrong, and how to fix it."];
const STEPS = { symbols: [INIT, BACKFILL], bars: [BACKFILL], database: [UP, DOCTOR] };

/** The sentence for a view without bars, of the symbols that there are. */
export function describeEmpty({ found, symbol }) {
  if (found === null) return `No bars of ${symbol} are loaded yet.`;
  return found.length === 0 ? "No symbol is tracked yet." : "Symbols are tracked, and no bar is loaded yet.";
}

/** Draws the steps of a kind into their box; without a kind it is hidden. */
export function drawSteps(box, kind) {
  box.hidden = kind === null;
  box.dataset.kind = kind ?? "";
  const steps = STEPS[kind] ?? [];
  const items = steps.map(([command, does]) => element("li", {}, element("code", {}, command), " ", ...prose(does)));
  box.querySelector("ol").replaceChildren(...items);
}

/** The kind of steps for a view without bars, or for an error; null if none helps. */
export async function stepsFor(data, error) {
  if (error !== null) {
    if (error.status !== UNAVAILABLE) return null;
    const { database } = await fetchJson("health", [UNAVAILABLE]).catch(() => ({}));
    return database === "unreachable" ? "database" : null;
  }
  if (!data?.empty) return null;
  return data.found?.length === 0 ? "symbols" : "bars";
}

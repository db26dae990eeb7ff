// What to do first where there is nothing to draw: no symbols, no bars, or no database.

import { ask } from "./client.js";
import { element, prose } from "./dom.js";

const UNAVAILABLE = 503;
const SANDBOX = ["market-pipeline up --sandbox", "runs everything with a sandbox in place of the vendor; it needs no key"];
const BACKFILL = ["market-pipeline backfill", "fetches their bars, by default five years of 15 of them; later ones come every night"];

const STEPS = {
  symbols: [["market-pipeline symbols init", "tracks 65 stocks, funds and coins to start with"], BACKFILL, SANDBOX],
  bars: [BACKFILL, SANDBOX],
  database: [
    ["market-pipeline up", "starts the database, Dagster and this page; with `DATABASE_URL`, start that server yourself"],
    ["market-pipeline doctor", "names what is wrong, and how to fix it"],
    SANDBOX,
  ],
};

/** The sentence for a view without bars, of the symbols that there are. */
export function describeEmpty({ found, symbol }) {
  if (found === null) return `No bars of ${symbol} are loaded yet.`;
  return found.length === 0 ? "No symbol is tracked yet." : "Symbols are tracked, and no bar is loaded yet.";
}

/** Draws the steps of a kind into a list; without a kind it is hidden. */
export function drawSteps(list, kind) {
  list.hidden = kind === null;
  const steps = STEPS[kind] ?? [];
  list.replaceChildren(...steps.map(([command, does]) => element("li", {}, element("code", {}, command), " ", ...prose(does))));
}

/** The kind of steps for a view without bars, or for an error; null if none helps. */
export async function stepsFor(data, error) {
  if (error !== null) {
    if (error.status !== UNAVAILABLE) return null;
    const { database } = await ask("health", [UNAVAILABLE]).catch(() => ({}));
    return database === "unreachable" ? "database" : null;
  }
  if (!data?.empty) return null;
  return data.found?.length === 0 ? "symbols" : "bars";
}

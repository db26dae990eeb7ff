// Attention: the symbols that need it, and the reasons. Works on rows of `coverage`; some functions also on rows of
// `coverage_by_month`.

import { plural, whole } from "./format.js";

/** Reasons for sessions without a bar: the column of the count, and the label. The urgent ones come first. */
export const REASONS = [
  ["failed", "failed"],
  ["rejected", "rejected"],
  ["never_asked", "never requested"],
  ["not_yet_available", "not yet available"],
  ["not_in_plan", "not in the plan"],
  ["empty", "none at the vendor"],
];

// Kinds of symbols that need attention; a symbol is counted in each of its kinds.
const KINDS = [
  ["with a failed load", (row) => row.last_error !== null],
  ["with missing sessions", (row) => row.fetchable > 0],
  ["without any bar", (row) => row.loaded === 0],
];

/** Labels of a row's reasons with their counts: ["3 failed", "12 not in the plan"]. */
export function missingOf(row) {
  return REASONS.filter(([column]) => row[column] > 0).map(([column, words]) => `${whole(row[column])} ${words}`);
}

/** True if somebody has to act: the view `coverage` decides. */
export const needsAttention = (row) => row.health === "attention";

/** The state of all symbols in one sentence. */
export function verdict(rows) {
  const concerned = rows.filter(needsAttention);
  if (concerned.length === 0) {
    const rest = rows.some((row) => row.health === "behind") ? ", but for what the next run fetches" : "";
    return `All is well: ${plural(rows.length, "symbol")} complete and up to date${rest}.`;
  }
  const kinds = KINDS.map(([words, holds]) => [concerned.filter(holds).length, words]).filter(([count]) => count > 0);
  const counts = kinds.map(([count, words]) => `${whole(count)} ${words}`).join(", ");
  const need = concerned.length === 1 ? "needs" : "need";
  return `${whole(concerned.length)} of ${plural(rows.length, "symbol")} ${need} attention: ${counts}.`;
}

// What the counts of a symbol mean to someone who has to act. Works on rows of `coverage`, and of `coverage_by_month`
// where it says so.

import { plural, whole } from "./format.js";

/** Why a session has no bar: the column of the count, and the words for it. The urgent ones come first. */
export const REASONS = [
  ["failed", "failed"],
  ["rejected", "rejected"],
  ["never_asked", "never asked for"],
  ["not_yet_available", "not yet available"],
  ["not_in_plan", "not in the plan"],
  ["empty", "none at the vendor"],
];

// What makes a symbol need attention.
const KINDS = [
  ["with a failed load", (row) => row.last_error !== null],
  ["with missing sessions", isMissingSome],
  ["behind", (row) => row.loaded > 0 && row.behind > Math.max(row.awaited, Math.min(row.not_yet_available, 1))],
  ["not loaded yet", (row) => row.loaded === 0],
];

/** The reasons that a row of either counts any sessions of, in words: ["3 failed", "12 not in the plan"]. */
export function missingOf(row) {
  return REASONS.filter(([column]) => row[column] > 0).map(([column, words]) => `${whole(row[column])} ${words}`);
}

/** How many sessions have no bar, though they could: `backfill --missing` asks for them. */
export const fetchable = (row) => row.failed + row.rejected + row.never_asked;

/** Whether any of those is not just waiting for the next run. */
export function isMissingSome(row) {
  return fetchable(row) > row.awaited;
}

/**
 * The rows with `awaited`: how many of a symbol's sessions the next run is there to fetch. A session is over at
 * midnight UTC; until that day's run has begun, it is nobody's fault that its bar is not there.
 */
export function withAwaited(rows, nextRun, now = new Date()) {
  const today = nextRun?.slice(0, 10) === now.toISOString().slice(0, 10);
  return rows.map((row) => ({ ...row, awaited: today && row.behind === 1 && row.never_asked > 0 ? 1 : 0 }));
}

/** How many sessions have no bar. */
export const missingCount = (row) => row.sessions - row.loaded;

/** Whether someone should look at the symbol. */
export const needsAttention = (row) => KINDS.some(([, holds]) => holds(row));

/** The whole in one sentence. */
export function verdict(rows) {
  const concerned = rows.filter(needsAttention).length;
  if (concerned === 0) {
    const rest = rows.some((row) => row.awaited) ? ", but for the session that the next run fetches" : "";
    return `All is well: ${plural(rows.length, "symbol")} complete and up to date${rest}.`;
  }
  const kinds = KINDS.map(([words, holds]) => [rows.filter(holds).length, words]).filter(([count]) => count > 0);
  const told = kinds.map(([count, words]) => `${whole(count)} ${words}`).join(", ");
  const need = concerned === 1 ? "needs" : "need";
  return `${whole(concerned)} of ${plural(rows.length, "symbol")} ${need} attention: ${told}.`;
}

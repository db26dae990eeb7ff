// The data of a view: the bars of its symbols, and the sessions that lack one.

import { fetchJson, fetchAll, fetchRows, Problem, tableAddress } from "./client.js";
import { daysBefore, spanOf } from "./chart_view.js";
import { findGaps } from "./timeline.js";

const NOT_FOUND = 404;
const CANT_BE_ADJUSTED = 409;
const STORED = new Set(["loaded", "corrected"]);
// Calendar days for each session of a moving average, weekends and holidays included.
const DAYS_A_SESSION = 1.5;

/**
 * Loads what a view shows: `span` (first and last day) and `items`, one a symbol, with `known` (as the search has it),
 * `adjustment`, `note`, `bars` and `gaps`. The bars begin before the span, for its moving averages. Without bars,
 * `empty` is true, and `found` has the symbols that there are, if no certain one was requested.
 */
export async function loadChart(view) {
  const found = view.symbol === null ? (await searchSymbols("")).symbols : null;
  const main = found === null ? await findSymbol(view.symbol) : found.find(({ last_session: last }) => last !== null);
  if (!main?.last_session) return { empty: true, found, symbol: view.symbol };
  const span = spanOf(view.range, main);
  if (view.compare.length > 0) {
    const others = view.compare.filter((name) => name !== main.symbol).map((name) => loadCompared(name, span, view.adjustment));
    return { span, items: await Promise.all([loadAdjusted(main, span, view.adjustment), ...others]) };
  }
  const longest = Math.max(0, ...view.averages);
  const start = daysBefore(span.start, Math.ceil(DAYS_A_SESSION * longest));
  return { span, items: [await loadItem(main, { start, end: span.end }, view.adjustment)] };
}

/** Symbols by the beginning of a ticker or a part of a name; the best first. */
export function searchSymbols(text, limit = 20) {
  return fetchJson(`api/v1/symbols/search?${new URLSearchParams({ q: text, limit })}`);
}

/** The address of a symbol's bars. */
export function barsAddress(symbol, { start, end }, adjustment) {
  const query = new URLSearchParams({ start, end, ...(adjustment ? { adjustment } : {}) });
  return `api/v1/historical/${encodeURIComponent(symbol)}?${query}`;
}

/** A symbol as the search has it, by its name, by a ticker, or by its name in capitals. */
async function findSymbol(name) {
  const { symbols } = await searchSymbols(name);
  const found =
    symbols.find(({ symbol }) => symbol === name) ??
    symbols.find(({ ticker }) => ticker === name) ??
    symbols.find(({ symbol }) => symbol === name.toUpperCase());
  if (found) return found;
  const next = "choose another one by its ticker or name, or track it by `market-pipeline symbols add SYMBOL`";
  throw new Problem(NOT_FOUND, `There is no symbol ${name} here: ${next}.`);
}

/** As loadItem, adjusted as far as that is known, if no certain adjustment was requested. */
async function loadAdjusted(known, span, adjustment) {
  try {
    return await loadItem(known, span, adjustment ?? "all");
  } catch (error) {
    if (adjustment !== null || error.status !== CANT_BE_ADJUSTED) throw error;
    return loadItem(known, span, null);
  }
}

/** As loadAdjusted, by name; a symbol that is unknown, or has no such bars in the span, has a note. */
async function loadCompared(name, span, adjustment) {
  let known = { symbol: name };
  try {
    known = await findSymbol(name);
    return await loadAdjusted(known, span, adjustment);
  } catch (error) {
    if (![NOT_FOUND, CANT_BE_ADJUSTED].includes(error.status)) throw error;
    return { known, adjustment: null, note: error.message, bars: [], unadjusted: 0, gaps: [] };
  }
}

async function loadItem(known, span, requested) {
  const [{ adjustment, note, data }, sessions] = await Promise.all([
    fetchAll(barsAddress(known.symbol, span, requested)),
    fetchSessions(known.calendar, span),
  ]);
  const bars = data.filter((bar) => bar.close !== null);
  const days = data.map((bar) => bar.date); // a bar without an adjusted price is no gap
  const missing = findGaps(days, sessions);
  const states = missing.length > 0 ? await fetchStates(known, missing[0].first, missing.at(-1).last) : new Map();
  const gaps = findGaps(days, sessions, states);
  return { known, adjustment, note, bars, unadjusted: data.length - bars.length, gaps };
}

async function fetchSessions(calendar, { start, end }) {
  const conditions = [["calendar", `eq.${calendar}`], ...between(start, end), ["select", "date"]];
  return (await fetchRows(tableAddress("sessions", conditions))).map(({ date }) => date);
}

/** The states of sessions without a bar; of a whole market, a session that is stored and lacks the bar is empty. */
async function fetchStates({ symbol, tracked, market }, first, last) {
  const days = [...between(first, last), ["select", "date,state"]];
  const rows = tracked
    ? await fetchRows(tableAddress("session_states", [["symbol", `eq.${symbol}`], ["state", "neq.loaded"], ...days]))
    : market
      ? await fetchRows(tableAddress("market_sessions", [["market", `eq.${market}`], ...days]))
      : [];
  return new Map(rows.map(({ date, state }) => [date, STORED.has(state) ? "empty" : state]));
}

const between = (first, last) => [
  ["date", `gte.${first}`],
  ["date", `lte.${last}`],
];

// The values of one session in words: of a bar, of compared symbols, or the reason of a gap.

import { REASONS } from "./attention.js";
import { bandText } from "./gap_bands.js";
import { element } from "./dom.js";
import { compact, decimals, NONE, plural, whole } from "./format.js";

const STATES = new Map(REASONS);

/** "No bars: 2013-03-04 to 2021-11-25, 2,199 sessions never requested"; several states have their counts. */
export function describeGap(gap) {
  const known = Object.entries(gap.states).filter(([state]) => STATES.has(state));
  const [[state, count] = []] = known;
  const { length } = gap.sessions;
  if (length === 1) return [bandText(gap), STATES.get(state)].filter(Boolean).join(", ");
  const sessions = plural(length, "session");
  if (count === length) return `${bandText(gap)}, ${sessions} ${STATES.get(state)}`;
  return [bandText(gap), sessions, ...known.map(([each, number]) => `${whole(number)} ${STATES.get(each)}`)].join(", ");
}

/** A bar's values with its change from the bar before, if no gap is between them, and the averages. */
export function describeBar(bar, before, averages) {
  const digits = decimals(bar.low);
  const prices = ["open", "high", "low", "close"].map((name) => words(`${name} ${bar[name].toFixed(digits)}`));
  const change = before ? [words(signed(bar.close / before.close - 1), bar.close < before.close ? "down" : "up")] : [];
  const means = averages.map(({ length, points }, number) =>
    legend(`average ${length} `, points.get(bar.date)?.toFixed(digits) ?? NONE, number),
  );
  const notes = bar.flags.length > 0 ? [words(`flagged: ${noteOf(bar)}`, "flagged-note")] : [];
  return [words(bar.date), ...prices, ...change, words(`volume ${compact(bar.volume)}`), ...means, ...notes];
}

/** Compared symbols' values of a day, each with the colour of its line. */
export function describeCompared(day, lines) {
  return [words(day), ...lines.map(({ symbol, points }, number) => legend(`${symbol} `, points.get(day)?.toFixed(1) ?? NONE, number))];
}

export const noteOf = (bar) => bar.validation_notes || bar.flags.join(", ");

const words = (text, kind = null) => element("span", { class: kind }, text);

const legend = (name, value, number) =>
  element("span", { class: "of-line" }, element("i", { class: "swatch", "data-line": number + 1, "aria-hidden": "true" }), name, value);

function signed(change) {
  return `${change < 0 ? "−" : "+"}${(100 * Math.abs(change)).toFixed(2)}%`;
}

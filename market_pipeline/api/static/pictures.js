// Pictures for the chart: the candles of one symbol with its averages, or the closes of several from 100 on.

import { buildSlots, movingAverage, rebase, segmentStarts } from "./timeline.js";

// Flags that compare a bar with the one before; where a gap is between them, they say nothing of the session itself.
const COMPARING = new Set(["unexplained_move", "split_without_move", "unlisted_split", "repeated"]);

/** Candles of an item within a span. Its earlier bars are of its averages only. */
export function drawCandles({ known, bars: all, unadjusted, gaps: allGaps }, { averages, scale }, { start }) {
  const days = all.map((bar) => bar.date);
  const starts = segmentStarts(days, allGaps);
  const first = Math.max(0, days.findIndex((day) => day >= start));
  const bars = days.at(-1) >= start ? all.slice(first) : [];
  const shown = days.slice(days.length - bars.length);
  const gaps = allGaps.filter((gap) => gap.first > shown[0]);
  const ends = new Set([...starts].map((index) => days[index - 1]));
  const closes = all.map((bar) => bar.close);
  const lines = averages.map((length) => {
    const means = movingAverage(closes, starts, length);
    const points = days.map((day, index) => [day, means[index]]).slice(first);
    return { length, points: new Map(points.filter(([, mean]) => mean !== null)), ends, width: 2 };
  });
  const fresh = new Set([...starts].map((index) => days[index]));
  const flagged = bars.filter((bar) => bar.flags.length > 0);
  const marked = flagged.filter((bar) => !fresh.has(bar.date) || bar.flags.some((flag) => !COMPARING.has(flag)));
  return {
    slots: buildSlots(shown, gaps),
    bars,
    lines,
    gaps,
    days: shown,
    indexes: new Map(shown.map((day, index) => [day, index])),
    starts: new Set([...starts].map((index) => index - first)),
    flagged,
    marked: marked.map((bar) => bar.date),
    isLog: scale === "log",
    message: unadjusted > 0 ? `No bar of ${known.symbol} can be adjusted this way.` : `No bars of ${known.symbol} are in this range.`,
  };
}

/**
 * Closes of several items in percent of those of the first session that all have. An item that shares none with those before it has
 * no line, and `note` says so.
 */
export function drawComparison(items, { scale }) {
  const compared = [];
  for (const item of items) if (rebase([...compared, item].map(closesOf)) !== null) compared.push(item);
  if (compared.length === 0) return { days: [], gaps: [], message: `No bars of ${namesOf(items)} are in this range.` };
  const left = items.filter((item) => item.bars.length > 0 && !compared.includes(item));
  const verb = left.length === 1 ? "has" : "have";
  const note = left.length > 0 ? `${namesOf(left)} ${verb} no session in common with ${namesOf(compared)} in this range, and no line.` : null;
  const { day: base, series } = rebase(compared.map(closesOf));
  const days = [...new Set(series.flatMap((points) => [...points.keys()]))].sort();
  const lines = items.map((item) => {
    const points = series[compared.indexOf(item)] ?? new Map();
    return { symbol: item.known.symbol, points, ends: endsOf(item), width: 2 };
  });
  const gaps = commonGaps(items, days, base);
  return { slots: buildSlots(days, gaps), bars: null, lines, gaps, days, base, isShared: compared.length > 1, note, isLog: scale === "log" };
}

const closesOf = ({ bars }) => new Map(bars.map((bar) => [bar.date, bar.close]));
const namesOf = (items) => items.map(({ known }) => known.symbol).join(" and ");

/** The days after which an item's line is interrupted. */
function endsOf({ bars, gaps }) {
  const days = bars.map((bar) => bar.date);
  return new Set([...segmentStarts(days, gaps)].map((index) => days[index - 1]));
}

/** The gaps of the first item in which no other has a bar; where another has one, only the line is interrupted. */
function commonGaps([main], days, base) {
  const known = new Set(days);
  return main.gaps.filter((gap) => gap.first > base && gap.sessions.every((session) => !known.has(session)));
}

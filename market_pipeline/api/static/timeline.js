// Timelines: a slot for each session of a chart, gaps included, and series that end where a gap begins.

// Sessions of a gap that have a slot each; a longer gap is a break, of a share of the bars' slots.
const LONGEST_DRAWN = 5;
const BREAK_SLOTS = 8;
const BREAK_SHARE = 0.05;
// A week of empty sessions, as of a share that is seldom traded, ends no line and no average; longer ones are a halt.
const LONGEST_EMPTY = 5;
const SOON = 60; // slots after a break, of which the first label is one
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
// Kinds of labels, the chart library's TickMarkType: a slot that begins a year, a month, or neither.
const YEAR = 0;
const DAY = 2;

/**
 * Gaps between the first and the last bar, in order. `days` has the days with a bar, `sessions` all days that should
 * have one, in order, and `states` the state of those without. A gap has `first`, `last`, `sessions` (days), `states`
 * (counts) and `ends`: true if no line and no average crosses it.
 */
export function findGaps(days, sessions, states = new Map()) {
  const gaps = [];
  const known = new Set(days);
  let missing = null; // null until the first bar
  for (const session of sessions) {
    if (!known.has(session)) {
      missing?.push(session);
    } else {
      if (missing?.length) gaps.push(gapOf(missing, states));
      missing = [];
    }
  }
  return gaps;
}

function gapOf(sessions, states) {
  const counts = {};
  for (const session of sessions) {
    const state = states.get(session) ?? "unknown";
    counts[state] = (counts[state] ?? 0) + 1;
  }
  const isEmpty = counts.empty === sessions.length;
  return {
    first: sessions[0],
    last: sessions.at(-1),
    sessions,
    states: counts,
    ends: !isEmpty || sessions.length > LONGEST_EMPTY,
  };
}

/** Slots in order: `time` is the day, `gap` the gap it belongs to. A long gap takes fewer slots than it has sessions. */
export function buildSlots(days, gaps) {
  const slots = days.map((time) => ({ time }));
  for (const gap of gaps) slots.push(...drawnSessions(gap, days.length).map((time) => ({ time, gap })));
  return slots.sort((one, other) => (one.time < other.time ? -1 : 1));
}

/** True of a gap that is too long to have a slot for each session. */
export const isBreak = (gap) => gap !== undefined && gap.sessions.length > LONGEST_DRAWN;

/** The time axis's label of a slot: none within a break, and with the year where it changes and soon after a break of years. */
export function labelTick(slots, index, kind) {
  const { time, gap } = slots[index];
  if (isBreak(gap)) return "";
  const [year, month, day] = time.split("-").map(Number);
  if (kind === YEAR && month === 1) return `${year}`;
  const name = MONTHS[month - 1];
  const withYear = kind === YEAR || followsYears(slots, index);
  if (kind === DAY) return `${name} ${day}${withYear ? `, ${year}` : ""}`;
  return withYear ? `${name} ${year}` : name;
}

/** True of a slot soon after a break that hides where the year changes: its drawn slots are of the later year already. */
function followsYears(slots, index) {
  const broken = slots.slice(Math.max(0, index - SOON), index).findLast(({ gap }) => isBreak(gap));
  if (broken === undefined) return false;
  const before = slots.findLast(({ time }) => time < broken.gap.first);
  const after = slots.find(({ time }) => time > broken.gap.last);
  const [earlier, drawn, later] = [before, broken, after].map((slot) => slot?.time.slice(0, 4));
  return drawn === later && earlier !== later;
}

function drawnSessions(gap, bars) {
  const { sessions } = gap;
  if (!isBreak(gap)) return sessions;
  // The first ones, so that the axis has the year of the bar after them.
  return sessions.slice(0, Math.max(BREAK_SLOTS, Math.round(BREAK_SHARE * bars)));
}

/** Indexes of the bars that come first after a gap that ends lines. `days` are the bars', in order. */
export function segmentStarts(days, gaps) {
  const lasts = gaps.filter((gap) => gap.ends).map((gap) => gap.last);
  return new Set(lasts.map((last) => days.findIndex((day) => day > last)));
}

/** Mean of each value and those before it, `length` together; null where a gap or the beginning is nearer than that. */
export function movingAverage(values, starts, length) {
  let sum = 0;
  let first = 0;
  return values.map((value, index) => {
    if (starts.has(index)) {
      sum = 0;
      first = index;
    }
    sum += value;
    if (index - first >= length) sum -= values[index - length];
    return index - first >= length - 1 ? sum / length : null;
  });
}

/**
 * Series of closes in percent of their close on the first day that all have, which is `day`; null without such a day.
 * Each series is a Map of closes by day; earlier days are left out.
 */
export function rebase(series) {
  const [first, ...others] = series;
  const day = [...first.keys()].find((each) => others.every((other) => other.has(each)));
  if (day === undefined) return null;
  const rebased = series.map((closes) => {
    const base = closes.get(day);
    return new Map([...closes].filter(([each]) => each >= day).map(([each, close]) => [each, (100 * close) / base]));
  });
  return { day, series: rebased };
}

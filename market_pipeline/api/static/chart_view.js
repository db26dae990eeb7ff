// The view of the chart: symbol, adjustment, range and so on. It is in the page's URL, so that it can be shared.

export const ADJUSTMENTS = { splits: "adjusted for splits", all: "adjusted for splits and dividends", none: "as traded" };
export const AVERAGES = [20, 50, 200];
export const MOST_COMPARED = 4;
const MONTHS = { "1M": 1, "6M": 6, "1Y": 12, "5Y": 60, All: Infinity };
const SCALES = new Set(["linear", "log"]);
// Default symbol: the first with bars. Default adjustment: the best available.
const DEFAULTS = { symbol: null, adjustment: null, range: "1Y", scale: "linear", averages: [50, 200], compare: [] };

/** The view of a URL's query; what it doesn't say, or says wrongly, is the default. */
export function readView(search) {
  const given = new URLSearchParams(search);
  const view = { ...DEFAULTS };
  if (given.get("symbol")) view.symbol = given.get("symbol");
  if (Object.hasOwn(ADJUSTMENTS, given.get("adjustment"))) view.adjustment = given.get("adjustment");
  if (Object.hasOwn(MONTHS, given.get("range"))) view.range = given.get("range");
  if (SCALES.has(given.get("scale"))) view.scale = given.get("scale");
  if (given.has("averages")) view.averages = AVERAGES.filter((length) => listOf(given.get("averages")).includes(`${length}`));
  if (given.has("compare")) view.compare = [...new Set(listOf(given.get("compare")))].slice(0, MOST_COMPARED);
  return view;
}

const listOf = (text) => text.split(",").filter(Boolean);

/** The query of a view's URL, without what is the default. */
export function viewQuery(view) {
  const changed = Object.entries(view).filter(([name, value]) => value !== null && `${value}` !== `${DEFAULTS[name]}`);
  return new URLSearchParams(changed.map(([name, value]) => [name, `${value}`]));
}

/** First and last day of a range, which counts back from the newest bar; that may be older than today. */
export function spanOf(range, { first_session: first, last_session: last }) {
  const start = MONTHS[range] === Infinity ? first : monthsBefore(last, MONTHS[range]);
  return { start, end: last };
}

/** The day some days before another. */
export function daysBefore(day, days) {
  return new Date(Date.parse(day) - days * 86_400_000).toISOString().slice(0, 10);
}

function monthsBefore(day, months) {
  const [year, month, date] = day.split("-").map(Number);
  const lastOfMonth = new Date(Date.UTC(year, month - months, 0)).getUTCDate();
  return new Date(Date.UTC(year, month - 1 - months, Math.min(date, lastOfMonth))).toISOString().slice(0, 10);
}

// Formats of numbers, dates and durations. Instants are in UTC, as everywhere in the project.

const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const COMPACT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const MONTH = new Intl.DateTimeFormat("en-US", { month: "long", year: "numeric", timeZone: "UTC" });

export const NONE = "–";

export const whole = (number) => WHOLE.format(number);

/** 19.7M; small numbers unchanged, for volumes of fractions of a coin. */
export const compact = (number) => (Math.abs(number) < 1 && number !== 0 ? String(number) : COMPACT.format(number));

/** 1 symbol, 2 symbols. */
export const plural = (number, one, many = `${one}s`) => `${whole(number)} ${number === 1 ? one : many}`;

/** A share in percent; 100 only if it is complete, and 0 only if it is empty. */
export function percent(part, total) {
  if (total === 0) return NONE;
  if (part === total || part === 0) return `${part === total ? 100 : 0}%`;
  return `${Math.min(99.9, Math.max(0.1, (100 * part) / total)).toFixed(1)}%`;
}

/** Decimals that show a price of this size to at least four digits, cents at the least. */
export const decimals = (price) => (price >= 10 || price <= 0 ? 2 : Math.min(10, 3 - Math.floor(Math.log10(price))));

/** "March 2012" from the month's first day. */
export const monthName = (day) => MONTH.format(new Date(`${day}T00:00:00Z`));

/** "2012-03-01 02:00" in UTC from an ISO instant. */
export const instant = (iso) => new Date(iso).toISOString().slice(0, 16).replace("T", " ");

/** The same with the seconds, and their fraction, if they are not 0. */
export function exactInstant(iso) {
  const seconds = new Date(iso).toISOString().slice(16, 19);
  const fraction = /\.\d*[1-9]/.exec(iso)?.[0] ?? "";
  return `${instant(iso)}${seconds === ":00" && !fraction ? "" : seconds}${fraction}`;
}

/** The text of a part of an address; null if an escape in it is broken. */
export function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** "in 3 h", "5 min ago". */
export function distance(iso, now = Date.now()) {
  const seconds = (Date.parse(iso) - now) / 1000;
  const text = duration(Math.abs(seconds));
  return seconds < 0 ? `${text} ago` : `in ${text}`;
}

/** "4 s", "12 min", "3 h", "2 days" from seconds. */
export function duration(seconds) {
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return seconds < 36 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

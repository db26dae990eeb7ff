// Changes of what is stored for a session, of all symbols: bars that came by another run than the first ones, that were corrected,
// and that were taken out. And changes of everything since an instant, as the API's feed has them. Both as rows with the same fields:
// { point, kind, change, symbol, of, parts }.

import { fetchJson, fetchCount, fetchRows, listed, tableAddress } from "./client.js";

const MOST = 200;
const VALUES = ["open", "high", "low", "close", "volume", "vwap", "transactions", "validation_notes"];
const COLUMNS = ["symbol", ...VALUES, "fetched_at", "run_id"].join(",");
// Of each kind of the feed, the field of its values or of its key that says what the row is of, beside the symbol.
const DATES = { bar: "date", split: "execution_date", dividend: "ex_dividend_date", factor: "from_date", ticker: "first_day" };
const ORIGIN = new Set(["symbol", "source", "vendor_id", "fetched_at", "updated_at", "run_id"]);

/** The changes of a session: `stored` bars, `first` when the first ones came, and the newest changes in `rows`. */
export async function fetchSessionChanges(date) {
  const of = ["date", `eq.${date}`];
  const [replaced, firsts] = await Promise.all([
    fetchJson(tableAddress("market_data_revisions", [of, ["select", `${COLUMNS},replaced_at,reason`], ["order", "replaced_at.desc,id.desc"], ["limit", MOST]])),
    fetchJson(tableAddress("market_data", [of, ["select", "fetched_at,run_id"], ["order", "fetched_at.asc"], ["limit", 1]])),
  ]);
  const [first] = [...firsts.data, ...replaced.data].sort((one, other) => (one.fetched_at < other.fetched_at ? -1 : 1));
  const symbols = [...new Set(replaced.data.map((row) => row.symbol))];
  const [stored, present, late] = await Promise.all([
    fetchCount(`rest/v1/market_data?${new URLSearchParams([of, ["limit", 1]])}`), // a wrong date has a reason above, and none here
    symbols.length ? fetchRows(tableAddress("market_data", [of, ["symbol", listed(symbols)], ["select", COLUMNS]])) : [],
    first ? fetchJson(tableAddress("market_data", [of, ["run_id", `neq.${first.run_id}`], ["select", COLUMNS], ["order", "fetched_at.desc"], ["limit", MOST]])) : { data: [] },
  ]);
  const came = late.data.filter((row) => !symbols.includes(row.symbol)).map((row) => describeNew(row, date));
  const changed = symbols.flatMap((symbol) => describeVersions(replaced.data.filter((row) => row.symbol === symbol), present.find((row) => row.symbol === symbol), date));
  const rows = [...changed, ...came].sort((one, other) => (one.point < other.point ? 1 : -1));
  return { date, stored, first: first?.fetched_at, rows, truncated: replaced.truncated || late.truncated };
}

/** A page of the changes since an instant: `next` is the address of the following one. */
export async function fetchChangesSince({ since, kind, symbol, address }) {
  const conditions = [["since", since], ["kind", kind], ["symbol", symbol], ["limit", MOST]].filter(([, value]) => value);
  const page = await fetchJson(address ?? `api/v1/changes?${new URLSearchParams(conditions)}`);
  const { pathname, search } = new URL(page.next, document.baseURI);
  return { since, rows: page.data.map(describeFed), truncated: page.truncated, next: pathname + search };
}

const describeNew = (row, date) => ({ point: row.fetched_at, kind: "bar", change: "came", symbol: row.symbol, of: date, parts: valuesOf(row) });

/** The changes of one symbol's bar: each of its versions, the newest first, beside the one that came after it. */
function describeVersions(versions, present, date) {
  const described = versions.map((version, index) => {
    const after = versions[index - 1] ?? present;
    const isGone = version.reason !== null || after === undefined;
    const parts = isGone ? [version.reason ?? "no longer there", ...valuesOf(version)] : differences(version, after);
    return { point: version.replaced_at, kind: "bar", change: isGone ? "went" : "changed", symbol: version.symbol, of: date, parts };
  });
  const cameBack = present && versions[0].reason !== null ? [describeNew(present, date)] : [];
  return [...cameBack, ...described];
}

function differences(before, after) {
  const parts = VALUES.filter((name) => before[name] !== after[name]).map((name) => `${name} ${before[name] ?? "NULL"} → ${after[name] ?? "NULL"}`);
  return parts.length ? parts : ["the same values"];
}

function valuesOf(row) {
  return VALUES.filter((name) => row[name] !== null && row[name] !== undefined).map((name) => `${name} ${row[name]}`);
}

function describeFed({ point, kind, change, key, values }) {
  const all = { ...key, ...values };
  const others = Object.entries(values ?? {}).filter(([name, value]) => value !== null && !(name in key) && !ORIGIN.has(name));
  const parts = kind === "bar" ? valuesOf(all) : others.map(([name, value]) => `${name} ${value}`);
  return { point, kind, change, symbol: all.symbol ?? all.ticker ?? all.name ?? "", of: all[DATES[kind]] ?? "", parts };
}

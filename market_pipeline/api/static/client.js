// Requests to the read API, with the user's key if reading needs one. Responses are plain objects; every failure is a
// Problem with a message for the user.

const KEY = "market-pipeline-key";
const TIMEOUT_MS = 30_000;
const ROWS_A_PAGE = 10_000;
const MOST_PAGES = 50;

/** A failed request: `status` is the HTTP status, or 0 without a response. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(sentence(detail || title));
    this.name = "Problem";
    this.status = status;
  }
}

/** Sets the key for further requests; it is kept until the tab is closed. */
export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

/** True if a key is set. */
export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** Fetches JSON from a URL relative to the page. `accept` lists statuses besides 2xx whose body is returned too. */
export async function fetchJson(address, accept = [], reviver = undefined) {
  const response = await reach(address);
  const body = await response
    .text()
    .then((text) => JSON.parse(text, reviver))
    .catch(() => null);
  if (body !== null && (response.ok || accept.includes(response.status))) return body;
  const title = body?.title ?? `The API returned ${response.status}.`;
  throw new Problem(response.status, title, body?.detail);
}

/** The number of all rows of a request to `/rest/v1`; up to API_MAX_ROWS it is exact. */
export async function fetchCount(address) {
  const response = await reach(address, { method: "HEAD", headers: { Prefer: "count=estimated" } });
  if (!response.ok) throw new Problem(response.status, `The API returned ${response.status}.`);
  return Number(response.headers.get("Content-Range").split("/")[1]);
}

/** Fetches JSON as `fetchJson`; whole numbers that JavaScript would round are texts, where the browser knows their digits. */
export const fetchExactly = (address) =>
  fetchJson(address, [], (_key, value, context) => (Number.isInteger(value) && !Number.isSafeInteger(value) ? (context?.source ?? value) : value));

/** All rows of a paged response. */
export const fetchRows = async (address) => (await fetchAll(address)).data;

/** A paged response with the rows of all its pages in `data`, following `next` to the end. */
export async function fetchAll(address) {
  const first = await firstPage(address);
  const rows = [...first.data];
  let { next } = first;
  for (let page = 1; next && page < MOST_PAGES; page += 1) {
    const following = await fetchJson(withoutHost(next));
    rows.push(...following.data);
    next = following.next;
  }
  return { ...first, data: rows };
}

/** Fetches the first page with the most rows, or with the server's default if its maximum is lower. */
async function firstPage(address) {
  const large = new URL(address, document.baseURI);
  large.searchParams.set("limit", ROWS_A_PAGE);
  try {
    return await fetchJson(large);
  } catch (error) {
    if (error.status !== 400) throw error;
    return fetchJson(address);
  }
}

/** A table's URL; conditions are pairs, as a column may have two. */
export function tableAddress(table, conditions) {
  return `api/v1/tables/${encodeURIComponent(table)}?${new URLSearchParams(conditions)}`;
}

/** A list for `in.(...)`; quoted, since the dot of a ticker like BRK.B has a meaning there. */
export const listed = (values) => `in.(${values.map((value) => `"${value}"`).join(",")})`;

async function reach(address, { method = "GET", headers: others = {} } = {}) {
  try {
    const key = sessionStorage.getItem(KEY);
    const headers = { Accept: "application/json", ...others, ...(key ? { "X-API-Key": key } : {}) };
    return await fetch(address, { method, headers, cache: "no-cache", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Problem(
      0,
      late ? `No response within ${TIMEOUT_MS / 1000} s.` : "The API can't be reached: check that it runs.",
    );
  }
}

/** A URL of the API without its host, which may differ behind a proxy. */
function withoutHost(address) {
  const { pathname, search } = new URL(address, document.baseURI);
  return pathname + search;
}

/** Formats a message as a sentence: the API's messages begin in lower case and have no full stop, as in logs. */
function sentence(text) {
  const begun = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

// Asking the read API, with the reader's key where it takes one. Answers are plain objects; whatever goes wrong is a
// Problem with a text for people.

const KEY = "market-pipeline-key";
const TIMEOUT_MS = 30_000;
const ROWS_A_PAGE = 10_000;
const MOST_PAGES = 50;

/** Why there is no answer: `status` is the HTTP status, or 0 where nothing answered. */
export class Problem extends Error {
  constructor(status, title, detail) {
    super(sentence(detail || title));
    this.name = "Problem";
    this.status = status;
  }
}

/** The key to ask with from now on; it is forgotten with the tab. */
export function useKey(key) {
  sessionStorage.setItem(KEY, key);
}

/** Whether there is a key to ask with. */
export const hasKey = () => sessionStorage.getItem(KEY) !== null;

/** The JSON at an address relative to the page. `accept` lists statuses besides 2xx whose body is an answer too. */
export async function ask(address, accept = []) {
  const response = await reach(address);
  const body = await response.json().catch(() => null);
  if (body !== null && (response.ok || accept.includes(response.status))) return body;
  const title = body?.title ?? `The API answered ${response.status}.`;
  throw new Problem(response.status, title, body?.detail);
}

/** All rows of a paged answer. */
export const askRows = async (address) => (await askAll(address)).data;

/** A paged answer with the rows of all its pages in `data`, following `next` to the end. */
export async function askAll(address) {
  const first = await firstPage(address);
  const rows = [...first.data];
  let { next } = first;
  for (let page = 1; next && page < MOST_PAGES; page += 1) {
    const answer = await ask(withoutHost(next));
    rows.push(...answer.data);
    next = answer.next;
  }
  return { ...first, data: rows };
}

/** With as many rows as can be, or, where the server is set up to give fewer at once, with as many as it gives. */
async function firstPage(address) {
  const large = new URL(address, document.baseURI);
  large.searchParams.set("limit", ROWS_A_PAGE);
  try {
    return await ask(large);
  } catch (error) {
    if (error.status !== 400) throw error;
    return ask(address);
  }
}

/** A table's address; conditions are pairs, as a column may have two. */
export function tableAddress(table, conditions) {
  return `api/v1/tables/${encodeURIComponent(table)}?${new URLSearchParams(conditions)}`;
}

/** A list for `in.(...)`; quoted, since a ticker like BRK.B holds a character that means something there. */
export const listed = (values) => `in.(${values.map((value) => `"${value}"`).join(",")})`;

async function reach(address) {
  try {
    const key = sessionStorage.getItem(KEY);
    const headers = { Accept: "application/json", ...(key ? { "X-API-Key": key } : {}) };
    return await fetch(address, { headers, cache: "no-cache", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Problem(
      0,
      late ? `No answer within ${TIMEOUT_MS / 1000} s.` : "The API can't be reached. Is it running?",
    );
  }
}

/** An address of the API without its host: behind a proxy the API may know itself by another. */
function withoutHost(address) {
  const { pathname, search } = new URL(address, document.baseURI);
  return pathname + search;
}

/** As a sentence of its own: the API's texts begin small and end without a full stop, for use in logs. */
function sentence(text) {
  const begun = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

// The view of a table: its name, filters, order, columns and page; as the page's address, and as addresses of the API.
// Filters are texts as the API takes them, such as ["date", "gte.2024-01-01"].

import { decode } from "./format.js";

const HASH = /^#table\/([^/?]+)(?:\/(\d+))?(?:\?(.*))?$/;
const OWN = new Set(["select", "order", "limit", "cursor"]);
const PAST = new Set(["as_of", "snapshot"]);
const CONTAINS = /^((?:not\.)?cs\.)\{*(.*?)\}*$/s; // the braces of a list, which the count's API requires, may be left out

export const SIZES = [25, 50, 100, 500];

export const emptyView = (table) => ({ table, filters: [], order: [], columns: null, size: SIZES[0], page: 1, cursor: null });

/** The view of an address's hash; null if it is none of a table. */
export function parseView(hash) {
  const [, text, page, query] = HASH.exec(hash) ?? [];
  const table = text && decode(text);
  if (!table) return null;
  const parameters = new URLSearchParams(query);
  const cursor = parameters.get("cursor");
  return {
    table,
    filters: [...parameters].filter(([name]) => !OWN.has(name)),
    order: (parameters.get("order") ?? "").split(",").filter(Boolean).map(parseOrder),
    columns: parameters.get("select")?.split(",") ?? null,
    size: SIZES.find((size) => String(size) === parameters.get("limit")) ?? SIZES[0],
    page: cursor ? Number(page ?? 1) : 1,
    cursor,
  };
}

/** The hash of a view. */
export function formatView(view) {
  const page = view.page > 1 ? `/${view.page}` : "";
  return `#table/${encodeURIComponent(view.table)}${page}?${queryOf(parametersOf(view))}`;
}

/** The address of the view's rows, relative to the page; of all rows of the filters with `whole`. */
export function rowsAddress(view, { format = null, whole = false } = {}) {
  const parameters = parametersOf(whole ? { ...view, size: null, cursor: null } : view);
  if (format) parameters.append("format", format);
  const query = queryOf(parameters);
  return `api/v1/tables/${encodeURIComponent(view.table)}${query && `?${query}`}`;
}

/** The address whose header Content-Range has the number of all rows; null for rows of the past, which that API doesn't have. */
export function countAddress(view) {
  if (view.filters.some(([name]) => PAST.has(name))) return null;
  const filters = view.filters.map(([name, text]) => [name, text.replace(CONTAINS, (_, operator, values) => `${operator}{${values}}`)]);
  return `rest/v1/${encodeURIComponent(view.table)}?${new URLSearchParams([...filters, ["limit", "1"]])}`;
}

/** The view with its rows ordered by a column: ascending, then descending, then by the key again. */
export function orderBy(view, column, { also = false } = {}) {
  const present = view.order.find((part) => part.column === column);
  const others = also ? view.order.filter((part) => part !== present) : [];
  const next = present?.descending ? [] : [{ column, descending: Boolean(present) }];
  return firstPage({ ...view, order: [...others, ...next] });
}

export const firstPage = (view) => ({ ...view, page: 1, cursor: null });

function parametersOf({ filters, order, columns, size, cursor }) {
  const parts = [
    ["select", columns?.join(",")],
    ["order", order.map(({ column, descending }) => `${column}.${descending ? "desc" : "asc"}`).join(",")],
    ["limit", size],
    ["cursor", cursor],
  ];
  return new URLSearchParams([...filters, ...parts.filter(([, value]) => value)]);
}

/** The query, in which commas, colons and parentheses stand for themselves, so that people can read it. */
const queryOf = (parameters) => String(parameters).replace(/%2C|%3A|%28|%29/g, decodeURIComponent);

function parseOrder(part) {
  const [column, direction] = part.split(".");
  return { column, descending: direction === "desc" };
}

// Changes of what is stored: of a session, or since an instant. The page's address keeps which.

import { fetchJson, tableAddress } from "./client.js";
import { element, prose, replace } from "./dom.js";
import { decode, exactInstant, instant, plural, whole } from "./format.js";
import { Part } from "./part.js";
import { fetchChangesSince, fetchSessionChanges } from "./session_changes.js";

const HASH = /^#changes\/(?:since\/)?([^?]+)(?:\?(.*))?$/;
const DAY = /^\d{4}-\d\d-\d\d$/;
const HEADINGS = ["When", "What", "Change", "Symbol", "Date", "Values"];

/** The address of a session's changes. */
export const changesHash = (date) => `#changes/${date}`;

export class Changes {
  constructor() {
    this.part = new Part("changes");
    this.form = this.part.section.querySelector("form");
    this.frame = this.part.body.querySelector(".scroll");
    this.more = this.part.body.querySelector(".more");
    this.form.addEventListener("change", () => this.chosen());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.more.addEventListener("click", () => this.showMore());
    addEventListener("hashchange", () => this.navigated());
  }

  /** Shows the changes in the address, or of the newest session with bars. */
  async refresh() {
    if (this.shown === undefined) this.shown = parseHash(location.hash);
    if (this.pages > 1) return null; // what "more" has fetched stays
    return this.show({ fresh: false });
  }

  /** Scrolls to the part if the address is one of changes. */
  revealAddressed() {
    if (parseHash(location.hash) === null) return;
    this.part.section.scrollIntoView({ block: "start" });
    document.getElementById("changes-title").focus({ preventScroll: true });
  }

  navigated() {
    const shown = parseHash(location.hash);
    if (shown === null) return;
    this.shown = shown;
    this.show({ fresh: true });
    this.revealAddressed();
  }

  chosen() {
    const { by, date, since, kind, symbol } = this.form.elements;
    this.showFields();
    if (by.value === "session" && date.value) location.hash = changesHash(date.value);
    if (by.value === "since" && since.value) {
      const filters = new URLSearchParams([["kind", kind.value], ["symbol", symbol.value.trim()]].filter(([, value]) => value));
      // Another kind or symbol leaves an instant of the address as it is, whose fraction the field doesn't have.
      const instantOf = since.value === this.filled ? this.shown.since : `${since.value}Z`;
      location.hash = `#changes/since/${instantOf}${filters.size ? `?${filters}` : ""}`;
    }
  }

  showFields() {
    const isSession = this.form.elements.by.value === "session";
    for (const field of this.form.querySelectorAll("[data-by]")) field.hidden = (field.dataset.by === "session") !== isSession;
  }

  async show({ fresh }) {
    this.pages = 1;
    return this.part.show(
      async () => {
        this.shown ??= await fetchNewestSession();
        if (this.shown === null) return null;
        return this.shown.date ? fetchSessionChanges(this.shown.date) : fetchChangesSince(this.shown);
      },
      (data) => this.render(data),
      { fresh },
    );
  }

  async showMore() {
    const before = this.data;
    this.pages += 1;
    await this.part.show(
      async () => {
        const page = await fetchChangesSince({ ...this.shown, address: before.next });
        return { ...page, rows: [...before.rows, ...page.rows] };
      },
      (data) => this.render(data),
    );
  }

  render(data) {
    this.part.section.dataset.rows = data?.rows.length ?? 0;
    if (data === null) return "Nothing is stored yet, so nothing has changed.";
    this.data = data;
    this.fillForm();
    this.more.hidden = !(data.truncated && data.next);
    replace(this.part.body.querySelector(".summary"), ...prose(data.next ? summarizeSince(data) : summarizeSession(data)));
    this.frame.hidden = data.rows.length === 0;
    replace(this.frame, drawTable(data.rows, data.date ? "one-date" : null));
    const rest = this.part.body.querySelector(".rest");
    const address = `#table/market_data_revisions?date=eq.${data.date}&order=replaced_at.desc`;
    replace(rest, ...(data.date ? ["All earlier versions of this session's bars: ", element("a", { href: address }, "market_data_revisions")] : []));
    return undefined;
  }

  fillForm() {
    const { by, date, since, kind, symbol } = this.form.elements;
    by.value = this.shown.date ? "session" : "since";
    if (this.shown.date) date.value = this.shown.date;
    else this.filled = Object.assign(since, { value: new Date(this.shown.since).toISOString().slice(0, 19) }).value;
    kind.value = this.shown.kind ?? "";
    symbol.value = this.shown.symbol ?? "";
    this.showFields();
  }
}

function parseHash(hash) {
  const [, text, query] = HASH.exec(hash) ?? [];
  if (text === undefined) return null;
  if (DAY.test(text)) return { date: text };
  return { since: decode(text) ?? text, ...Object.fromEntries(new URLSearchParams(query)) };
}

/** The newest session with bars of tracked symbols; where there is none, of a whole market. */
async function fetchNewestSession() {
  const newest = [["order", "date.desc"], ["limit", "1"], ["select", "date"]];
  const tracked = await fetchJson(tableAddress("day_conditions", [["loaded", "gt.0"], ...newest]));
  if (tracked.data.length) return tracked.data[0];
  return (await fetchJson(tableAddress("market_sessions", [["loaded_at", "is.not_null"], ...newest]))).data[0] ?? null;
}

function summarizeSession({ date, stored, first, rows, truncated }) {
  if (stored === 0 && rows.length === 0) return `Nothing is stored for ${date}.`;
  const count = (change) => rows.filter((row) => row.change === change).length;
  const least = truncated ? "at least " : "";
  const since = first ? `, the first loaded at ${instant(first)}` : "";
  if (rows.length === 0) return `${plural(stored, "bar")} of ${date}${since}. None has changed.`;
  return `${plural(stored, "bar")} of ${date}${since}; since then ${least}${whole(count("came"))} came, ${whole(count("changed"))} changed and ${whole(count("went"))} went.`;
}

function summarizeSince({ since, rows, truncated }) {
  const number = rows.length === 0 ? "No change" : plural(rows.length, "change");
  return `${truncated ? "The first " : ""}${number} since ${exactInstant(since)} UTC.`;
}

function drawTable(rows, kind) {
  return element(
    "table",
    { class: kind },
    element("caption", { class: "hidden" }, "Changes of what is stored"),
    element("thead", {}, element("tr", {}, ...HEADINGS.map((name) => element("th", { scope: "col" }, name)))),
    element("tbody", {}, ...rows.map(drawRow)),
  );
}

function drawRow({ point, kind, change, symbol, of, parts }) {
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, element("time", { datetime: point }, instant(point))),
    element("td", {}, kind),
    element("td", {}, element("span", { class: "change", "data-change": change }, change)),
    element("td", {}, symbol),
    element("td", {}, of),
    element("td", { class: "prose" }, parts.join(", ")),
  );
}

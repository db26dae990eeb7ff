// One symbol: its candles with volume. The view is in the page's URL, so that it can be shared.

import { ask, askAll } from "./client.js";
import { Chart } from "./chart.js";
import { element, prose, replace } from "./dom.js";
import { compact, decimals, plural } from "./format.js";
import { Part } from "./part.js";

const ADJUSTMENTS = { splits: "adjusted for splits", all: "adjusted for splits and dividends", none: "as traded" };
const RANGES = { "6M": 6, "1Y": 12, "5Y": 60, All: Infinity };
// Default symbol: the first with bars. Default adjustment: the best available.
const DEFAULTS = { symbol: null, adjustment: null, range: "1Y" };
const CANT_BE_ADJUSTED = 409;
const FAR_BACK = "2000-01-01";

export class Candles {
  constructor() {
    this.part = new Part("candles");
    this.form = this.part.section.querySelector("form");
    this.chooser = document.getElementById("symbol");
    this.instead = this.part.section.querySelector(".instead");
    this.chart = null;
    this.symbols = [];
    this.readAddress();
    this.form.addEventListener("change", ({ target }) => this.choose({ [target.name]: target.value }));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.instead.firstElementChild.addEventListener("click", () => this.choose({ adjustment: "none" }));
    addEventListener("popstate", () => {
      this.readAddress();
      this.refresh({ fresh: true });
    });
  }

  readAddress() {
    const given = Object.fromEntries(new URLSearchParams(location.search));
    this.view = { ...DEFAULTS };
    if (given.symbol) this.view.symbol = given.symbol;
    if (Object.hasOwn(ADJUSTMENTS, given.adjustment)) this.view.adjustment = given.adjustment;
    if (Object.hasOwn(RANGES, given.range)) this.view.range = given.range;
  }

  /** Shows another symbol, adjustment or range, and puts it into the URL. */
  choose(changes) {
    Object.assign(this.view, changes);
    const told = Object.entries(this.view).filter(([, value]) => value !== null);
    history.pushState(null, "", `?${new URLSearchParams(told)}#candles`);
    return this.refresh({ fresh: true });
  }

  /** Scrolls to this part, for a symbol chosen elsewhere on the page. */
  reveal() {
    const title = document.getElementById("candles-title");
    title.focus({ preventScroll: true });
    title.scrollIntoView({ block: "start" });
  }

  async refresh({ fresh = false } = {}) {
    this.instead.hidden = true;
    this.drawControls();
    const error = await this.part.show(
      () => this.load(),
      (data) => this.render(data, fresh),
      { fresh },
    );
    this.instead.hidden = this.part.state !== "error" || error?.status !== CANT_BE_ADJUSTED;
    return error;
  }

  async load() {
    const { symbols } = await ask("api/v1/symbols");
    this.symbols = symbols.filter(({ bars }) => bars > 0).map(({ symbol }) => symbol);
    this.view.symbol ??= this.symbols[0] ?? null;
    const view = { ...this.view };
    this.drawControls();
    const known = symbols.find(({ symbol }) => symbol === view.symbol);
    if (view.symbol === null || known?.bars === 0) return { view, known, address: null, data: [] };
    const address = barsAddress(view, known);
    const { adjustment, note, data } = await askAll(address);
    return { view: { ...view, adjustment }, known, address, note, data };
  }

  drawControls() {
    const { symbol, adjustment, range } = this.view;
    const offered = symbol === null || this.symbols.includes(symbol) ? this.symbols : [symbol, ...this.symbols];
    if (offered.join() !== [...this.chooser.options].map((option) => option.value).join()) {
      replace(this.chooser, ...offered.map((name) => element("option", {}, name)));
    }
    this.chooser.disabled = offered.length === 0;
    if (symbol !== null) this.chooser.value = symbol;
    this.form.elements.adjustment.value = adjustment ?? this.part.section.dataset.adjustment ?? "";
    this.form.elements.range.value = range;
  }

  render({ view, known, address, note, data }, fresh) {
    const { section, body } = this.part;
    const bars = data.filter((bar) => bar.close !== null);
    section.dataset.bars = bars.length;
    if (bars.length === 0) return nothing(view.symbol, data.length);
    Object.assign(section.dataset, view);
    this.form.elements.adjustment.value = view.adjustment;
    body.querySelector(".sandbox").hidden = !bars.some((bar) => bar.source === "sandbox");
    body.querySelector(".summary").textContent = summary(view, known, bars, data.length);
    replace(body.querySelector(".hint"), ...prose(note ?? ""));
    this.drawFlags(bars.filter((bar) => bar.flags.length > 0));
    this.drawDownloads(address);
    this.drawChart(bars, fresh);
    return undefined;
  }

  drawChart(bars, fresh) {
    this.part.body.hidden = false; // the chart measures its container
    const first = this.chart === null;
    this.chart ??= new Chart(this.part.body.querySelector(".chart"), (bar) => this.tell(bar));
    this.newest = bars.at(-1);
    this.chart.show(bars, first || fresh);
    this.tell(null);
  }

  tell(bar) {
    replace(this.part.body.querySelector(".bar"), ...describe(bar ?? this.newest));
  }

  drawFlags(flagged) {
    const details = this.part.body.querySelector(".flags");
    this.part.section.dataset.flagged = flagged.length;
    details.hidden = flagged.length === 0;
    details.querySelector("summary").textContent = `${plural(flagged.length, "flagged bar")}, marked with an arrow`;
    replace(details.querySelector("ul"), ...flagged.map((bar) => element("li", {}, `${bar.date}: ${noteOf(bar)}`)));
  }

  drawDownloads(address) {
    const ways = ["json", "csv", "parquet"].map((format) =>
      element("a", { href: `${address}&format=${format}` }, format),
    );
    replace(this.part.body.querySelector(".downloads"), "The same bars as ", ways[0], ", ", ways[1], " or ", ways[2]);
  }
}

/** The URL of a view's bars; a range counts back from the newest bar, which may be older than today. */
function barsAddress({ symbol, adjustment, range }, known) {
  const end = known?.last_date ?? new Date().toISOString().slice(0, 10);
  const start = RANGES[range] === Infinity ? (known?.first_date ?? FAR_BACK) : monthsBefore(end, RANGES[range]);
  const query = new URLSearchParams({ start, end, ...(adjustment ? { adjustment } : {}) });
  return `api/v1/historical/${encodeURIComponent(symbol)}?${query}`;
}

function monthsBefore(day, months) {
  const [year, month, date] = day.split("-").map(Number);
  const lastOfMonth = new Date(Date.UTC(year, month - months, 0)).getUTCDate();
  return new Date(Date.UTC(year, month - 1 - months, Math.min(date, lastOfMonth))).toISOString().slice(0, 10);
}

function nothing(symbol, unadjusted) {
  if (symbol === null) return "Nothing is loaded yet: run `market-pipeline backfill`.";
  return unadjusted ? `No bar of ${symbol} can be adjusted this way.` : `No bars of ${symbol} are loaded yet.`;
}

function summary({ symbol, adjustment }, known, bars, found) {
  const left = found - bars.length;
  const span = `${plural(bars.length, "bar")}, ${bars[0].date} to ${bars.at(-1).date}`;
  const without = left > 0 ? `${plural(left, "bar")} without an adjusted price left out` : null;
  return [symbol, known?.name, known?.asset_class, span, ADJUSTMENTS[adjustment], without].filter(Boolean).join(" · ");
}

function describe(bar) {
  const digits = decimals(bar.low);
  const prices = ["open", "high", "low", "close"].map((name) => `${name} ${bar[name].toFixed(digits)}`);
  const notes = bar.flags.length > 0 ? [`flagged: ${noteOf(bar)}`] : [];
  const told = [bar.date, ...prices, `volume ${compact(bar.volume)}`, ...notes];
  return told.map((words) => element("span", {}, words));
}

const noteOf = (bar) => bar.validation_notes || bar.flags.join(", ");

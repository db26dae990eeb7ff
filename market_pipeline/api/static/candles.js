// The page's chart: candles of a symbol with volume and averages, or several symbols from 100 on.

import { BarsTable, barColumns, comparedColumns } from "./bars_table.js";
import { barsAddress, loadChart } from "./chart_data.js";
import { Chart } from "./chart.js";
import { ADJUSTMENTS, AVERAGES, MOST_COMPARED, readView, viewQuery } from "./chart_view.js";
import { element, prose, replace } from "./dom.js";
import { describeEmpty, drawSteps, stepsFor } from "./first_steps.js";
import { plural } from "./format.js";
import { Part } from "./part.js";
import { drawCandles, drawComparison } from "./pictures.js";
import { describeBar, describeCompared, describeGap, noteOf } from "./readout.js";
import { SymbolSearch } from "./symbol_search.js";

const CANT_BE_ADJUSTED = 409;

export class Candles {
  constructor() {
    this.part = new Part("candles");
    const { section } = this.part;
    this.form = section.querySelector("form");
    this.instead = section.querySelector(".instead");
    this.steps = section.querySelector(".steps");
    this.readout = section.querySelector(".bar");
    this.title = document.getElementById("candles-title");
    this.view = readView(location.search);
    this.chart = null;
    this.table = new BarsTable(section.querySelector(".as-table"));
    this.search = new SymbolSearch(section.querySelector(".search"), (symbol) => this.choose({ symbol }));
    this.comparison = new SymbolSearch(section.querySelector(".comparison"), (symbol) => this.compare(symbol));
    section.addEventListener("change", ({ target }) => this.changed(target)); // some options are below the chart
    this.form.addEventListener("submit", (event) => event.preventDefault());
    section.querySelector(".compared").addEventListener("click", ({ target }) => this.uncompare(target.closest("button")));
    this.instead.firstElementChild.addEventListener("click", () => this.choose({ adjustment: "none" }));
    document.addEventListener("keydown", (event) => this.focusSearch(event));
    addEventListener("popstate", () => {
      this.view = readView(location.search);
      this.refresh({ fresh: true });
    });
  }

  /** Shows another symbol, adjustment, range and so on, and puts it into the URL. */
  choose(changes) {
    Object.assign(this.view, changes);
    this.view.compare = this.view.compare.filter((symbol) => symbol !== this.view.symbol);
    history.pushState(null, "", `?${viewQuery(this.view)}#candles`);
    return this.refresh({ fresh: true });
  }

  changed({ name, value, checked }) {
    if (name === "scale") this.choose({ scale: checked ? "log" : "linear" });
    else if (name === "averages") {
      this.choose({ averages: AVERAGES.filter((length) => (`${length}` === value ? checked : this.view.averages.includes(length))) });
    } else if (name) this.choose({ [name]: value });
  }

  compare(symbol) {
    this.comparison.show(null);
    const main = this.view.symbol ?? this.part.section.dataset.symbol;
    if (symbol === main || this.view.compare.includes(symbol)) return;
    this.choose({ symbol: main, compare: [...this.view.compare, symbol].slice(-MOST_COMPARED) });
  }

  uncompare(button) {
    if (!button) return;
    this.choose({ compare: this.view.compare.filter((symbol) => symbol !== button.dataset.symbol) });
    this.comparison.input.focus();
  }

  /** The key `/` goes to the search from anywhere but a box to type in. */
  focusSearch(event) {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    this.search.input.focus();
  }

  /** Scrolls to this part, for a symbol chosen elsewhere on the page. */
  reveal() {
    this.title.focus({ preventScroll: true });
    this.title.scrollIntoView({ block: "start" });
  }

  async refresh({ fresh = false } = {}) {
    this.instead.hidden = true;
    this.drawControls();
    let data = null;
    const error = await this.part.show(
      async () => (data = { view: { ...this.view }, ...(await loadChart(this.view)) }),
      (loaded) => this.render(loaded, fresh),
      { fresh },
    );
    this.instead.hidden = this.part.state !== "error" || error?.status !== CANT_BE_ADJUSTED;
    drawSteps(this.steps, ["empty", "error"].includes(this.part.state) ? await stepsFor(data, error) : null);
    return error;
  }

  drawControls() {
    const { symbol, adjustment, range, scale, averages, compare } = this.view;
    const { elements } = this.form;
    this.search.show(symbol ?? this.part.section.dataset.symbol);
    elements.adjustment.value = adjustment ?? this.part.section.dataset.adjustment ?? "";
    elements.range.value = range;
    elements.scale.checked = scale === "log";
    for (const box of elements.averages) box.checked = averages.includes(Number(box.value));
    this.part.section.querySelector(".averages").disabled = compare.length > 0;
    this.comparison.input.disabled = compare.length >= MOST_COMPARED;
  }

  render({ view, span, items, ...rest }, fresh) {
    const { section, body } = this.part;
    if (rest.empty) {
      section.dataset.bars = 0;
      return describeEmpty(rest);
    }
    const [main] = items;
    const picture = items.length > 1 ? drawComparison(items, view) : drawCandles(main, view, span);
    section.dataset.bars = picture.days.length;
    if (picture.days.length === 0) return picture.message;
    const { adjustment } = main;
    Object.assign(section.dataset, { symbol: main.known.symbol, adjustment, range: view.range, gaps: picture.gaps.length });
    this.title.textContent = [main.known.symbol, main.known.name].filter(Boolean).join(" · ");
    this.search.show(main.known.symbol);
    this.form.elements.adjustment.value = adjustment;
    body.querySelector(".sandbox").hidden = !items.some(({ bars }) => bars.some((bar) => bar.source === "sandbox"));
    body.querySelector(".summary").textContent = summary(main, picture, items);
    replace(body.querySelector(".picture-note"), ...prose([...items, picture].map(({ note }) => note).filter(Boolean).join(" ")));
    this.drawCompared(items.slice(1));
    this.drawDetails(picture);
    this.drawDownloads(barsAddress(main.known.symbol, span, view.adjustment ?? adjustment));
    this.drawChart(picture, fresh);
    return undefined;
  }

  drawChart(picture, fresh) {
    this.part.body.hidden = false; // the chart measures its container
    const first = this.chart === null;
    this.chart ??= this.createChart();
    this.picture = picture;
    this.chart.show(picture, first || fresh);
    this.table.show(picture.slots, picture.bars ? barColumns(picture.bars) : comparedColumns(picture.lines));
    this.describeSlot(null);
    if (first) requestAnimationFrame(() => performance.mark("first chart"));
  }

  createChart() {
    const container = this.part.body.querySelector(".chart");
    // A screen reader reads the values that the keys bring, not those under a moving pointer.
    container.addEventListener("pointermove", () => this.readout.setAttribute("aria-live", "off"));
    container.addEventListener("keydown", () => this.readout.setAttribute("aria-live", "polite"));
    return new Chart(container, (slot) => this.describeSlot(slot));
  }

  /** Shows the values of a slot, or of the newest bar. */
  describeSlot(slot) {
    const { bars, lines, days } = this.picture;
    if (slot?.gap) return replace(this.readout, element("span", {}, describeGap(slot.gap)));
    const day = slot?.time ?? days.at(-1);
    if (!bars) return replace(this.readout, ...describeCompared(day, lines));
    const index = this.picture.indexes.get(day);
    const before = this.picture.starts.has(index) ? null : bars[index - 1];
    return replace(this.readout, ...describeBar(bars[index], before, lines));
  }

  drawCompared(items) {
    const chips = items.map(({ known }, number) =>
      element(
        "button",
        { type: "button", "data-symbol": known.symbol, "aria-label": `Stop comparing with ${known.symbol}` },
        element("i", { class: "swatch", "data-line": number + 2 }),
        `${known.symbol} ×`,
      ),
    );
    replace(this.part.section.querySelector(".compared"), ...chips);
  }

  drawDetails({ flagged = [], marked = [], gaps }) {
    this.part.section.dataset.flagged = flagged.length;
    const notes = flagged.map((bar) => `${bar.date}: ${noteOf(bar)}`);
    const across = flagged.length - marked.length;
    const arrows = across > 0 ? `: ${marked.length} with an arrow, ${across} compared with a bar before a gap` : ", with an arrow";
    this.drawList(".flags", `${plural(flagged.length, "flagged bar")}${arrows}`, notes);
    this.drawList(".gaps", `${plural(gaps.length, "gap")}, drawn as bands`, gaps.map(describeGap));
  }

  drawList(selector, title, lines) {
    const details = this.part.body.querySelector(selector);
    details.hidden = lines.length === 0;
    details.querySelector("summary").textContent = title;
    replace(details.querySelector("ul"), ...lines.map((line) => element("li", {}, line)));
  }

  drawDownloads(address) {
    const ways = ["json", "csv", "parquet"].map((format) => element("a", { href: `${address}&format=${format}` }, format));
    replace(this.part.body.querySelector(".downloads"), "The same bars as ", ways[0], ", ", ways[1], " or ", ways[2]);
  }
}

function summary({ known, adjustment, unadjusted }, { days, base, isShared }, items) {
  if (items.length > 1) {
    const kinds = items.map((item) => ADJUSTMENTS[item.adjustment] ?? "without bars");
    const each = new Set(kinds).size > 1 ? items.map((item, place) => `${item.known.symbol} ${kinds[place]}`) : [kinds[0]];
    return [`Closes, 100 on ${base}${isShared ? ", the first session in common" : ""}`, `to ${days.at(-1)}`, ...each].join(" · ");
  }
  const span = `${plural(days.length, "bar")}, ${days[0]} to ${days.at(-1)}`;
  const without = unadjusted > 0 ? `${plural(unadjusted, "bar")} without an adjusted price left out` : null;
  return [known.asset_class, known.ended ? "ended" : null, span, ADJUSTMENTS[adjustment], without].filter(Boolean).join(" · ");
}

// The chart of candles, volume and lines, with the vendored chart library. It gets bars, and makes no requests.

import { candleOptions, fixedOptions, flagMarker, lineOptions, readColours, themeOptions } from "./chart_theme.js";
import { decimals } from "./format.js";
import { GapBands, spanOfDays } from "./gap_bands.js";
import { isBreak, labelTick } from "./timeline.js";

/* global LightweightCharts */

const VOLUME_SHARE = 0.22;
const PAGE = 20;
const ZOOM = 1.5;
const FEWEST_SLOTS = 10;

/**
 * A picture: `slots` in order, each with its `time`, and `gap` where it belongs to one; `bars` to draw as candles, or
 * null; `lines`, each with `points` (a Map of values by day), `ends` (the days after which it is interrupted) and
 * `width`; `marked` days; `isLog`.
 */
export class Chart {
  /** `onSlot(slot)`: called with the slot under the pointer or the keys, or null. */
  constructor(container, onSlot) {
    const { createChart } = LightweightCharts;
    this.container = container;
    this.onSlot = onSlot;
    this.series = [];
    this.bands = [];
    this.at = null;
    this.chart = createChart(container, fixedOptions());
    this.chart.applyOptions({
      timeScale: { tickMarkFormatter: (time, kind) => this.labelOf(time, kind) },
      localization: { timeFormatter: (time) => spanOfDays(this.breakAt(time) ?? { first: time, last: time }) },
    });
    // Moves by keys come here too, later and without an event.
    this.chart.subscribeCrosshairMove(({ time, sourceEvent }) => sourceEvent && this.point(this.indexes?.get(time)));
    container.addEventListener("pointerleave", () => this.point());
    container.addEventListener("keydown", (event) => this.pressed(event));
    container.addEventListener("blur", () => this.leave());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.picture, false));
  }

  /** Draws a picture; `fit` shows all of it, otherwise the view is unchanged. */
  show(picture, fit) {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    this.picture = picture;
    this.colours = readColours();
    this.indexes = new Map(picture.slots.map(({ time }, index) => [time, index]));
    this.at = null;
    this.clear();
    this.chart.applyOptions(themeOptions(this.colours));
    if (picture.bars) this.drawBars(picture);
    picture.lines.forEach((line, number) => this.drawLine(line, number));
    this.main.priceScale().applyOptions({ mode: picture.isLog ? 1 : 0 });
    this.drawGaps(picture.slots);
    if (fit || range === null) this.chart.timeScale().fitContent();
    else this.chart.timeScale().setVisibleLogicalRange(range);
  }

  clear() {
    for (const series of this.series) this.chart.removeSeries(series);
    this.series = [];
    for (const [pane, band] of this.bands) pane.detachPrimitive(band);
    this.bands = [];
  }

  get main() {
    return this.series[0];
  }

  drawBars({ slots, bars, marked }) {
    const { CandlestickSeries, HistogramSeries, createSeriesMarkers } = LightweightCharts;
    const precision = decimals(Math.min(...bars.map((bar) => bar.low)));
    const priceFormat = { type: "price", precision, minMove: 10 ** -precision };
    const byDay = new Map(bars.map((bar) => [bar.date, bar]));
    const candles = this.add(CandlestickSeries, { ...candleOptions(this.colours), priceFormat });
    candles.setData(slots.map(({ time }) => candleOf(time, byDay.get(time))));
    const options = { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false };
    const volume = this.add(HistogramSeries, options, 1);
    volume.setData(slots.map(({ time }) => volumeOf(time, byDay.get(time), this.colours)));
    volume.priceScale().applyOptions({ scaleMargins: { top: 0.15, bottom: 0 } });
    createSeriesMarkers(candles, marked.map((day) => flagMarker(day, this.colours)));
    const [prices, volumes] = this.chart.panes();
    prices.setStretchFactor(1 - VOLUME_SHARE);
    volumes.setStretchFactor(VOLUME_SHARE);
  }

  drawLine({ points, ends, width }, number) {
    const series = this.add(LightweightCharts.LineSeries, lineOptions(this.colours.lines[number], width));
    // The library joins the points before and after one without a value, in the colour of the first.
    const pointOf = (time) => ({ time, value: points.get(time), ...(ends.has(time) ? { color: "transparent" } : {}) });
    series.setData(this.picture.slots.map(({ time }) => (points.has(time) ? pointOf(time) : { time })));
  }

  add(kind, options, pane = 0) {
    const series = this.chart.addSeries(kind, options, pane);
    this.series.push(series);
    return series;
  }

  drawGaps(slots) {
    const bands = new Map();
    slots.forEach(({ gap }, index) => {
      if (gap) bands.set(gap, { gap, from: bands.get(gap)?.from ?? index, to: index });
    });
    this.chart.panes().forEach((pane, number) => {
      const primitive = new GapBands(this.chart, number === 0);
      primitive.show([...bands.values()], this.colours, getComputedStyle(this.container).fontFamily);
      pane.attachPrimitive(primitive);
      this.bands.push([pane, primitive]);
    });
  }

  /** The axis's label of a slot; null, for the library's, of a day that is none. */
  labelOf(time, kind) {
    const index = this.indexes?.get(time);
    return index === undefined ? null : labelTick(this.picture.slots, index, kind);
  }

  breakAt(time) {
    const gap = this.picture?.slots[this.indexes.get(time)]?.gap;
    return isBreak(gap) ? gap : undefined;
  }

  point(index) {
    this.at = index ?? null;
    this.onSlot(this.at === null ? null : this.picture.slots[this.at]);
  }

  leave() {
    this.chart.clearCrosshairPosition();
    this.point();
  }

  pressed(event) {
    const last = this.picture.slots.length - 1;
    const from = this.at ?? last + 1;
    const steps = {
      ArrowLeft: () => this.step(from, -1),
      ArrowRight: () => this.step(from, 1),
      PageUp: () => this.moveTo(from - PAGE),
      PageDown: () => this.moveTo(from + PAGE),
      Home: () => this.moveTo(0),
      End: () => this.moveTo(last),
      "+": () => this.zoom(1 / ZOOM),
      "-": () => this.zoom(ZOOM),
      0: () => this.chart.timeScale().fitContent(),
    };
    if (!Object.hasOwn(steps, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    steps[event.key]();
  }

  /** Moves by one bar; a gap is one step, however long it is drawn. */
  step(from, by) {
    const { slots } = this.picture;
    const { gap } = slots[from] ?? {};
    const isPast = (index) => gap === undefined || slots[index]?.gap !== gap;
    let index = from + by;
    while (!isPast(index)) index += by;
    this.moveTo(index);
  }

  moveTo(index) {
    const { slots } = this.picture;
    const at = Math.max(0, Math.min(slots.length - 1, index));
    this.scrollTo(at);
    this.chart.setCrosshairPosition(this.valueNear(at), slots[at].time, this.main);
    this.point(at);
  }

  /** A value to put the crosshair at: that of a slot, or of one before it. */
  valueNear(index) {
    const { slots, bars, lines } = this.picture;
    const values = bars ? new Map(bars.map((bar) => [bar.date, bar.close])) : lines[0].points;
    const slot = slots.slice(0, index + 1).findLast(({ time }) => values.has(time));
    return values.get(slot?.time) ?? 0;
  }

  scrollTo(index) {
    const scale = this.chart.timeScale();
    const { from, to } = scale.getVisibleLogicalRange();
    const shift = index < from ? index - from : index > to ? index - to : 0;
    if (shift !== 0) scale.setVisibleLogicalRange({ from: from + shift, to: to + shift });
  }

  /** Shows more or fewer slots, around the chosen one or the newest. */
  zoom(factor) {
    const scale = this.chart.timeScale();
    const last = this.picture.slots.length - 1;
    const { from, to } = scale.getVisibleLogicalRange();
    const centre = this.at ?? to;
    const width = Math.max(Math.min(FEWEST_SLOTS, last), Math.min(last, (to - from) * factor));
    const left = Math.max(0, Math.min(last - width, centre - ((centre - from) / (to - from)) * width));
    scale.setVisibleLogicalRange({ from: left, to: left + width });
  }
}

const candleOf = (time, bar) => (bar ? { time, open: bar.open, high: bar.high, low: bar.low, close: bar.close } : { time });

function volumeOf(time, bar, { volumeUp, volumeDown }) {
  return bar ? { time, value: bar.volume, color: bar.close < bar.open ? volumeDown : volumeUp } : { time };
}

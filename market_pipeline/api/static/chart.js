// The chart of candles and volume, with the vendored chart library. It gets bars, and makes no requests.

import { decimals } from "./format.js";

/* global LightweightCharts */

const VOLUME_SHARE = 0.22;

export class Chart {
  /** `onBar(bar)`: called with the bar under the pointer, or null. */
  constructor(container, onBar) {
    const { createChart, createSeriesMarkers, CandlestickSeries, HistogramSeries } = LightweightCharts;
    this.onBar = onBar;
    this.bars = [];
    this.at = null;
    this.chart = createChart(container, fixedOptions());
    this.candles = this.chart.addSeries(CandlestickSeries, { priceLineVisible: false });
    this.volume = this.chart.addSeries(
      HistogramSeries,
      { priceFormat: { type: "volume" }, priceLineVisible: false, lastValueVisible: false },
      1,
    );
    this.markers = createSeriesMarkers(this.candles, []);
    const [prices, volumes] = this.chart.panes();
    prices.setStretchFactor(1 - VOLUME_SHARE);
    volumes.setStretchFactor(VOLUME_SHARE);
    this.chart.subscribeCrosshairMove(({ time }) => this.point(time));
    container.addEventListener("keydown", (event) => this.pressed(event));
    container.addEventListener("blur", () => this.chart.clearCrosshairPosition());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.bars, false));
  }

  /** Draws bars in ascending order of date; `fit` shows all of them, otherwise the view is unchanged. */
  show(bars, fit) {
    const colours = readColours();
    const precision = decimals(Math.min(...bars.map((bar) => bar.low)));
    this.bars = bars;
    this.indexes = new Map(bars.map((bar, index) => [bar.date, index]));
    this.chart.applyOptions(themeOptions(colours));
    this.candles.applyOptions({
      ...candleOptions(colours),
      priceFormat: { type: "price", precision, minMove: 10 ** -precision },
    });
    this.candles.setData(bars.map(({ date, open, high, low, close }) => ({ time: date, open, high, low, close })));
    this.volume.setData(
      bars.map((bar) => ({
        time: bar.date,
        value: bar.volume,
        color: bar.close < bar.open ? colours.volumeDown : colours.volumeUp,
      })),
    );
    this.markers.setMarkers(bars.filter((bar) => bar.flags.length > 0).map((bar) => marker(bar, colours)));
    if (fit) this.chart.timeScale().fitContent();
  }

  point(time) {
    this.at = this.indexes.get(time) ?? null;
    this.onBar(this.at === null ? null : this.bars[this.at]);
  }

  pressed(event) {
    const last = this.bars.length - 1;
    const from = this.at ?? last + 1;
    const steps = {
      ArrowLeft: from - 1,
      ArrowRight: from + 1,
      PageUp: from - 20,
      PageDown: from + 20,
      Home: 0,
      End: last,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const bar = this.bars[Math.max(0, Math.min(last, steps[event.key]))];
    this.chart.setCrosshairPosition(bar.close, bar.date, this.candles);
    this.point(bar.date);
  }
}

function fixedOptions() {
  return {
    autoSize: true,
    layout: { attributionLogo: true, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12 },
    localization: { locale: "en-US", dateFormat: "yyyy-MM-dd" },
    // The wheel and vertical swipes scroll the page, not the chart.
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
    timeScale: { borderVisible: false, fixLeftEdge: true, fixRightEdge: true },
    rightPriceScale: { borderVisible: false },
  };
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    surface: read("--surface"),
    ink: read("--soft"),
    line: read("--line"),
    up: read("--up"),
    down: read("--down"),
    volumeUp: read("--volume-up"),
    volumeDown: read("--volume-down"),
    flag: read("--flag"),
    label: read("--label"),
  };
}

function themeOptions({ surface, ink, line, label }) {
  return {
    layout: { background: { color: surface }, textColor: ink, panes: { separatorColor: line, enableResize: false } },
    grid: { vertLines: { color: line }, horzLines: { color: line } },
    crosshair: {
      mode: LightweightCharts.CrosshairMode.Normal,
      vertLine: { color: ink, labelBackgroundColor: label },
      horzLine: { color: ink, labelBackgroundColor: label },
    },
  };
}

function candleOptions({ up, down }) {
  return {
    upColor: up,
    downColor: down,
    wickUpColor: up,
    wickDownColor: down,
    borderUpColor: up,
    borderDownColor: down,
  };
}

function marker(bar, { flag }) {
  return { time: bar.date, position: "aboveBar", shape: "arrowDown", color: flag, size: 1 };
}

// Colours and options of the chart; the colours are the page's, so they follow light and dark.

/* global LightweightCharts */

/** The page's colours that the chart needs, and those of its lines in order. */
export function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    surface: read("--surface"),
    ink: read("--soft"),
    line: read("--line"),
    edge: read("--edge"),
    gap: read("--level-0"),
    up: read("--up"),
    down: read("--down"),
    volumeUp: read("--volume-up"),
    volumeDown: read("--volume-down"),
    flag: read("--flag"),
    label: read("--label"),
    lines: [1, 2, 3, 4, 5].map((number) => read(`--line-${number}`)),
  };
}

export function fixedOptions() {
  return {
    autoSize: true,
    layout: { attributionLogo: true, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 12 },
    localization: { locale: "en-US" },
    // The wheel and vertical swipes scroll the page, not the chart.
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
    timeScale: {
      borderVisible: false,
      fixLeftEdge: true,
      fixRightEdge: true,
      minBarSpacing: 0.01,
      maxBarSpacing: 60,
      tickMarkMaxCharacterLength: 7, // 70 pixels, in which "Nov 30, 2026" fits; the default of 8 leaves out March in a chart of a year
    },
    rightPriceScale: { borderVisible: false, entireTextOnly: true }, // no half a label where two panes meet
  };
}

export function themeOptions({ surface, ink, line, label }) {
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

export function candleOptions({ up, down }) {
  return {
    priceLineVisible: false,
    upColor: up,
    downColor: down,
    wickUpColor: up,
    wickDownColor: down,
    borderUpColor: up,
    borderDownColor: down,
  };
}

export function lineOptions(color, width) {
  return { color, lineWidth: width, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false };
}

export function flagMarker(day, { flag }) {
  return { time: day, position: "aboveBar", shape: "arrowDown", color: flag, size: 1 };
}

// Bands of the chart where bars are missing, with the dates: a primitive of the chart library for each pane.

const FONT_SIZE = 11;
const MARGIN = 8;

/** "2013-03-04 to 2021-11-26"; one day as itself. */
export const spanOfDays = ({ first, last }) => (first === last ? first : `${first} to ${last}`);

/** The text of a band: its first and last session. */
export const bandText = (gap) => `${gap.first === gap.last ? "No bar" : "No bars"}: ${spanOfDays(gap)}`;

export class GapBands {
  /** `isLabelled`: true in the pane whose bands have their dates. */
  constructor(chart, isLabelled) {
    this.chart = chart;
    this.isLabelled = isLabelled;
    this.bands = [];
    const renderer = { draw: (target) => target.useMediaCoordinateSpace((scope) => this.draw(scope)) };
    this.views = [{ zOrder: () => "bottom", renderer: () => renderer }];
  }

  paneViews() {
    return this.views;
  }

  /** `bands`: the first and last slot of each gap, `from` and `to`, and the gap. */
  show(bands, colours, fontFamily) {
    Object.assign(this, { bands, colours, fontFamily });
  }

  draw({ context, mediaSize }) {
    const scale = this.chart.timeScale();
    const slot = scale.logicalToCoordinate(1) - scale.logicalToCoordinate(0);
    for (const { from, to, gap } of this.bands) {
      const left = scale.logicalToCoordinate(from) - slot / 2;
      const width = (to - from + 1) * slot;
      if (left > mediaSize.width || left + width < 0) continue;
      this.drawBand(context, left, Math.max(1, width), mediaSize.height);
      if (this.isLabelled) this.drawLabel(context, left, width, mediaSize.height, gap);
    }
  }

  drawBand(context, left, width, height) {
    context.fillStyle = this.colours.gap;
    context.fillRect(left, 0, width, height);
    if (width < MARGIN) return;
    context.strokeStyle = this.colours.edge;
    context.setLineDash([3, 3]);
    for (const edge of [left, left + width]) {
      context.beginPath();
      context.moveTo(edge, 0);
      context.lineTo(edge, height);
      context.stroke();
    }
    context.setLineDash([]);
  }

  /** Along the band where it is wide enough, else from bottom to top, and there without words if they are too long. */
  drawLabel(context, left, width, height, gap) {
    context.font = `${FONT_SIZE}px ${this.fontFamily}`;
    context.fillStyle = this.colours.ink;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const fits = (text, length) => context.measureText(text).width + 2 * MARGIN <= length;
    const text = bandText(gap);
    if (fits(text, width)) {
      context.fillText(text, left + width / 2, 2 * MARGIN);
    } else if (width >= FONT_SIZE - 1) {
      const shorter = [text, spanOfDays(gap)].find((each) => fits(each, height));
      if (shorter) drawUpwards(context, shorter, left + width / 2, height / 2);
    }
  }
}

function drawUpwards(context, text, x, y) {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 2);
  context.fillText(text, 0, 0);
  context.restore();
}

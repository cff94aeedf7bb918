// What is drawn over the lines of a graph: found blocks, averages and peaks. Positions are in device pixels.

import { t } from "./language.js";

const DIAMOND = 5;

/** Mark the times, in Unix seconds, at which blocks were found: a thin line with a diamond at its top. */
export function drawBlocks(plot, found, colour) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const [from, to] = [plot.scales.x.min, plot.scales.x.max];
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.fillStyle = colour;
  ctx.lineWidth = ratio;
  for (const unix of found) {
    if (unix < from || unix > to) continue;
    const x = Math.round(plot.valToPos(unix, "x", true));
    const size = DIAMOND * ratio;
    ctx.globalAlpha = 0.4;
    line(ctx, x, bbox.top, x, bbox.top + bbox.height);
    ctx.globalAlpha = 1;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top - size);
    ctx.lineTo(x + size, bbox.top);
    ctx.lineTo(x, bbox.top + size);
    ctx.lineTo(x - size, bbox.top);
    ctx.fill();
  }
  ctx.restore();
}

/**
 * Draw the average of a line as a dashed line, and a ring around its peak, each with its value; the average's value is
 * at the left end, or with `isRight` at the right one.
 */
export function drawAverage(plot, number, { colour, ground, format, font, isRight }) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const { scale } = plot.series[number];
  const values = plot.data[number];
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length === 0) return;
  const average = known.reduce((sum, value) => sum + value, 0) / known.length;
  const top = values.reduce((best, value, i) => (value !== null && (best === null || value > values[best]) ? i : best), null);
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.fillStyle = colour;
  ctx.font = font.replace(/[\d.]+px/, (size) => `${Number.parseFloat(size) * ratio}px`);
  ctx.lineWidth = ratio;
  ctx.setLineDash([3 * ratio, 4 * ratio]);
  const y = Math.round(plot.valToPos(average, scale, true));
  line(ctx, bbox.left, y, bbox.left + bbox.width, y);
  ctx.setLineDash([]);
  const [x, peak] = [plot.valToPos(plot.data[0][top], "x", true), plot.valToPos(values[top], scale, true)];
  ctx.beginPath();
  ctx.arc(x, peak, 4 * ratio, 0, 2 * Math.PI);
  ctx.stroke();
  const write = (text, at, height) => {
    ctx.strokeText(text, at, height);
    ctx.fillText(text, at, height);
  };
  ctx.strokeStyle = ground; // around the letters, which lines would cross
  ctx.lineWidth = 3 * ratio;
  ctx.lineJoin = "round";
  ctx.textBaseline = "bottom";
  ctx.textAlign = isRight ? "right" : "left";
  write(t`average ${format(average)}`, isRight ? bbox.left + bbox.width - 4 * ratio : bbox.left + 4 * ratio, y - 2 * ratio);
  ctx.textAlign = x > bbox.left + bbox.width / 2 ? "right" : "left";
  ctx.textBaseline = "middle";
  write(t`peak ${format(values[top])}`, x + (ctx.textAlign === "right" ? -8 : 8) * ratio, Math.max(peak, bbox.top + 8 * ratio));
  ctx.restore();
}

function line(ctx, x1, y1, x2, y2) {
  ctx.beginPath();
  ctx.moveTo(x1, y1);
  ctx.lineTo(x2, y2);
  ctx.stroke();
}

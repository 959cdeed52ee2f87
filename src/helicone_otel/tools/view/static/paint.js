// Draws the rows of the timeline on a canvas: only the rows in sight, and only one of several bars on the same pixel.

import { colour, textOn, token } from "./colour.js";
import { duration } from "./format.js";
import { packed } from "./model.js";
import { ROW } from "./tree.js";
import { ticks } from "./window.js";

const lanes = new WeakMap();

/** Fits a canvas to its size on the page and to the pixels of the screen; returns its context and size. */
export function prepareCanvas(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  return { context, width, height };
}

/** The colours of the style sheet. Read them once per drawing, because that is slow. */
export function palette() {
  const names = ["text", "muted", "line", "line-strong", "accent", "accent-soft", "bad", "panel"];
  return Object.fromEntries(names.map((name) => [name, token(`--${name}`)]));
}

/** The bars of a row with their positions, from the left: `[request, x, y, width, height]`. */
export function* barsOf(row, top, shown, scale) {
  if (!lanes.has(row)) lanes.set(row, packed(row.bars));
  const { lanes: places, count } = lanes.get(row);
  const room = ROW - 10;
  const height = Math.max(2, Math.min(room, room / count - (count > 1 ? 1 : 0)));
  const lastX = new Map();
  for (let index = 0; index < row.bars.length; index += 1) {
    const bar = row.bars[index];
    if (bar.start_ms - shown.start > shown.to) break;
    if (bar.end_ms - shown.start < shown.from) continue;
    const x = (bar.start_ms - shown.start - shown.from) * scale;
    const width = Math.max(2, (bar.end_ms - bar.start_ms) * scale);
    const lane = places[index];
    // Skip a bar on the same pixel as the one before, but never one that failed or is on the critical path.
    if (!bar.error && !bar.critical && lastX.get(lane) > x + width - 0.5) continue;
    lastX.set(lane, x + width);
    yield [bar, x, top + 5 + Math.min(room - height, lane * (room / count)), width, height];
  }
}

/**
 * Draws rows.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {object} view - `rows`, the range in sight (`first`, `last`), the scroll `offset`, the time `shown` (from, to, start), `size`, the colours (`look`), and the choice
 */
export function paintRows(context, view) {
  const { rows, first, last, offset, shown, size, look } = view;
  const scale = size.width / (shown.to - shown.from);
  paintGrid(context, shown, size, look, 0, size.height);
  for (let place = first; place < last; place += 1) {
    const top = place * ROW - offset;
    const row = rows[place];
    if (view.isChosenRow(row) || place === view.hovered) {
      context.fillStyle = look["accent-soft"];
      context.globalAlpha = view.isChosenRow(row) ? 1 : 0.5;
      context.fillRect(0, top, size.width, ROW);
    }
    context.globalAlpha = 1;
    if (row.isOpen || !row.bars.length) paintExtent(context, row.node, top, shown, scale, view.isDim(row.path) ? view.dim * 0.75 : 0.75);
    for (const [bar, ...box] of barsOf(row, top, shown, scale)) paintBar(context, bar, box, view, row, scale);
  }
  context.globalAlpha = 1;
}

function paintBar(context, bar, [x, y, width, height], view, row, scale) {
  const hue = view.hueOf(bar.path);
  context.globalAlpha = view.isDim(bar.path) ? view.dim : 1;
  context.fillStyle = colour(hue);
  rounded(context, x, y, width, height);
  if (bar.ttft_ms && width > 8 && height > 6) {
    // The time before the first token is lighter.
    context.fillStyle = view.look.panel;
    context.globalAlpha *= 0.4;
    context.fillRect(x + 1, y + 1, Math.max(0, Math.min(width - 2, bar.ttft_ms * scale - 1)), height - 2);
    context.globalAlpha = view.isDim(bar.path) ? view.dim : 1;
  }
  if (bar.critical) paintCritical(context, x, y, width, height, view.look);
  if (bar.error !== null) paintFailure(context, x, y, width, height, view.look);
  if (view.chosen === bar.id) {
    context.strokeStyle = view.look.text;
    context.lineWidth = 2;
    context.strokeRect(x - 1, y - 1, width + 2, height + 2);
  }
  if (row.bars.length === 1) paintLabel(context, bar, x, y, width, height, view);
}

function paintCritical(context, x, y, width, height, look) {
  context.fillStyle = look.text;
  context.fillRect(x, y + height + 1, width, 2);
}

function paintFailure(context, x, y, width, height, look) {
  // A cross after the bar marks a failure, so that it does not depend on colour.
  context.strokeStyle = look.bad;
  context.lineWidth = 2;
  const middle = y + height / 2;
  const reach = Math.min(4, height / 2);
  const at = x + width + reach + 3;
  context.beginPath();
  context.moveTo(at - reach, middle - reach);
  context.lineTo(at + reach, middle + reach);
  context.moveTo(at + reach, middle - reach);
  context.lineTo(at - reach, middle + reach);
  context.stroke();
}

function paintLabel(context, bar, x, y, width, height, view) {
  const text = duration(bar.duration_ms);
  const needed = context.measureText(text).width + 12;
  const middle = y + height / 2 + 0.5;
  const after = x + width + (bar.error !== null ? 16 : 6);
  if (after + needed < view.size.width) {
    context.fillStyle = view.look.muted;
    context.fillText(text, after, middle);
  } else if (width > needed && !bar.ttft_ms) {
    context.fillStyle = textOn(view.hueOf(bar.path));
    context.fillText(text, Math.max(x, 0) + 6, middle);
  } else if (x > needed) {
    context.fillStyle = view.look.muted;
    context.fillText(text, x - needed + 6, middle);
  }
}

function paintExtent(context, node, top, shown, scale, alpha) {
  const x = (node.start_ms - shown.start - shown.from) * scale;
  const width = Math.max(2, (node.end_ms - node.start_ms) * scale);
  context.globalAlpha = alpha;
  context.fillStyle = colour(node.colour);
  const middle = top + ROW / 2;
  context.fillRect(x, middle - 1, width, 2);
  context.fillRect(x, middle - 4, 2, 8);
  context.fillRect(x + width - 2, middle - 4, 2, 8);
  context.globalAlpha = 1;
}

function rounded(context, x, y, width, height) {
  if (width < 5 || height < 5) {
    context.fillRect(x, y, width, height);
    return;
  }
  context.beginPath();
  context.roundRect(x, y, width, height, 3);
  context.fill();
}

export function paintGrid(context, shown, size, look, top, bottom) {
  const scale = size.width / (shown.to - shown.from);
  context.fillStyle = look.line;
  for (const at of ticks(shown.from, shown.to, size.width / 110).found) {
    context.fillRect(Math.round((at - shown.from) * scale), top, 1, bottom - top);
  }
}

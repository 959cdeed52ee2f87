// Above the timeline: a map of the whole session with the part that is shown, and the time axis.

import { colour, token } from "./colour.js";
import { perFrame } from "./dom.js";
import { duration } from "./format.js";
import { palette, prepareCanvas } from "./paint.js";
import { ticks } from "./window.js";

const MAP = 34;
const AXIS = 22;
const GRIP = 6;

export class Ruler {
  #drag = null;

  constructor(canvas, window, model) {
    this.canvas = canvas;
    this.window = window;
    this.model = model;
    this.draw = perFrame(() => this.#draw());
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", () => (this.#drag = null));
    canvas.addEventListener("dblclick", () => window.all());
    window.whenChanged(this.draw);
  }

  #timeAt(event) {
    return (event.offsetX / this.canvas.clientWidth) * this.window.length;
  }

  #begin(event) {
    const { from, to, length, isWhole } = this.window;
    const perPixel = length / this.canvas.clientWidth;
    const at = this.#timeAt(event);
    this.canvas.setPointerCapture(event.pointerId);
    if (Math.abs(at - from) < GRIP * perPixel) this.#drag = { fixed: to };
    else if (Math.abs(at - to) < GRIP * perPixel) this.#drag = { fixed: from };
    else if (!isWhole && at > from && at < to) this.#drag = { held: at - from };
    else this.#drag = { fixed: at };
  }

  #move(event) {
    if (!this.#drag) return;
    const at = this.#timeAt(event);
    if (this.#drag.held !== undefined) this.window.set(at - this.#drag.held, at - this.#drag.held + this.window.span);
    else this.window.set(Math.min(at, this.#drag.fixed), Math.max(at, this.#drag.fixed));
  }

  #draw() {
    const { context, width, height } = prepareCanvas(this.canvas);
    const look = palette();
    this.#drawMap(context, width);
    this.#drawShown(context, width, look);
    this.#drawAxis(context, width, height, look);
  }

  #drawMap(context, width) {
    const { model } = this;
    const scale = width / model.length;
    const room = MAP - 6;
    const tall = Math.max(1, Math.min(7, room / model.lanes));
    const lastX = new Map();
    for (const one of model.requests) {
      const x = (one.start_ms - model.start) * scale;
      const long = Math.max(1, one.duration_ms * scale);
      if (lastX.get(one.lane) > x + long - 0.5) continue;
      lastX.set(one.lane, x + long);
      context.fillStyle = colour(model.hueOf(one.path));
      context.fillRect(x, 3 + ((one.lane * tall) % room), long, Math.max(1, tall - 1));
    }
  }

  #drawShown(context, width, look) {
    const { from, to, length, isWhole } = this.window;
    const [left, right] = [(from / length) * width, (to / length) * width];
    if (!isWhole) {
      context.fillStyle = token("--panel");
      context.globalAlpha = 0.72;
      context.fillRect(0, 0, left, MAP);
      context.fillRect(right, 0, width - right, MAP);
      context.globalAlpha = 1;
      context.strokeStyle = look.accent;
      context.strokeRect(left + 0.5, 0.5, Math.max(2, right - left - 1), MAP - 1);
    }
    context.fillStyle = look.line;
    context.fillRect(0, MAP, width, 1);
  }

  #drawAxis(context, width, height, look) {
    const { from, to } = this.window;
    const scale = width / (to - from);
    const { found, step } = ticks(from, to, width / 110);
    for (const at of found) {
      const x = Math.round((at - from) * scale);
      context.fillStyle = look["line-strong"];
      context.fillRect(x, height - 5, 1, 5);
      const text = label(at, step);
      if (x + 4 + context.measureText(text).width > width) continue;
      context.fillStyle = look.muted;
      context.fillText(text, x + 4, MAP + AXIS / 2);
    }
  }
}

// As many decimals as the step between two labels needs.
function label(at, step) {
  if (at < step / 2) return "0";
  if (at < 1000 && step < 1000) return step < 1 ? `${at.toFixed(step < 0.1 ? 2 : 1)} ms` : `${Math.round(at)} ms`;
  if (at < 60000) return `${(at / 1000).toFixed(step < 10 ? 3 : step < 100 ? 2 : step < 1000 ? 1 : 0)} s`;
  return duration(at).replace(" 00 s", "");
}

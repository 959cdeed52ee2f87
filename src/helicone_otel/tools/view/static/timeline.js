// The timeline beside the tree: the same rows, with a bar for each request.

import { perFrame } from "./dom.js";
import { Model } from "./model.js";
import { barsOf, paintRows, palette, prepareCanvas } from "./paint.js";
import { ROW } from "./tree.js";

const NEAR = 4;
// The opacity of everything that is not chosen. A chosen request is looked at among the others, so they are dimmed less.
const BESIDE_PATH = 0.25;
const BESIDE_REQUEST = 0.55;

export class Timeline {
  #pointer = null;
  #drag = null;
  rows = [];

  /**
   * @param {{canvas: HTMLCanvasElement, scroller: HTMLElement, window: import("./window.js").Window}} parts
   * @param {{choose: Function, hover: Function}} actions - called with `(row, request)`; hover also with the pointer event
   */
  constructor({ canvas, scroller, window, model, selection }, actions) {
    Object.assign(this, { canvas, scroller, window, model, selection, actions });
    this.draw = perFrame(() => this.#draw());
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#end(event));
    canvas.addEventListener("pointerleave", () => this.#leave());
    canvas.addEventListener("dblclick", () => window.all());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    window.whenChanged(this.draw);
  }

  get #shown() {
    return { from: this.window.from, to: this.window.to, start: this.model.start };
  }

  #timeAt(x) {
    return this.window.from + (x / this.canvas.clientWidth) * this.window.span;
  }

  /** The row at a point of the canvas, and the request whose bar is at or near that point. */
  at(x, y) {
    const place = Math.floor((y + this.scroller.scrollTop) / ROW);
    const row = this.rows[place];
    if (!row) return { place: -1, row: null, request: null };
    const scale = this.canvas.clientWidth / this.window.span;
    const top = place * ROW - this.scroller.scrollTop;
    let best = null;
    let nearest = NEAR;
    for (const [bar, left, above, width, height] of barsOf(row, top, this.#shown, scale)) {
      const away = Math.max(left - x, x - left - width, above - y, y - above - height, 0);
      if (away <= nearest) [best, nearest] = [bar, away];
    }
    return { place, row, request: best };
  }

  #begin(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.#drag = { from: event.offsetX, to: event.offsetX };
  }

  #move(event) {
    this.#pointer = { x: event.offsetX, y: event.offsetY };
    if (this.#drag) this.#drag.to = event.offsetX;
    const { row, request } = this.at(event.offsetX, event.offsetY);
    this.actions.hover(this.#drag ? null : row, request, event);
    this.canvas.style.cursor = request ? "pointer" : "crosshair";
    this.draw();
  }

  #end(event) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    if (Math.abs(drag.to - drag.from) > 5) {
      // The user dragged over a part of the time: zoom to it.
      const [from, to] = [drag.from, drag.to].sort((a, b) => a - b).map((x) => this.#timeAt(x));
      this.window.set(from, to);
    } else {
      const { row, request } = this.at(event.offsetX, event.offsetY);
      if (row) this.actions.choose(row, request);
    }
    this.draw();
  }

  #leave() {
    this.#pointer = null;
    this.actions.hover(null, null, null);
    this.draw();
  }

  #wheel(event) {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.window.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.01), this.#timeAt(event.offsetX));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.window.pan(((event.deltaX || event.deltaY) / this.canvas.clientWidth) * this.window.span);
    }
  }

  #draw() {
    const { context, ...size } = prepareCanvas(this.canvas);
    const offset = this.scroller.scrollTop;
    const { path, request } = this.selection;
    const look = palette();
    paintRows(context, {
      rows: this.rows,
      first: Math.floor(offset / ROW),
      last: Math.min(this.rows.length, Math.ceil((offset + size.height) / ROW)),
      offset,
      shown: this.#shown,
      size,
      look,
      hovered: this.#pointer ? Math.floor((this.#pointer.y + offset) / ROW) : -1,
      chosen: request?.id,
      hueOf: (of) => this.model.hueOf(of),
      dim: request ? BESIDE_REQUEST : BESIDE_PATH,
      isDim: (of) => path !== null && !Model.isWithin(of, path),
      isChosenRow: (row) => (request ? row.request?.id === request.id : Boolean(row.node) && !row.node.isGroup && row.path === path),
    });
    if (this.#drag) this.#drawDrag(context, size, look);
  }

  #drawDrag(context, size, look) {
    context.fillStyle = look.accent;
    context.globalAlpha = 0.15;
    context.fillRect(Math.min(this.#drag.from, this.#drag.to), 0, Math.abs(this.#drag.to - this.#drag.from), size.height);
    context.globalAlpha = 1;
  }
}

// Tree and timeline side by side. They share the rows, the scroll position, the window of time and the selection.

import * as address from "./address.js";
import { announce, byId, el, fill, perFrame } from "./dom.js";
import { duration } from "./format.js";
import { Ruler } from "./ruler.js";
import { line } from "./text.js";
import { tipOfPath, tipOfRequest } from "./tips.js";
import { Timeline } from "./timeline.js";
import { ROW, Tree } from "./tree.js";
import { Window } from "./window.js";

const ZOOM = 0.6;
const SETTLED = 250;

export class Waterfall {
  /** @param {{choose: Function, choosePath: Function}} actions - called with a request, and with a path */
  constructor(model, selection, actions) {
    this.model = model;
    this.selection = selection;
    this.actions = actions;
    this.open = model.openAtFirst();
    this.window = new Window(model.length);
    this.scroller = byId("scroller");
    this.tree = new Tree(byId("tree"), this.scroller, { toggle: (row) => this.#toggle(row), choose: (row) => this.#chooseRow(row) });
    const parts = { canvas: byId("timeline"), scroller: this.scroller, window: this.window, model, selection };
    this.timeline = new Timeline(parts, { choose: (row, request) => this.#chooseBar(row, request), hover: (...at) => this.#showTip(...at) });
    this.ruler = new Ruler(byId("minimap"), this.window, model);
    this.#listen();
    this.#lay();
  }

  #listen() {
    const draw = perFrame(() => this.tree.draw());
    this.scroller.addEventListener("scroll", () => {
      draw();
      this.timeline.draw();
    });
    new ResizeObserver(perFrame(() => this.measure())).observe(this.scroller);
    this.selection.whenChanged((_chosen, cause) => this.#reveal(cause));
    this.window.whenChanged(() => this.#keep());
    byId("zoom-in").addEventListener("click", () => this.window.zoom(ZOOM));
    byId("zoom-out").addEventListener("click", () => this.window.zoom(1 / ZOOM));
    byId("zoom-all").addEventListener("click", () => this.window.all());
    byId("fold").addEventListener("click", () => this.#foldAll());
    byId("timeline").addEventListener("keydown", (event) => this.#pressed(event));
  }

  /** Shows a newer state of the same session. */
  update(model) {
    const known = new Set(this.model.foldable());
    for (const fold of model.openAtFirst()) if (!known.has(fold)) this.open.add(fold);
    this.model = this.timeline.model = this.ruler.model = model;
    this.window.grow(model.length);
    this.#lay();
  }

  #lay() {
    const rows = this.model.rows(this.open);
    this.timeline.rows = rows;
    this.tree.show(rows, this.selection);
    byId("fold").textContent = this.model.foldable().some((fold) => this.open.has(fold)) ? "Collapse all" : "Expand all";
    this.measure();
  }

  /** Fits the drawing to the available space. */
  measure() {
    const { scroller } = this;
    const seen = Math.min(scroller.clientHeight || Infinity, Math.max(ROW, this.timeline.rows.length * ROW));
    byId("waterfall").style.setProperty("--seen", `${seen}px`);
    byId("waterfall").style.setProperty("--gutter", `${scroller.offsetWidth - scroller.clientWidth}px`);
    this.tree.draw();
    this.timeline.draw();
    this.ruler.draw();
  }

  // --- what is open -------------------------------------------------------------------------

  #toggle(row) {
    if (!this.open.delete(row.fold)) this.open.add(row.fold);
    this.#lay();
    announce(`${line(row.node.segment)} ${this.open.has(row.fold) ? "expanded" : "collapsed"}`);
  }

  #foldAll() {
    const all = this.model.foldable();
    const isOpen = all.some((fold) => this.open.has(fold));
    this.open = new Set(isOpen ? [] : all);
    this.scroller.scrollTop = 0;
    this.#lay();
  }

  // --- what is chosen -----------------------------------------------------------------------

  #chooseRow(row) {
    // Choosing a request again moves the focus to the drawer.
    if (row.request && row.request.id === this.selection.request?.id) byId("drawer").focus();
    else if (row.request) this.actions.choose(row.request, this.tree);
    else this.actions.choosePath(row.path, this.tree);
  }

  #chooseBar(row, request) {
    if (request) this.actions.choose(request, this.timeline);
    else this.#chooseRow(row);
  }

  /** Scrolls to what was chosen in another view. */
  #reveal(cause) {
    const { path, request } = this.selection;
    if (path !== null && cause !== this.timeline) this.#openTo(path, request);
    const place = this.tree.placeOf(this.selection);
    if (place >= 0) this.tree.go(place);
    else this.tree.draw();
    if (request) this.window.reveal(request.start_ms - this.model.start, request.end_ms - this.model.start);
    this.#showChoice();
    this.timeline.draw();
  }

  #openTo(path, request) {
    const closed = this.model.foldsTo(path, request).filter((one) => !this.open.has(one));
    if (!closed.length) return;
    closed.forEach((one) => this.open.add(one));
    this.#lay();
  }

  #showChoice() {
    const { path, request } = this.selection;
    const chosen = byId("chosen");
    if (path === null) return fill(chosen);
    const clear = el("button.quiet", { type: "button", onclick: () => this.selection.choose({ path: null }) }, "Clear");
    return fill(chosen, request ? `${line(request.name, 60)} at ` : "", el("bdi", {}, line(path, 90)), " ", clear);
  }

  // --- keys and the pointer -----------------------------------------------------------------

  #pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const rows = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && event.shiftKey) this.window.pan(step * this.window.span * 0.2);
    else if (step) this.#stepRequest(step);
    else if (rows) this.#stepRow(rows);
    else if (event.key === "+" || event.key === "=") this.window.zoom(ZOOM);
    else if (event.key === "-") this.window.zoom(1 / ZOOM);
    else if (event.key === "0") this.window.all();
    else if (event.key === "Enter" && this.selection.request) byId("drawer").focus();
    else return;
    event.preventDefault();
  }

  #stepRequest(step) {
    const { requests, byId: found } = this.model;
    const at = this.selection.request?.place ?? (step > 0 ? -1 : requests.length);
    const next = requests[Math.min(requests.length - 1, Math.max(0, at + step))];
    if (next) this.actions.choose(found.get(next.id));
  }

  #stepRow(step) {
    const rows = this.timeline.rows.filter((row) => row.node && !row.node.isGroup);
    const at = rows.findIndex((row) => row.path === this.selection.path);
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (!next) return;
    this.selection.choose({ path: next.path });
    announce(`${line(next.path)}, ${next.node.requests_below} requests, ${duration(next.node.duration_ms)}`);
  }

  #showTip(row, request, event) {
    const tip = byId("tip");
    tip.hidden = !request && !row?.node;
    if (tip.hidden) return;
    fill(tip, request ? tipOfRequest(request, this.model.start) : tipOfPath(row.node));
    const { offsetWidth: width, offsetHeight: height } = tip;
    tip.style.left = `${Math.max(8, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18}px`;
  }

  // --- the address --------------------------------------------------------------------------

  /** Shows a part of the session's time, given as `from-to` in milliseconds; without it, all of the time. */
  showPart(text) {
    const [from, to] = (text ?? "").split("-").map(Number);
    if (to > from) this.window.set(from, to);
    else this.window.all();
  }

  #keep() {
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => {
      const { from, to, isWhole } = this.window;
      address.write({ part: isWhole ? null : `${+from.toFixed(3)}-${+to.toFixed(3)}` }, { replace: true });
    }, SETTLED);
  }
}

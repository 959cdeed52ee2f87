// The tree of paths and requests. Only the rows in sight are elements, so thousands of rows cost as little as ten.
// https://www.w3.org/WAI/ARIA/apg/patterns/treeview/

import { colour } from "./colour.js";
import { el } from "./dom.js";
import { count, duration, kind, plural } from "./format.js";
import { mixElement, mixOf, timesOf } from "./sums.js";
import { line } from "./text.js";

export const ROW = 28;
const BEYOND = 5;

export class Tree {
  #elements = new Map();
  #active = 0;
  rows = [];

  /**
   * @param {HTMLElement} element - contains the rows
   * @param {HTMLElement} scroller - scrolls the element
   * @param {{toggle: Function, choose: Function}} actions - called with a row
   */
  constructor(element, scroller, actions) {
    this.element = element;
    this.scroller = scroller;
    this.actions = actions;
    element.addEventListener("click", (event) => this.#clicked(event));
    element.addEventListener("keydown", (event) => this.#pressed(event));
    element.addEventListener("focus", () => this.#mark());
  }

  show(rows, selection) {
    const active = this.rows[this.#active]?.key;
    this.rows = rows;
    this.selection = selection;
    this.#active = Math.max(0, rows.findIndex((row) => row.key === active));
    this.element.style.height = `${rows.length * ROW}px`;
    this.element.replaceChildren();
    this.#elements.clear();
    this.draw();
  }

  /** Makes the rows in sight, and removes the others. */
  draw() {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - BEYOND);
    const last = Math.min(this.rows.length, Math.ceil((this.scroller.scrollTop + this.scroller.clientHeight) / ROW) + BEYOND);
    for (const [place, element] of this.#elements) {
      if (place >= first && place < last) continue;
      element.remove();
      this.#elements.delete(place);
    }
    for (let place = first; place < last; place += 1) {
      if (this.#elements.has(place)) continue;
      const element = rowElement(this.rows[place], place);
      this.#elements.set(place, element);
      this.element.append(element);
    }
    this.#mark();
  }

  #mark() {
    for (const [place, element] of this.#elements) {
      const row = this.rows[place];
      const isChosen = this.selection.request ? row.request?.id === this.selection.request.id : row.node && !row.node.isGroup && row.path === this.selection.path;
      element.setAttribute("aria-selected", String(Boolean(isChosen)));
      element.classList.toggle("active", place === this.#active);
    }
    if (this.#elements.has(this.#active)) this.element.setAttribute("aria-activedescendant", `row-${this.#active}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  /** Makes a row the active one, and scrolls to it. */
  go(place) {
    if (!this.rows.length) return;
    this.#active = Math.min(this.rows.length - 1, Math.max(0, place));
    const top = this.#active * ROW;
    const { scrollTop, clientHeight } = this.scroller;
    if (top < scrollTop) this.scroller.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.scroller.scrollTop = top + ROW - clientHeight;
    this.draw();
  }

  placeOf(selection) {
    const exact = this.rows.findIndex((row) => selection.request && row.request?.id === selection.request.id);
    return exact >= 0 ? exact : this.rows.findIndex((row) => row.node && row.path === selection.path);
  }

  #clicked(event) {
    const place = Number(event.target.closest("[data-place]")?.dataset.place ?? -1);
    const row = this.rows[place];
    if (!row) return;
    this.#active = place;
    if (event.target.closest(".caret") && row.foldable) this.actions.toggle(row);
    else this.actions.choose(row);
    this.#mark();
  }

  #pressed(event) {
    const row = this.rows[this.#active];
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) this.go(this.#active + moves[event.key]);
    else if (event.key === "ArrowRight") this.#inward(row);
    else if (event.key === "ArrowLeft") this.#outward(row);
    else if (event.key === "Enter" || event.key === " ") this.actions.choose(row);
    else return;
    event.preventDefault();
  }

  #inward(row) {
    if (row.foldable && !row.isOpen) this.actions.toggle(row);
    else if (row.isOpen) this.go(this.#active + 1);
  }

  #outward(row) {
    if (row.isOpen) return this.actions.toggle(row);
    for (let place = this.#active - 1; place >= 0; place -= 1) {
      if (this.rows[place].level < row.level) return this.go(place);
    }
    return undefined;
  }
}

function rowElement(row, place) {
  const { node, request } = row;
  const times = node ? timesOf(node) : { busy: duration(request.duration_ms), extent: null };
  const failed = node ? node.errors || node.failed_runs : request.error !== null;
  const element = el(
    "div.row",
    {
      id: `row-${place}`,
      role: "treeitem",
      "aria-level": row.level,
      "aria-posinset": row.position,
      "aria-setsize": row.size,
      "aria-expanded": row.foldable ? String(row.isOpen) : null,
      "aria-label": spokenLabel(row),
      "data-place": place,
      title: node ? line(row.path, 400) : line(request.error ?? request.name, 400),
    },
    el("span.caret", {}, row.foldable ? "›" : ""),
    swatch(node && !node.isGroup ? node.colour : null),
    el("span.label", { dir: "auto" }, line(node ? node.segment || node.path : request.name)),
    node && request && request.name !== node.segment ? el("span.what", { dir: "auto" }, line(request.name)) : null,
    badge(node, request),
    node ? mixElement(node) : null,
    request && callsTools(request) ? el("span.badge", { title: "The answer calls tools, so Helicone shows the badge Tool" }, "Tool") : null,
    failed ? el("span.badge.error", {}, node?.errors && node.requests_below > 1 ? `${count(node.errors)} failed` : "failed") : null,
    el("span.space"),
    node && node.requests_below > 1 ? el("span.count", {}, `×${count(node.requests_below)}`) : null,
    el("span.took", { title: times.extent ? "In which at least one request ran" : null }, times.busy),
    times.extent ? el("span.extent", { title: "From the first start to the last end" }, `of ${times.extent}`) : null,
  );
  element.style.top = `${place * ROW}px`;
  element.style.setProperty("--level", row.level - 1);
  element.classList.toggle("leaf", !node || Boolean(node.isGroup));
  return element;
}

// The kind of the step itself. A path without a step has the kinds of its requests instead.
function badge(node, request) {
  const own = node ? node.kind : request.kind;
  return own || !node || !mixOf(node).length ? el("span.badge.kind", {}, kind(own)) : null;
}

// A call of a model whose answer calls tools has the badge of a tool in Helicone.
const callsTools = ({ kind, badge }) => badge === "Tool" && kind !== "tool";

function swatch(hue) {
  if (hue === null) return null;
  const element = el("span.swatch");
  element.style.backgroundColor = colour(hue);
  return element;
}

function spokenLabel({ node, request }) {
  const tools = request && callsTools(request) ? "calls tools" : "";
  if (!node) return [line(request.name), kind(request.kind), tools, duration(request.duration_ms), request.error ? "failed" : ""].filter(Boolean).join(", ");
  const { busy, extent } = timesOf(node);
  const mix = mixOf(node).join(" · ");
  const parts = [line(node.segment || node.path), node.kind || !mix ? kind(node.kind) : mix, plural(node.requests_below, "request")];
  if (node.kind && mix) parts.push(mix);
  parts.push(extent ? `${busy} of ${extent}` : busy);
  if (tools) parts.push(tools);
  if (node.errors || node.failed_runs) parts.push(node.errors ? `${node.errors} failed` : "failed");
  return parts.join(", ");
}

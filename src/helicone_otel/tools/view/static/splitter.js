// The line between the tree and the timeline: dragged, or moved by keys, it sets the width of the tree.
// https://www.w3.org/WAI/ARIA/apg/patterns/windowsplitter/

const STEP = 16;
const LEAST = 280;
// What remains for the timeline.
const BESIDE = 160;
const KEPT = "tree-width";

export class Splitter {
  /** @param {Function} moved - called when the width has changed */
  constructor(element, area, tree, moved) {
    Object.assign(this, { element, area, tree, moved });
    element.addEventListener("pointerdown", (event) => this.#begin(event));
    element.addEventListener("keydown", (event) => this.#pressed(event));
    element.addEventListener("dblclick", () => this.#reset());
    const kept = Number(read());
    if (kept > 0) this.#set(kept);
    new ResizeObserver(() => this.#place()).observe(tree);
  }

  get #most() {
    return Math.max(LEAST, this.tree.parentElement.clientWidth - BESIDE);
  }

  /** Puts the line where the tree ends. */
  #place() {
    // The width that was chosen may not fit into a smaller window.
    const width = this.tree.offsetWidth;
    this.element.style.left = `${width}px`;
    for (const [name, value] of [["valuemin", LEAST], ["valuemax", this.#most], ["valuenow", width]]) this.element.setAttribute(`aria-${name}`, Math.round(value));
  }

  #set(width) {
    const bounded = Math.round(Math.min(this.#most, Math.max(LEAST, width)));
    this.area.style.setProperty("--chosen", `${bounded}px`);
    keep(bounded);
    this.moved();
  }

  #reset() {
    this.area.style.removeProperty("--chosen");
    keep(null);
    this.moved();
  }

  #begin(event) {
    if (event.button !== 0) return;
    const held = event.clientX - this.tree.offsetWidth;
    const move = (at) => this.#set(at.clientX - held);
    this.element.setPointerCapture(event.pointerId);
    this.element.addEventListener("pointermove", move);
    this.element.addEventListener("lostpointercapture", () => this.element.removeEventListener("pointermove", move), { once: true });
  }

  #pressed(event) {
    const widths = { ArrowLeft: this.tree.offsetWidth - STEP, ArrowRight: this.tree.offsetWidth + STEP, Home: LEAST, End: this.#most };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in widths) this.#set(widths[event.key]);
    else if (event.key === "Enter") this.#reset();
    else return;
    event.preventDefault();
  }
}

// Browsers may keep nothing for a file, or for a user who forbids it.
function read() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(width) {
  try {
    if (width === null) localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, width);
  } catch {
    // Then the width holds until the page is left.
  }
}

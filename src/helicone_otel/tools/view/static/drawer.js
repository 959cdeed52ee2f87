// The drawer: shows one request of the session, and leads to the one before and the one after.
// What it shows is made in request.js, with a dozen modules that a page loads when the rest is drawn.

import { loaded, request as find } from "./api.js";
import { announce, el, fill } from "./dom.js";
import { duration } from "./format.js";
import { line } from "./text.js";

export class Drawer {
  #asked = null;
  #shown = null;
  #opener = null;

  /**
   * @param {{close: Function, go: Function, others: Function, after: Function, scores: Function}} actions - `go` is called
   *   with the id of another request of the session; `others` returns the requests at a path, `after` those that start
   *   after a request at its path or below, `scores` the scores of a request
   */
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.element.hidden) return;
      event.preventDefault();
      actions.close();
    });
  }

  get isOpen() {
    return !this.element.hidden;
  }

  async open(id) {
    if (id === this.#shown && this.isOpen) return;
    this.#asked?.abort();
    this.#asked = new AbortController();
    const { signal } = this.#asked;
    if (!this.isOpen) this.#opener = document.activeElement;
    this.#shown = id;
    try {
      const [found, { body, heading }] = await Promise.all([find(id, signal), loaded(import("./request.js"))]);
      if (signal.aborted) return;
      this.#fillWith(heading(found), body(found, this.actions), found);
      announce(`Request ${line(found.name)}, ${duration(found.duration_ms)}${found.error === null ? "" : ", failed"}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#fillWith("Request", el("p.failure", {}, error.message));
    }
  }

  close() {
    if (!this.isOpen) return;
    this.#asked?.abort();
    this.#shown = null;
    const hadFocus = this.element.contains(document.activeElement);
    this.element.hidden = true;
    if (hadFocus) this.#opener?.focus();
  }

  #fillWith(title, body, found = {}) {
    const step = (text, name, id) => el("button.quiet.icon", { type: "button", "aria-label": name, title: name, disabled: !id, onclick: () => this.actions.go(id) }, text);
    fill(
      this.element,
      el(
        "header.drawer-head",
        {},
        el("h2", {}, title),
        step("‹", "The request before", found.previous),
        step("›", "The request after", found.next),
        el("button.quiet.icon", { type: "button", "aria-label": "Close", title: "Close (Esc)", onclick: () => this.actions.close() }, "×"),
      ),
      el("div.drawer-body", {}, body),
    );
    this.element.hidden = false;
    this.element.scrollTop = 0;
  }
}

// Adds filters, and lists those that hold, each with a button that removes it.

import * as address from "./address.js";
import { announce, el, fill } from "./dom.js";
import { described, KEYS } from "./filter_fields.js";

let panels = 0;

export class FilterPanel {
  /**
   * @param {HTMLElement} element - gets the controls
   * @param {Array} fields - what can be filtered by, of `filter_fields.js`
   * @param {{values: Function, set: Function}} actions - `values` returns what to suggest; `set` changes parameters of the address
   */
  constructor(element, fields, { values, set }) {
    Object.assign(this, { fields, values, set });
    panels += 1;
    const list = `suggested-${panels}`;
    this.by = el("select", { "aria-label": "Filter by" }, fields.map((field, place) => el("option", { value: place }, field.title)));
    this.value = el("input", { type: "text", "aria-label": "Value of the filter", list, autocomplete: "off" });
    this.list = el("datalist", { id: list });
    this.chips = el("ul.chips", { "aria-label": "Filters" });
    const add = el("form.filter-add", {}, this.by, this.value, this.list, el("button", { type: "submit" }, "Add filter"));
    add.addEventListener("submit", (event) => this.#add(event));
    this.by.addEventListener("change", () => this.#suggest());
    this.value.addEventListener("focus", () => this.#suggest());
    fill(element, add, this.chips);
    this.#suggest();
    this.show();
  }

  get #field() {
    return this.fields[Number(this.by.value)];
  }

  async #suggest() {
    const field = this.#field;
    this.value.type = field.isNumber ? "number" : "text";
    if (field.isNumber) Object.assign(this.value, { min: 0, step: "any" });
    this.value.placeholder = field.hint ?? "";
    const suggested = field.suggested ? field.suggested(await this.values()) : [];
    if (field === this.#field) fill(this.list, suggested.map((value) => el("option", { value })));
  }

  #add(event) {
    event.preventDefault();
    const typed = this.value.value.trim();
    if (!typed) return this.value.focus();
    const { key, text } = this.#field;
    const held = address.read().getAll(key);
    this.value.value = "";
    return this.set({ [key]: [...new Set([...held, text(typed)])] });
  }

  /** Shows the filters of the address. */
  show() {
    const parameters = address.read();
    const chip = (key, value) => {
      const text = described(key, value);
      const remove = () => {
        this.set({ [key]: parameters.getAll(key).filter((one) => one !== value) });
        announce(`Removed: ${text}`);
        this.value.focus();
      };
      return el("li.chip", {}, text, el("button.quiet", { type: "button", "aria-label": `Remove the filter ${text}`, onclick: remove }, "×"));
    };
    const shown = KEYS.filter((key) => this.fields.some((field) => field.key === key));
    fill(this.chips, shown.flatMap((key) => parameters.getAll(key).map((value) => chip(key, value))));
    this.chips.hidden = !this.chips.children.length;
  }
}

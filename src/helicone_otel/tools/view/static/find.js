// Finds requests inside a session: by words, by filters that combine, and those that failed.

import * as address from "./address.js";
import { findRequests } from "./api.js";
import { announce, byId } from "./dom.js";
import { forRequests, KEYS, passes } from "./filter_fields.js";
import { FilterPanel } from "./filter_panel.js";
import { count } from "./format.js";
import { whenKey } from "./keys.js";
import { busyOf, kindsOf, usedBy } from "./sums.js";

const TYPING = 200;

export class Find {
  #typing = 0;
  #typed = {};

  /** @param {{changed: Function, data: Function, failure: Function}} actions - `data` returns the whole session */
  constructor({ changed, data, failure }) {
    const set = (changes, options = {}) => {
      clearTimeout(this.#typing);
      // What was typed a moment ago belongs to the filters, too.
      address.write({ ...this.#typed, ...changes }, options);
      this.#typed = {};
      this.show();
      changed();
    };
    this.panel = new FilterPanel(byId("find-filters"), forRequests, { values: () => ({ models: [...new Set(data().requests.map((one) => one.model).filter(Boolean))] }), set });
    byId("find").addEventListener("submit", (event) => event.preventDefault());
    byId("search").addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typed = { search: byId("search").value.trim() || null };
      this.#typing = setTimeout(() => set({}, { replace: true }), TYPING);
    });
    byId("search").addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !byId("search").value) return;
      // Escape empties the search first, and then closes the request.
      event.stopPropagation();
      byId("search").value = "";
      set({ search: null }, { replace: true });
    });
    byId("failed").addEventListener("change", () => set({ errors: byId("failed").checked ? "1" : null }));
    byId("failure-before").addEventListener("click", () => failure(-1));
    byId("failure-after").addEventListener("click", () => failure(1));
    whenKey("/", () => byId("search").focus());
    this.show();
  }

  /** Shows what the address says. */
  show() {
    const parameters = address.read();
    if (document.activeElement !== byId("search")) byId("search").value = parameters.get("search") ?? "";
    byId("failed").checked = parameters.get("errors") === "1";
    this.panel.show();
  }

  /** Returns a session with only the requests that the address lets through, and the paths to them. */
  async filtered(data) {
    const parameters = address.read();
    const search = parameters.get("search");
    const isFailedOnly = parameters.get("errors") === "1";
    const isFiltered = search || isFailedOnly || KEYS.some((key) => parameters.has(key));
    const failures = data.requests.filter((one) => one.error !== null).length;
    for (const id of ["failure-before", "failure-after"]) byId(id).disabled = !failures;
    if (!isFiltered) {
      byId("found").textContent = "";
      return data;
    }
    const found = search ? new Set(await findRequests(data.session, search)) : null;
    const isShown = (one) => (!found || found.has(one.id)) && (!isFailedOnly || one.error !== null) && passes(one, parameters);
    const requests = data.requests.filter(isShown);
    const told = `${count(requests.length)} of ${count(data.requests.length)} requests`;
    if (byId("found").textContent !== told) announce(told);
    byId("found").textContent = told;
    return { ...data, requests, tree: treeOf(data.tree, requests), durations: data.durations.filter((one) => requests.some((request) => request.path === one.path)) };
  }
}

/** The levels with requests at or below them, with counts and sums of these requests. */
function treeOf(levels, requests) {
  const below = new Map(levels.map((level) => [level.path, []]));
  const parents = new Map(levels.map((level) => [level.path, level.parent]));
  for (const request of requests) {
    for (let at = request.path; below.has(at); at = parents.get(at)) below.get(at).push(request);
  }
  return levels.filter(({ path }) => below.get(path).length).map((level) => ({ ...level, ...sumsOf(below.get(level.path)) }));
}

function sumsOf(requests) {
  const failed = requests.filter((one) => one.error !== null);
  return { requests_below: requests.length, errors: failed.length, kinds: kindsOf(requests), busy_ms: busyOf(requests), ...usedBy(requests) };
}

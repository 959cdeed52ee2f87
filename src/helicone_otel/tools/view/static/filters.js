// The filters of the list: fields of the page, parameters of its address, and parameters for the server.

import * as address from "./address.js";
import { byId } from "./dom.js";
import { KEYS } from "./filter_fields.js";
import { local } from "./times.js";

const TYPING = 200;
const SELECTING = ["name", "search", "errors", "from", "to", ...KEYS];
const ASKED = [...SELECTING, "range", "inner"];
const FILTERS = [...SELECTING, "period"];

/** The changes that remove all filters. */
export const NONE = Object.fromEntries(FILTERS.map((name) => [name, null]));

/** The parameters for the server. A period becomes the time at which it begins. */
export function serverQuery() {
  const parameters = address.read();
  const query = new URLSearchParams();
  for (const key of ASKED) for (const value of parameters.getAll(key)) query.append(key, value);
  const period = Number(parameters.get("period"));
  if (period > 0) query.set("from", Date.now() - period * 1000);
  return query;
}

export function isFiltered() {
  const parameters = address.read();
  return FILTERS.some((name) => parameters.has(name));
}

/** Listens to the fields. `changed()` is called when the filters have changed. */
export function listen(changed) {
  const set = (changes, options) => {
    address.write({ ...changes, page: null }, options);
    changed();
  };
  let typing = 0;
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => set({ search: byId("search").value.trim() || null }, { replace: true }), TYPING);
  });
  byId("errors").addEventListener("change", () => set({ errors: byId("errors").checked ? "1" : null }));
  byId("period").addEventListener("change", () => {
    const { value } = byId("period");
    byId("between").hidden = value !== "between";
    if (value === "between") byId("from").focus();
    else set({ period: value || null, from: null, to: null });
  });
  for (const end of ["from", "to"]) {
    byId(end).addEventListener("change", () => {
      const at = new Date(byId(end).value).getTime();
      set({ [end]: Number.isFinite(at) ? at : null, period: null });
    });
  }
  return set;
}

/** Sets the fields to the filters in the address. */
export function showFilters() {
  const parameters = address.read();
  const isBetween = parameters.has("from") || parameters.has("to");
  if (document.activeElement !== byId("search")) byId("search").value = parameters.get("search") ?? "";
  byId("errors").checked = parameters.get("errors") === "1";
  byId("period").value = isBetween ? "between" : (parameters.get("period") ?? "");
  byId("between").hidden = !isBetween;
  for (const end of ["from", "to"]) byId(end).value = parameters.has(end) ? local(Number(parameters.get(end))) : "";
}

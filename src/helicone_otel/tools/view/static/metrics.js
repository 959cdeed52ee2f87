// Which sessions the histograms of the list show: all, or without a few very large ones, as on Helicone's page.

import * as address from "./address.js";
import { byId } from "./dom.js";

/** @param {Function} changed - called when the user has chosen another range */
export function listenToRange(changed) {
  const set = (changes) => {
    address.write(changes);
    showRange();
    changed();
  };
  byId("range").addEventListener("change", () => set({ range: byId("range").value || null, inner: byId("range").value && byId("inner").checked ? "1" : null }));
  byId("inner").addEventListener("change", () => set({ inner: byId("inner").checked ? "1" : null }));
}

/** Sets the fields to the range in the address. */
export function showRange() {
  const parameters = address.read();
  byId("range").value = parameters.get("range") ?? "";
  byId("inner").checked = parameters.get("inner") === "1";
  byId("inner").disabled = !parameters.get("range");
}

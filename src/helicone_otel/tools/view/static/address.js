// The address of the page holds what the page shows, so that it can be shared and the browser's "back" works.

import { isExported } from "./api.js";

// An exported file has no query, so the parameters are after the `#`.
const text = () => (isExported ? location.hash.slice(1) : location.search);

export const read = () => new URLSearchParams(text());

/** Changes parameters: `null` removes a parameter, a list repeats it. */
export function write(changes, { replace = false } = {}) {
  const parameters = read();
  for (const [name, value] of Object.entries(changes)) {
    parameters.delete(name);
    if (Array.isArray(value)) value.forEach((one) => parameters.append(name, one));
    else if (value !== null && value !== undefined) parameters.set(name, value);
  }
  const address = `${isExported ? "#" : "?"}${parameters}`;
  if (parameters.toString() === read().toString()) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
}

/** Calls back when the user goes back or forward. */
export function whenMoved(listener) {
  addEventListener("popstate", listener);
}

export function linkTo(page, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== undefined) query.append(name, one);
  }
  return `${page}?${query}`;
}

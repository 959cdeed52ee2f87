// Goes from request to request, and from failure to failure, by keys that work everywhere on the page of a session.

import { announce } from "./dom.js";
import { whenKey } from "./keys.js";

/**
 * @param {Function} shown - returns the requests that are shown, in the order of their starts
 * @param {Function} current - returns the chosen request, or `null`
 * @param {Function} choose - called with the request to go to
 */
export function steps(shown, current, choose) {
  const step = (direction, isWanted, nothing) => {
    const wanted = shown().filter(isWanted);
    if (!wanted.length) return announce(nothing);
    const place = current()?.place ?? (direction > 0 ? -1 : Infinity);
    const next = direction > 0 ? wanted.find((one) => one.place > place) : wanted.findLast((one) => one.place < place);
    // After the last one comes the first one again.
    return choose(next ?? wanted.at(direction > 0 ? 0 : -1));
  };
  const failure = (direction) => step(direction, (one) => one.error !== null, "No request failed");
  const request = (direction) => step(direction, () => true, "No request");
  whenKey("f", () => failure(1));
  whenKey("F", () => failure(-1));
  whenKey("j", () => request(1));
  whenKey("k", () => request(-1));
  return { failure, request };
}

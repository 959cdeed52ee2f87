// What every page has: where one is, whether it is connected, and what is wrong.

import { ask, isExported } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { nameOf } from "./text.js";

const STATES = { on: "Live", off: "Not connected" };

/** @param {...(string|Node)} crumbs - what stands after the way to the list */
export function crumbs(...parts) {
  fill(byId("crumbs"), parts.map((part) => (part instanceof Node ? part : el("span", {}, part))));
}

export function title(text) {
  document.title = `${nameOf(text)} · helicone-otel view`;
}

export function connected(isConnected) {
  const live = byId("live");
  if (!live) return;
  live.dataset.state = isConnected ? "on" : "off";
  live.textContent = STATES[live.dataset.state];
  if (isConnected) checkStatus();
}

const problems = new Map();

/** Shows what is wrong, or takes it away; what another cause has said stays. */
export function problem(text, cause = "page") {
  if (text) problems.set(cause, text);
  else problems.delete(cause);
  const banner = byId("banner");
  banner.hidden = problems.size === 0;
  fill(banner, [...problems.values()].join(" "));
}

/** Does something that asks the server, and says so if it does not answer. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error.name !== "AbortError") problem(error.message);
    return false;
  }
}

/** Asks whether all is well with the view itself, such as a full disk. */
export async function checkStatus() {
  if (isExported) return null;
  let status = null;
  await attempt(async () => {
    status = await ask("/api/status", {});
    problem(status.problem, "view");
  });
  return status;
}

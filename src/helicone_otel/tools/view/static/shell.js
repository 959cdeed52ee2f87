// The parts that every page has: breadcrumbs, title, connection state, and a banner for problems.

import { ask, isExported } from "./api.js";
import { byId, el, fill } from "./dom.js";
import "./keys.js";
import { nameOf } from "./text.js";
import { zone } from "./times.js";

const STATES = { on: "Live", off: "Not connected" };

byId("zone").textContent = `Times in ${zone()}`;

/** @param {...(string|Node)} crumbs - the parts after the link to the list */
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

/** Shows a problem, or removes it if `text` is empty. Problems of other causes stay. */
export function problem(text, cause = "page") {
  if (text) problems.set(cause, text);
  else problems.delete(cause);
  const banner = byId("banner");
  banner.hidden = problems.size === 0;
  fill(banner, [...problems.values()].join(" "));
}

/** Does work that asks the server, and shows the problem if it fails. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    if (error.name !== "AbortError") problem(error.message);
    return false;
  }
}

/** Asks the view whether it has a problem, such as a full disk. */
export async function checkStatus() {
  if (isExported) return null;
  let status = null;
  await attempt(async () => {
    status = await ask("/api/status", {});
    problem(status.problem, "view");
  });
  return status;
}

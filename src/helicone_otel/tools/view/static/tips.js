// What is shown under the pointer on the timeline.

import { el } from "./dom.js";
import { duration, kind, plural } from "./format.js";
import { used } from "./money.js";
import { mixOf } from "./sums.js";
import { line } from "./text.js";

/** @param {number} start - when the session started */
export function tipOfRequest(request, start) {
  const facts = [`at +${duration(request.start_ms - start)}`, `took ${duration(request.duration_ms)}`];
  if (request.ttft_ms !== null) facts.push(`first token after ${duration(request.ttft_ms)}`);
  return [
    el("strong", {}, line(request.name, 80)),
    ` ${kind(request.kind)}`,
    el("p", {}, el("bdi", {}, line(request.path))),
    el("p", {}, facts.join(", ")),
    request.critical ? el("p", {}, "on the critical path") : null,
    el("p", {}, used(request).join(", ")),
    request.error === null ? null : el("p.bad", {}, line(request.error, 160)),
  ];
}

export function tipOfPath(node) {
  const times = `${plural(node.requests_below, "request")} in ${duration(node.duration_ms)}, of which busy ${duration(node.busy_ms)}`;
  return [el("strong", {}, line(node.path)), el("p", {}, times), el("p", {}, [...mixOf(node), ...used(node)].join(" · "))];
}

// Lists the spans around a request in its trace.

import { el } from "./dom.js";
import { duration } from "./format.js";
import { line } from "./text.js";

const STEP = 12;

export function spans({ spans: all }, go) {
  const depths = new Map();
  const from = Math.min(...all.map((span) => span.start_ms));
  const to = Math.max(...all.map((span) => span.end_ms), from + 0.001);
  return el("ol.spans", {}, ordered(all).map((span) => {
    const depth = depths.has(span.parent_id) ? depths.get(span.parent_id) + 1 : 0;
    depths.set(span.span_id, depth);
    return item(span, depth, from, to - from, go);
  }));
}

/** Sorts spans so that each is followed by the spans below it. */
function ordered(all) {
  const ids = new Set(all.map((span) => span.span_id));
  const below = Map.groupBy(all, (span) => (ids.has(span.parent_id) ? span.parent_id : null));
  const found = [];
  const waiting = [...(below.get(null) ?? [])].reverse();
  while (waiting.length) {
    const span = waiting.pop();
    found.push(span);
    waiting.push(...[...(below.get(span.span_id) ?? [])].reverse());
  }
  return found;
}

function item(span, depth, from, length, go) {
  const bar = el("i");
  bar.style.left = `${((span.start_ms - from) / length) * 100}%`;
  bar.style.width = `${((span.end_ms - span.start_ms) / length) * 100}%`;
  const leads = span.request && !span.this;
  const name = line(span.name);
  const label = el("span.span-name", { title: span.path ? line(span.path, 400) : null }, leads ? el("button", { type: "button", onclick: () => go(span.request) }, name) : name);
  label.style.paddingLeft = `${Math.min(depth, 12) * STEP}px`;
  return el(
    `li${span.this ? ".this" : ""}`,
    { "aria-current": span.this ? "true" : null },
    label,
    el("span.span-line", { "aria-hidden": "true" }, bar),
    el(`span.number${span.error === null ? "" : ".bad"}`, { title: span.error === null ? null : line(span.error, 400) }, duration(span.end_ms - span.start_ms)),
  );
}

// Sums over requests: how many there are of each kind, for how long at least one of them runs, and what they used.

import { el } from "./dom.js";
import { count, duration, kind } from "./format.js";

/** By kind, the number of requests; the most frequent kind first. */
export function kindsOf(requests) {
  const kinds = new Map();
  for (const one of requests) kinds.set(one.kind, (kinds.get(one.kind) ?? 0) + 1);
  return Object.fromEntries([...kinds].sort(([, a], [, b]) => b - a));
}

/** The milliseconds in which at least one request runs. The requests are in the order of their starts. */
export function busyOf(requests) {
  let [busy, end] = [0, -Infinity];
  for (const one of requests) {
    busy += Math.max(0, one.end_ms - Math.max(one.start_ms, end));
    end = Math.max(end, one.end_ms);
  }
  return busy;
}

/** Tokens, cost, and how many requests have tokens and no price. */
export function usedBy(requests) {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const costs = requests.map((one) => one.cost).filter((cost) => cost !== null);
  return {
    input_tokens: sum(requests.map((one) => one.input_tokens ?? 0)),
    output_tokens: sum(requests.map((one) => one.output_tokens ?? 0)),
    cost: costs.length ? sum(costs) : null,
    unpriced: sum(requests.map((one) => Number(one.unpriced))),
  };
}

/** The kinds of the requests at a path and below it as texts, if they say more than the kind of its step. */
export function mixOf(node) {
  const kinds = Object.entries(node.kinds);
  const [only] = kinds.length === 1 ? kinds[0] : [null];
  return only !== null && only === node.kind ? [] : kinds.map(([name, number]) => `${count(number)} ${kind(name)}`);
}

/** The same in a row of the tree. A text for which there is no room is left out as a whole. */
export function mixElement(node) {
  const mix = mixOf(node);
  return mix.length ? el("span.mix", { title: mix.join(" · ") }, mix.map((text) => el("span", {}, text))) : null;
}

/** How long the requests of a path ran, and beside it the time from its start to its end, if that is another. */
export function timesOf(node) {
  const extent = duration(node.duration_ms);
  const busy = node.requests_below ? duration(node.busy_ms) : extent;
  return { busy, extent: busy === extent ? null : extent };
}

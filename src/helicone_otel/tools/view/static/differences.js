// Shows how a request differs from another one at the same path, line by line.

import { request as find } from "./api.js";
import { el, fill } from "./dom.js";
import { count, duration } from "./format.js";
import { span } from "./raw.js";
import { line } from "./text.js";
import { exact } from "./times.js";

// The table of a comparison has the product of both lengths in cells.
const MOST_LINES = 1500;
// Of lines that are the same, so many are shown around each difference.
const AROUND = 2;
const MANY = 400;
const SIGNS = { same: " ", out: "−", in: "+" };

/** @param {Array} others - the requests at the same path, as the session has them */
export function differences(found, others) {
  const same = others.filter((one) => one.id !== found.id).slice(-MANY);
  if (!same.length) return null;
  const body = el("div");
  const option = (one) => el("option", { value: one.id }, `${exact(one.start_ms)} · ${duration(one.duration_ms)} · ${line(one.name, 40)}${one.error === null ? "" : " · failed"}`);
  const select = el("select", { "aria-label": "Compare with", onchange: async () => {
    if (!select.value) return fill(body);
    try {
      const other = await find(select.value);
      if (other.id === select.value) fill(body, compared(other, found));
    } catch (error) {
      fill(body, el("p.failure", {}, error.message));
    }
  } }, el("option", { value: "" }, "Choose a request at this path"), same.map(option));
  return el("section.differences", {}, el("details", {}, el("summary", {}, "Differences"), select, body));
}

function compared(before, after) {
  const parts = [["Facts", facts], ["Request", (one) => one.raw?.request], ["Response", (one) => one.raw?.response], ["Attributes", (one) => span(one)?.attributes]];
  return parts.map(([title, of]) => {
    const [left, right] = [before, after].map((one) => textLines(of(one) ?? null));
    const changes = diff(left, right);
    const isSame = changes.every(([kind]) => kind === "same");
    return el("section", {}, el("h3", {}, title), isSame ? el("p.hint", {}, "the same") : el("pre.box.diff", { tabindex: 0 }, drawn(changes)));
  });
}

const facts = ({ model, provider, duration_ms, ttft_ms, input_tokens, output_tokens, error }) => ({ model, provider, duration_ms, ttft_ms, input_tokens, output_tokens, error });

/** JSON as lines, in which texts of several lines are several lines, too. */
function textLines(value) {
  return JSON.stringify(value, null, 1).split("\n").flatMap((one) => one.split("\\n"));
}

/** Returns `[kind, line]` for each line of both. Longer texts count as replaced, beside their equal ends. */
export function diff(left, right) {
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start += 1;
  let end = 0;
  while (end < Math.min(left.length, right.length) - start && left.at(-1 - end) === right.at(-1 - end)) end += 1;
  const [a, b] = [left, right].map((one) => one.slice(start, one.length - end));
  const middle = a.length <= MOST_LINES && b.length <= MOST_LINES ? longest(a, b) : [...a.map((one) => ["out", one]), ...b.map((one) => ["in", one])];
  const equal = (lines) => lines.map((one) => ["same", one]);
  return [...equal(left.slice(0, start)), ...middle, ...equal(left.slice(left.length - end))];
}

/** Finds the longest common part: https://en.wikipedia.org/wiki/Longest_common_subsequence */
function longest(a, b) {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const changes = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) changes.push(["same", a[(i += 1) - 1], (j += 1)]);
    else if (j >= b.length || (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) changes.push(["out", a[(i += 1) - 1]]);
    else changes.push(["in", b[(j += 1) - 1]]);
  }
  return changes;
}

function drawn(changes) {
  const near = changes.map((_, place) => changes.slice(Math.max(0, place - AROUND), place + AROUND + 1).some(([kind]) => kind !== "same"));
  const shown = [];
  let left = 0;
  changes.forEach(([kind, text], place) => {
    if (!near[place]) return void (left += 1);
    if (left) shown.push(skipped(left));
    left = 0;
    shown.push(el(`span.${kind}`, {}, `${SIGNS[kind]} ${text}\n`));
  });
  return left ? [...shown, skipped(left)] : shown;
}

const skipped = (number) => el("span.hint", {}, `  … ${count(number)} equal lines\n`);

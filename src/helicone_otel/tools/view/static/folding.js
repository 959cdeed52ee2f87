// Folds what is long: JSON by its objects and lists, and texts to their first lines.

import { el } from "./dom.js";
import { count } from "./format.js";

// JSON with at most so many values is shown whole.
const FEW = 24;
// A list shows so many of its values at once.
const CHUNK = 100;
const LONG_TEXT = 1600;
const LONG_VALUE = 400;

/** Shows a text as it is, and any other value as JSON with its keys highlighted. */
export function json(value) {
  if (value === null || value === undefined) return el("div.hint", {}, "not captured");
  if (typeof value === "string") return folded(el("div.box.prose", { dir: "auto" }, value), value.length);
  if (size(value, FEW + 1) <= FEW) return el("pre.box.json", {}, lines(value, 0));
  return el("div.box.json.folds", {}, entry(null, value, true));
}

/** Shows only the beginning of a long text, with a button for the rest. */
export function folded(element, length) {
  if (length <= LONG_TEXT) return element;
  const button = el("button.quiet", { type: "button", "aria-expanded": "false" }, `Show all ${count(length)} characters`);
  element.classList.add("clipped");
  button.addEventListener("click", () => {
    const isClipped = element.classList.toggle("clipped");
    button.setAttribute("aria-expanded", String(!isClipped));
    button.textContent = isClipped ? `Show all ${count(length)} characters` : "Show less";
  });
  return [element, button];
}

/** Counts the values in a value, up to a limit. */
function size(value, most) {
  if (value === null || typeof value !== "object") return 1 + Math.floor(String(value).length / LONG_VALUE) * most;
  let sum = 1;
  for (const one of Object.values(value)) if ((sum += size(one, most)) > most) break;
  return sum;
}

/** One value with its key. Objects and lists are made only when they are opened, because there can be very many. */
function entry(key, value, isOpen = false) {
  const name = key === null ? null : el("span.key", {}, typeof key === "number" ? `${key}: ` : `${JSON.stringify(key)}: `);
  if (value === null || typeof value !== "object") return el("div.entry", {}, name, leaf(value));
  const isList = Array.isArray(value);
  const entries = isList ? value.map((one, place) => [place, one]) : Object.entries(value);
  if (!entries.length) return el("div.entry", {}, name, isList ? "[]" : "{}");
  return details([name, isList ? "[" : "{", el("span.hint", {}, ` ${count(entries.length)} `), isList ? "]" : "}"], () => chunks(entries), isOpen);
}

function chunks(entries, first = 0) {
  if (entries.length <= CHUNK) return entries.map(([key, value]) => entry(key, value, entries.length === 1));
  let step = CHUNK;
  while (step * CHUNK < entries.length) step *= CHUNK;
  const starts = Array.from({ length: Math.ceil(entries.length / step) }, (_, place) => place * step);
  return starts.map((start) => {
    const some = entries.slice(start, start + step);
    const range = `${count(first + start)} … ${count(first + start + some.length - 1)}`;
    return details([el("span.hint", {}, range)], () => chunks(some, first + start), false);
  });
}

function details(summary, make, isOpen) {
  const inside = el("div.inside");
  const element = el("details.fold", { open: isOpen }, el("summary", {}, summary), inside);
  const fill = () => !inside.hasChildNodes() && inside.append(...make().flat(Infinity));
  if (isOpen) fill();
  else element.addEventListener("toggle", fill, { once: true });
  return element;
}

function leaf(value) {
  if (typeof value !== "string") return JSON.stringify(value) ?? "null";
  const text = el("span", {}, JSON.stringify(value));
  return value.length > LONG_VALUE ? folded(el("div.long", {}, text), Math.max(value.length, LONG_TEXT + 1)) : text;
}

function lines(value, depth) {
  if (value === null || typeof value !== "object") return [JSON.stringify(value) ?? "null"];
  const isList = Array.isArray(value);
  const [opening, closing] = isList ? "[]" : "{}";
  const entries = Object.entries(value);
  if (!entries.length) return [opening + closing];
  const indent = "  ".repeat(depth + 1);
  const inner = entries.flatMap(([key, one], place) => [
    `\n${indent}`,
    isList ? null : el("span.key", {}, `${JSON.stringify(key)}: `),
    ...lines(one, depth + 1),
    place < entries.length - 1 ? "," : null,
  ]);
  return [opening, ...inner, `\n${"  ".repeat(depth)}${closing}`];
}

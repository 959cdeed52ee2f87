// What sessions and requests can be filtered by. Each filter is a parameter of the address, which the server reads, too.

import { count, duration, kind } from "./format.js";
import { money } from "./money.js";
import { line } from "./text.js";

const KINDS = ["llm", "embedding", "vector_db", "tool", "rerank", "guardrail", "data"];
const SECOND = 1000;
const asIs = (value) => value;

// `of` returns the value of a request. A field without it filters sessions only.
const TEXTS = [
  { key: "kind", title: "Kind", suggested: () => KINDS, shown: kind, of: (request) => request.kind },
  { key: "model", title: "Model", suggested: ({ models }) => models, of: (request) => request.model },
  { key: "user", title: "User", suggested: ({ users }) => users },
  { key: "property", title: "Property", hint: "name:value", suggested: ({ properties }) => Object.entries(properties).flatMap(([name, values]) => values.map((value) => `${name}:${value}`)) },
];
const MEASURES = [
  { key: "duration", title: "Duration", hint: "seconds", scale: SECOND, shown: duration, of: (request) => request.duration_ms },
  { key: "tokens", title: "Tokens", scale: 1, shown: count, of: (request) => (request.input_tokens ?? 0) + (request.output_tokens ?? 0) },
  { key: "cost", title: "Cost", hint: "dollars", scale: 1, shown: money, of: (request) => request.cost },
  { key: "requests", title: "Requests", scale: 1, shown: count },
];
const ENDS = [
  { title: "at least", text: (value) => `${value}..` },
  { title: "at most", text: (value) => `..${value}` },
];

/** The filters that can be added, in the order of the menu. */
export const FIELDS = [
  ...TEXTS.map((field) => ({ ...field, text: asIs })),
  ...MEASURES.flatMap((field) => ENDS.map((end) => ({ ...field, title: `${field.title} ${end.title}`, isNumber: true, text: (typed) => end.text(+(Number(typed) * field.scale).toFixed(6)) }))),
];
export const KEYS = [...TEXTS, ...MEASURES].map(({ key }) => key);
export const forRequests = FIELDS.filter(({ of }) => of);

/** A filter for people: `Duration at least 2.00 s`. */
export function described(key, value) {
  const measure = MEASURES.find((one) => one.key === key);
  if (!measure) return `${TEXTS.find((one) => one.key === key).title}: ${line(TEXTS.find((one) => one.key === key).shown?.(value) ?? value, 60)}`;
  const [least, most] = value.split("..");
  const parts = [least && `at least ${measure.shown(Number(least))}`, most && `at most ${measure.shown(Number(most))}`];
  return `${measure.title} ${parts.filter(Boolean).join(", ")}`;
}

/** Tells whether a request passes the filters of the address: all keys must hold, of several texts of one key any. */
export function passes(request, parameters) {
  const isAnyOf = ({ key, of }) => !parameters.has(key) || !of || parameters.getAll(key).includes(of(request));
  return TEXTS.every(isAnyOf) && MEASURES.every(({ key, of }) => !of || parameters.getAll(key).every((range) => isWithin(of(request), range)));
}

function isWithin(value, range) {
  const [least, most] = range.split("..");
  return value !== null && (!least || value >= Number(least)) && (!most || value <= Number(most));
}

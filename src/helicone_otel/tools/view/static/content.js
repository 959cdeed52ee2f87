// Shows the content of a request: a conversation, the call of a tool, or a vector query. None of these texts can be trusted.

import { el } from "./dom.js";
import { count } from "./format.js";
import { line } from "./text.js";

const ROLES = { system: "System", developer: "Developer", user: "User", assistant: "Assistant", tool: "Tool" };
const MANY = 12;

export function conversation(messages) {
  if (!messages.length) {
    return el("p.hint", {}, "The app did not capture the content of messages. Most instrumentations have a setting for it, such as OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT.");
  }
  const articles = messages.map(message);
  if (articles.length <= MANY) return articles;
  // Only the end of a long conversation is shown at first, because the request is about it.
  const earlier = articles.splice(0, articles.length - MANY + 2);
  return [el("details", {}, el("summary", {}, `${count(earlier.length)} earlier messages`), earlier), ...articles];
}

function message({ role, from, parts, finish_reason: finish }) {
  return el(
    `article.message${from === "output" ? ".output" : ""}`,
    {},
    el("header", {}, ROLES[role] ?? line(role || "message"), finish ? el("span.badge", {}, `ended: ${line(finish, 40)}`) : null),
    el("div.parts", {}, parts.map(part)),
  );
}

function part(one) {
  if (one.type === "text") return el("div.prose", { dir: "auto" }, one.text);
  if (one.type === "tool_call") return call(["calls ", el("strong", {}, line(one.name))], one.id, one.arguments);
  if (one.type === "tool_result") return call(["result"], one.id, one.result);
  return json(one.value);
}

function call(title, id, value) {
  return el("div.call", {}, el("header", {}, title, id ? ` ${line(id, 60)}` : null), json(value));
}

export function tool({ name, input, result }) {
  return [el("p", {}, el("strong", {}, line(name))), titled("Input", json(input)), titled("Result", json(result))];
}

export function data({ input, output }) {
  return [titled("Input", json(input)), titled("Output", json(output))];
}

export function vector({ operation, database, collection, query, top_k: top, filter, matches }) {
  const facts = [["Operation", operation], ["Database", database], ["Collection", collection], ["Asked for", top === null || top === undefined ? null : `${count(top)} matches`]];
  return [
    pairs(facts.filter(([, value]) => value !== null && value !== undefined)),
    query === null || query === undefined ? null : titled("Query", json(query)),
    filter === null || filter === undefined ? null : titled("Filter", json(filter)),
    matches?.length ? titled(`Matches (${count(matches.length)})`, el("div", {}, matches.map(match))) : null,
  ];
}

function match({ id, score, text, metadata }) {
  const isShare = typeof score === "number" && score >= 0 && score <= 1;
  const hasMore = metadata && Object.keys(metadata).length > 0;
  return el(
    "div.match",
    {},
    el("div", {}, el("div.score", {}, typeof score === "number" ? score.toFixed(3) : "–"), isShare ? el("meter", { value: score, min: 0, max: 1, "aria-hidden": "true" }) : null),
    el("div", {}, text ? el("div.prose", { dir: "auto" }, text) : null, el("div.hint", {}, `id ${line(id)}`), hasMore ? json(metadata) : null),
  );
}

export function titled(title, ...children) {
  return el("section", {}, el("h3", {}, title), children);
}

export function pairs(list) {
  return el("dl.pairs", {}, list.map(([name, value]) => [el("dt", {}, line(name)), el("dd", { dir: "auto" }, asText(value))]));
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** Shows a text as it is, and any other value as indented JSON with its keys highlighted. */
export function json(value) {
  if (value === null || value === undefined) return el("div.hint", {}, "not captured");
  if (typeof value === "string") return el("div.box.prose", { dir: "auto" }, value);
  return el("pre.box.json", {}, lines(value, 0));
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

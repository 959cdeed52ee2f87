// Shows the content of a request: a conversation, the call of a tool, or a vector query. None of these texts can be trusted.

import { asJson, copy } from "./copying.js";
import { el } from "./dom.js";
import { folded, json } from "./folding.js";
import { count } from "./format.js";
import { markdown } from "./markdown.js";
import { pictureOf } from "./pictures.js";
import { line } from "./text.js";

const ROLES = { system: "System", developer: "Developer", user: "User", assistant: "Assistant", tool: "Tool" };
const MANY = 12;

/**
 * @param {Array} trees - message, part and tree of each text that is Markdown
 * @param {Function} later - returns a promise of results that later requests have, by the ids of calls
 */
export function conversation(messages, trees, later) {
  if (!messages.length) {
    return el("p.hint", {}, "The app did not capture the content of messages. Most instrumentations have a setting for it, such as OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT.");
  }
  const treeOf = new Map(trees.map(([place, number, tree]) => [messages[place]?.parts[number], tree]));
  const results = resultsOf(messages);
  const beside = new Set(results.values());
  const shown = messages.map((one) => ({ ...one, parts: one.parts.filter((part) => !beside.has(part)) })).filter((one) => one.parts.length);
  const pending = new Map();
  const articles = shown.map((one) => message(one, treeOf, results, one.from === "output" ? pending : null));
  if (pending.size) later([...pending.keys()]).then((found) => showLater(pending, found, results));
  if (articles.length <= MANY) return articles;
  // Only the end of a long conversation is shown at first, because the request is about it.
  const earlier = articles.splice(0, articles.length - MANY + 2);
  return [el("details", {}, el("summary", {}, `${count(earlier.length)} earlier messages`), earlier), ...articles];
}

/** Returns the result of each call that has one later in the conversation. */
function resultsOf(messages) {
  const calls = new Map();
  const results = new Map();
  for (const part of messages.flatMap((one) => one.parts)) {
    if (part.type === "tool_call" && part.id) calls.set(part.id, part);
    if (part.type !== "tool_result" || !calls.has(part.id)) continue;
    results.set(calls.get(part.id), part);
    calls.delete(part.id);
  }
  return results;
}

/** Shows results beside their calls. */
function showLater(pending, found, results) {
  for (const [id, result] of found) {
    const { one, pair } = pending.get(id);
    results.set(one, { result });
    pair.append(resultOf({ result }));
  }
}

function message({ role, from, parts, finish_reason: finish }, treeOf, results, pending) {
  const body = el("div.parts", {}, parts.map((one) => part(one, treeOf.get(one), results.get(one), pending)));
  const plain = parts.some((one) => treeOf.has(one)) ? asWritten(body, parts, treeOf, results) : null;
  return el(
    `article.message${from === "output" ? ".output" : ""}`,
    {},
    el("header", {}, ROLES[role] ?? line(role || "message"), el("span.end", {}, finish ? el("span.badge", {}, `ended: ${line(finish, 40)}`) : null, plain, copy(() => textOf(parts), "the message"))),
    body,
  );
}

/** A button that shows a message as it was written, without Markdown. */
function asWritten(body, parts, treeOf, results) {
  const button = el("button.quiet.copy", { type: "button", "aria-pressed": "false", "aria-label": "Show the text as it was written", title: "Show the text as it was written", "data-label": "Text", onclick: () => {
    const isPlain = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(isPlain));
    body.replaceChildren(...parts.flatMap((one) => [part(one, isPlain ? null : treeOf.get(one), results.get(one))].flat(Infinity)));
  } });
  return button;
}

const textOf = (parts) => parts.map((one) => one.text ?? asJson(one.arguments ?? one.result ?? one.value)).join("\n\n");

function part(one, tree, result, pending = null) {
  if (one.type === "text") return folded(tree ? markdown(tree) : el("div.prose", { dir: "auto" }, one.text), one.text.length);
  if (one.type === "tool_call") return withResult(one, result, pending);
  if (one.type === "tool_result") return call(["result"], one.id, one.result);
  if (one.value?.type === "reasoning" && typeof one.value.text === "string") return reasoning(one.value.text);
  return pictureOf(one.value) ?? json(one.value);
}

function withResult(one, result, pending) {
  const pair = el("div.call-pair", {}, call(["calls ", el("strong", {}, line(one.name))], one.id, one.arguments), result ? resultOf(result) : null);
  if (one.id && !result) pending?.set(one.id, { one, pair });
  return pair;
}

const resultOf = ({ result }) => call(["result"], null, result);

function reasoning(text) {
  return el("details.reasoning", {}, el("summary", {}, "Reasoning"), el("div.prose", { dir: "auto" }, text));
}

function call(title, id, value) {
  const isShown = value !== null && value !== undefined;
  return el("div.call", {}, el("header", {}, el("span", {}, title, id ? ` ${line(id, 60)}` : null), isShown ? copy(() => asJson(value), "as JSON") : null), json(value));
}

export function tool({ name, input, result }) {
  return [el("p", {}, el("strong", {}, line(name))), withCopy("Input", input), withCopy("Result", result)];
}

export function data({ input, output }) {
  return [withCopy("Input", input), withCopy("Output", output)];
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

function withCopy(title, value) {
  const isShown = value !== null && value !== undefined;
  return el("section", {}, el("div.titled", {}, el("h3", {}, title), isShown ? copy(() => asJson(value), title.toLowerCase()) : null), pictureOf(value) ?? json(value));
}

export function titled(title, ...children) {
  return el("section", {}, el("h3", {}, title), children);
}

export function pairs(list) {
  return el("dl.pairs", {}, list.map(([name, value]) => [el("dt", {}, line(name)), el("dd", { dir: "auto" }, asText(value))]));
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value));

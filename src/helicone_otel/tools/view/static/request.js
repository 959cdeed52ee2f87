// What the drawer shows of a request: its numbers, content, headers, attributes and trace.

import { colour } from "./colour.js";
import { conversation, data, pairs, titled, tool, vector } from "./content.js";
import { copy } from "./copying.js";
import { differences } from "./differences.js";
import { el, outside } from "./dom.js";
import { count, duration, kind } from "./format.js";
import { badge } from "./judge.js";
import { costText, pricesText } from "./money.js";
import { raw } from "./raw.js";
import { resultsAfter } from "./results.js";
import { spans } from "./spans.js";
import { line } from "./text.js";
import { exact } from "./times.js";

const MANY = 40;

export const heading = (found) => [el("span.badge", {}, kind(found.kind)), " ", el("bdi", {}, line(found.name))];

/** @param {{go: Function, others: Function, after: Function, scores: Function}} actions - as of the drawer */
export function body(found, { go, others, after, scores }) {
  return [about(found), scoresOf(scores(found.id)), sections(found, after), raw(found), differences(found, others(found.path)), traceOf(found, go), known(found)];
}

function about(found) {
  const swatch = el("span.swatch");
  swatch.style.backgroundColor = colour(found.colour);
  const tokens = found.input_tokens === null && found.output_tokens === null ? null : [`${count(found.input_tokens)} in`, ...cached(found), `${count(found.output_tokens)} out`].join(", ");
  const facts = [
    ["Duration", duration(found.duration_ms)],
    ["First token", found.ttft_ms === null ? null : duration(found.ttft_ms)],
    ["Tokens", tokens],
    ["Cost", costOf(found)],
    ["Model", found.model],
    ["Answered by", found.answered_by === found.model ? null : found.answered_by],
    ["Provider", found.provider],
    ["Started", exact(found.start_ms)],
    ["Badge in Helicone", found.badge],
  ];
  return el(
    "section",
    {},
    el("p.drawer-path", {}, swatch, el("bdi", {}, line(found.path, 1000))),
    found.error === null ? null : el("p.failure", {}, found.error || "failed"),
    el("dl.stats", {}, facts.filter(([, value]) => value !== null).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, line(value))))),
  );
}

function cached({ cached_tokens: read, written_tokens: written }) {
  return [read ? `${count(read)} of them cached` : null, written ? `${count(written)} of them written to the cache` : null].filter(Boolean);
}

function costOf(found) {
  if (found.cost === null && !found.unpriced) return null;
  return found.cost === null ? `${pricesText(found.prices)} have none for this model` : `${costText(found)}, ${pricesText(found.prices)}`;
}

function sections(found, after) {
  const later = (ids) => resultsAfter(found.path, ids, after(found));
  return [
    found.messages ? titled("Conversation", conversation(found.messages, found.markdown, later)) : null,
    found.tool ? titled("Tool", tool(found.tool)) : null,
    found.vector ? titled("Vector query", vector(found.vector)) : null,
    found.data ? titled("Content", data(found.data)) : null,
    found.headers.length ? titled("Headers sent", pairs(found.headers)) : null,
  ];
}

function scoresOf(scores) {
  return scores.length ? titled("Scores", el("dl.pairs", {}, scores.map((one) => [el("dt", {}, badge(one)), el("dd", { dir: "auto" }, one.reason ?? "")]))) : null;
}

function traceOf({ trace }, go) {
  if (!trace?.spans.length) return null;
  if (trace.spans.length <= MANY) return titled("Trace", spans(trace, go));
  // A long trace is made only when the user opens it.
  const more = el("details", {}, el("summary", {}, `Trace (${count(trace.spans.length)} spans around it)`));
  more.addEventListener("toggle", () => more.append(spans(trace, go)), { once: true });
  return el("section", {}, more);
}

function known(found) {
  const ids = [["Request", found.id], ["Session", found.session.id], ["Trace", found.trace?.trace_id], ["Span", found.trace?.span_id]];
  return [
    folded("Attributes", found.attributes),
    found.events.length ? el("section", {}, el("details", {}, el("summary", {}, `Events (${found.events.length})`), found.events.map((event) => event_(event, found.start_ms)))) : null,
    folded("Resource", found.resource.concat(found.scope ? [["scope", found.scope]] : [])),
    titled("Ids", el("dl.pairs", {}, ids.filter(([, id]) => id).map(([name, id]) => [el("dt", {}, name), el("dd.id", {}, line(id, 400), copy(id, `the id: ${name}`))]))),
    found.helicone_url ? el("p", {}, outside(found.helicone_url, "This request on Helicone ↗")) : null,
  ];
}

function event_({ name, at_ms: at, attributes }, start) {
  return titled(`${line(name)} +${duration(at - start)}`, pairs(attributes));
}

function folded(title, list) {
  return list.length ? el("section", {}, el("details", {}, el("summary", {}, `${title} (${list.length})`), pairs(list))) : null;
}

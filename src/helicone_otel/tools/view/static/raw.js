// The raw view of a request: what was asked, what was answered and the span, as JSON, and the call as a curl command.

import { asJson, copy } from "./copying.js";
import { el, fill } from "./dom.js";
import { json } from "./folding.js";

// What a terminal, or somebody who reads it, could take for something else: controls and marks that turn text.
const HIDDEN = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
// How each provider takes its key, by a part of the host. The key itself is never known here.
const KEYS = [
  ["anthropic.com", ["x-api-key: $ANTHROPIC_API_KEY", "anthropic-version: 2023-06-01"]],
  ["googleapis.com", ["x-goog-api-key: $GEMINI_API_KEY"]],
  ["openai.azure.com", ["api-key: $AZURE_OPENAI_API_KEY"]],
  ["openai.com", ["Authorization: Bearer $OPENAI_API_KEY"]],
];

export function raw(found) {
  const parts = [["Request", found.raw?.request], ["Response", found.raw?.response], ["Span", span(found)]].filter(([, value]) => value !== null && value !== undefined);
  if (!parts.length) return null;
  const body = el("div.raw-body");
  const show = (name, value, button) => {
    for (const one of buttons) one.setAttribute("aria-pressed", String(one === button));
    fill(body, el("div.raw-copy", {}, copy(() => asJson(value), `the ${name.toLowerCase()} as JSON`, { label: "Copy JSON" }), name === "Request" ? copyOfCurl(found) : null), json(value));
  };
  const buttons = parts.map(([name, value]) => el("button", { type: "button", "aria-pressed": "false", onclick: (event) => show(name, value, event.currentTarget) }, name));
  const element = el("details", {}, el("summary", {}, "Raw"), el("div.switch", { role: "group", "aria-label": "Raw" }, buttons), body);
  element.addEventListener("toggle", () => body.hasChildNodes() || buttons[0].click(), { once: true });
  return el("section.raw", {}, element);
}

/** The span with the names of OTLP's JSON; nothing for a request that came only as a row. */
export function span({ trace, attributes, events, resource, scope, start_ms: start, end_ms: end }) {
  if (!trace) return null;
  const own = trace.spans.find((one) => one.this);
  return {
    traceId: trace.trace_id, spanId: trace.span_id, parentSpanId: own?.parent_id ?? null, name: own?.name ?? null, scope,
    startMs: own?.start_ms ?? start, endMs: own?.end_ms ?? end, attributes: Object.fromEntries(attributes),
    events: events.map(({ name, at_ms: at, attributes: more }) => ({ name, timeMs: at, attributes: Object.fromEntries(more) })),
    resource: Object.fromEntries(resource),
  };
}

function copyOfCurl(found) {
  return addressOf(found.raw.url) ? copy(() => curl(found.raw), "the call as a curl command", { label: "Copy curl" }) : null;
}

/** The address as the browser reads it, so that nothing behind the host is taken for a part of it; null if it is none. */
function addressOf(url) {
  try {
    const address = new URL(url);
    return ["http:", "https:"].includes(address.protocol) && address.hostname ? address : null;
  } catch {
    return null;
  }
}

/** A command for a shell. Single quotes keep all of its texts as they are; the key is a variable. */
export function curl({ url, request }) {
  const { protocol, hostname, href } = addressOf(url);
  const known = protocol === "https:" && KEYS.find(([part]) => hostname === part || hostname.endsWith(`.${part}`));
  const headers = known ? known[1] : ["Authorization: Bearer $API_KEY"];
  const body = JSON.stringify(request).replace(HIDDEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return [`curl ${quoted(href)}`, ...headers.map((header) => `  -H "${header}"`), "  -H 'Content-Type: application/json'", `  --data-raw ${quoted(body)}`].join(" \\\n");
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

// Links that save what the page shows as CSV, JSON or OTLP.

import { el, fill } from "./dom.js";

const FORMATS = [
  ["csv", "CSV", "a line for each request"],
  ["json", "JSON", "sessions with the content of their requests"],
  ["otlp", "OTLP", "spans as OTLP JSON lines, which the view and the Collector read"],
];

/** @param {URLSearchParams} query - a session's id and name, or the filters of the list */
export function exportLinks(element, query) {
  const links = FORMATS.map(([format, label, hint]) => {
    const parameters = new URLSearchParams(query);
    parameters.set("format", format);
    return el("a.button.quiet", { href: `/api/export?${parameters}`, download: true, title: `Save as ${label}: ${hint}` }, label);
  });
  fill(element, links);
}

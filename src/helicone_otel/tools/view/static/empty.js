// What the list shows while there is no session: the commands that fill it, and the demo.

import { copy } from "./copying.js";
import { el, fill } from "./dom.js";

// The app's spans are sent here without a change to its code. Other languages know the same variables.
const COMMANDS = [
  ["Run a Python app, without changing it", (http) => `OTEL_EXPORTER_OTLP_ENDPOINT=${http} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_TRACES_EXPORTER=otlp opentelemetry-instrument python app.py`],
  ["Point an app here that is instrumented already, in any language", (http) => `export OTEL_EXPORTER_OTLP_ENDPOINT=${http} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`],
  ["Send the rows here that an app logs to Helicone", (http) => `export HELICONE_LOG=true HELICONE_LOG_ENDPOINT=${http}`],
];
const DEMO = (http) => `helicone-otel demo --to ${http}`;

/** @param {{http: ?string, grpc: ?string}} receivers - where the view receives spans */
export function showEmpty(element, { http, grpc }) {
  if (!http) {
    fill(element, el("h2", {}, "No session yet"), el("p", {}, "This view receives no spans by itself. It shows those of the files, or of the app, that it was started with."));
    return;
  }
  fill(
    element,
    el("h2", {}, "No session yet"),
    el("p", {}, "Each of these fills the list. Sessions appear as they run."),
    el("ol.commands", {}, COMMANDS.map(([title, command]) => item(title, command(http)))),
    el("h3", {}, "Or try the demo"),
    el("ol.commands", {}, item("A small agent plans a trip, with models and tools that run on this machine. It needs no key.", DEMO(http))),
    grpc ? el("p.hint", {}, `OTLP/gRPC is received at ${grpc}, Helicone's log API beside OTLP/HTTP.`) : null,
  );
}

function item(title, command) {
  const text = el("code", {}, command);
  return el("li", {}, el("span", {}, title), el("div.command", {}, text, copy(command, `the command: ${title}`, { source: text })));
}

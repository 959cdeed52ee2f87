// The head of a session's page: name, sums, and links to other sessions of the name.

import { linkTo } from "./address.js";
import { byId, el, fill } from "./dom.js";
import { exportLinks } from "./exports.js";
import { compact, count, duration, kind, plural } from "./format.js";
import { costElement, pricesElement } from "./money.js";
import { crumbs, title } from "./shell.js";
import { line, nameOf } from "./text.js";
import { exact, moment } from "./times.js";

/**
 * @param {object} prices - which prices the costs are made with
 * @param {Array} [siblings] - sessions of the same name; without them the list stays as it is
 */
export function head(session, prices, siblings) {
  title(session.name);
  fill(byId("title"), el("bdi", {}, nameOf(session.name)), el("small", {}, line(session.id)));
  fill(byId("stats"), stats(session, prices).map(([name, value, more]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, more ? el("small", {}, " ", more) : null))));
  fill(byId("facts"), facts(session));
  fill(byId("critical"), session.requests ? [el("span.critical", { "aria-hidden": "true" }), `critical path, ${duration(session.critical_ms)}`] : null);
  if (!byId("siblings")) return;
  crumbs(el("a", { href: linkTo("/", { name: session.name }) }, nameOf(session.name)), line(session.id, 40));
  byId("export").href = linkTo("/api/export", { id: session.id, name: session.name });
  exportLinks(byId("exports"), { id: session.id, name: session.name });
  byId("compare").href = linkTo("/compare", { name: session.name });
  if (siblings) listSiblings(siblings, session);
}

function stats(session, prices) {
  const kinds = Object.entries(session.kinds).map(([name, number]) => `${count(number)} ${kind(name)}`);
  return [
    ["Started", el("time", { datetime: new Date(session.start_ms).toISOString(), title: exact(session.start_ms) }, moment(session.start_ms))],
    ["Duration", duration(session.duration_ms), `${duration(session.busy_ms)} busy`],
    ["Requests", count(session.requests), kinds.join(" · ")],
    ["Tokens", compact(session.tokens), `${compact(session.input_tokens)} in · ${compact(session.output_tokens)} out`],
    ["Cost", costElement(session), pricesElement(prices)],
    ["Errors", session.errors ? el("span.bad", {}, count(session.errors)) : "0"],
  ];
}

function facts({ users, properties, models, services }) {
  const badge = (name, value) => el("span.badge", {}, `${line(name, 60)}: ${line(value, 120)}`);
  return [
    users.map((user) => badge("user", user)),
    Object.entries(properties).map(([name, values]) => values.map((value) => badge(name, value))),
    models.map((model) => badge("model", model)),
    services.map((service) => badge("service", service)),
  ];
}

function listSiblings(siblings, session) {
  const select = byId("siblings");
  const options = siblings.map((one) =>
    el("option", { value: one.id, selected: one.id === session.id }, `${moment(one.start_ms)} · ${plural(one.requests, "request")}${one.errors ? ` · ${one.errors} failed` : ""}`),
  );
  fill(select, options);
  select.hidden = siblings.length < 2;
  select.onchange = () => location.assign(linkTo("/session", { id: select.value, name: session.name }));
}

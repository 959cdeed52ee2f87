// Lists the sessions that are compared, with boxes to leave one out.

import { linkTo } from "./address.js";
import { byId, el, fill } from "./dom.js";
import { compact, count, duration } from "./format.js";
import { costElement } from "./money.js";
import { line } from "./text.js";
import { exact, moment } from "./times.js";

const LEAST = 2;

/** @param {Function} pick - called with the ids that remain */
export function showComparedSessions(element, { name, sessions }, pick) {
  byId("sessions-about").textContent = sessions.length > LEAST ? "untick one to leave it out" : "";
  const ids = sessions.map((one) => one.id);
  const heads = ["Started", "Session", "Duration", "Requests", "Tokens", "Cost", "Errors"];
  const without = (id) => pick(ids.filter((one) => one !== id));
  fill(
    element,
    el(
      "table.plain-table",
      {},
      el("thead", {}, el("tr", {}, el("th", {}, el("span.heard", {}, "Compared")), heads.map((head, place) => el(place > 1 ? "th.number" : "th", { scope: "col" }, head)))),
      el("tbody", {}, [...sessions].reverse().map((one) => row(one, name, sessions.length > LEAST, without))),
    ),
  );
}

function row(one, name, canLeave, without) {
  const label = `Compare the session started ${exact(one.start_ms)}`;
  const box = el("input", { type: "checkbox", checked: true, disabled: !canLeave, "aria-label": label, onchange: () => without(one.id) });
  return el(
    "tr",
    {},
    el("td", {}, box),
    el("td", {}, el("a", { href: linkTo("/session", { id: one.id, name }), title: exact(one.start_ms) }, moment(one.start_ms))),
    el("td.mono", {}, line(one.id)),
    el("td.number", {}, duration(one.duration_ms)),
    el("td.number", {}, count(one.requests)),
    el("td.number", {}, compact(one.tokens)),
    el("td.number", {}, costElement(one)),
    el("td.number", {}, one.errors ? el("span.badge.error", {}, count(one.errors)) : "0"),
  );
}

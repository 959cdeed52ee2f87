// What people and evaluators think of a session: thumbs, a note, and the scores that its spans carry.

import { change, isExported } from "./api.js";
import { announce, byId, el, fill } from "./dom.js";
import { attempt } from "./shell.js";
import { line } from "./text.js";
import { exact } from "./times.js";

const THUMBS = [
  [true, "span.thumb", "Good"],
  [false, "span.thumb.down", "Bad"],
];
const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 3 });
const MANY = 40;
let shown = null;

/** @param {{session: object, feedback: object|null, scores: Array}} data
 *  @param {Function} open - called with the id of the request that a score judges */
export function judge(data, open) {
  const element = byId("judge");
  // What somebody writes right now stays.
  if (element.contains(document.activeElement) && shown?.id === data.session.id && shown.name === data.session.name) return fillScores(data.scores, open);
  shown = { id: data.session.id, name: data.session.name, good: data.feedback?.good ?? null, note: data.feedback?.note ?? "" };
  fill(element, isExported ? read(data.feedback) : form(), el("div.scores"));
  fillScores(data.scores, open);
}

function read(feedback) {
  if (!feedback) return null;
  const thumb = THUMBS.find(([good]) => good === feedback.good);
  return el("p", {}, thumb ? el(thumb[1], { role: "img", "aria-label": thumb[2] }) : null, feedback.note, el("span.hint", {}, ` ${exact(feedback.changed_ms)}`));
}

function form() {
  const said = el("span.hint", { id: "judged" });
  const note = el("textarea", { rows: 1, maxlength: 4000, placeholder: "Note", "aria-label": "Note on the session", onchange: () => save({ note: note.value }, said) });
  note.value = shown.note;
  const buttons = THUMBS.map(([good, look, name]) => el("button.quiet.icon", { type: "button", "aria-label": name, title: name, "aria-pressed": String(shown.good === good), onclick: (event) => {
    const given = shown.good === good ? null : good;
    for (const one of buttons) one.setAttribute("aria-pressed", String(given !== null && one === event.currentTarget));
    save({ good: given }, said);
  } }, el(look)));
  return el("div.judge-form", {}, el("span", { role: "group", "aria-label": "Judge the session" }, buttons), note, said);
}

async function save(changed, said) {
  Object.assign(shown, changed);
  fill(said, "Saving…");
  const ok = await attempt(async () => {
    const { helicone } = await change("/api/feedback", shown);
    const more = { sent: " and sent to Helicone", "no key": "", "nothing to send": "" }[helicone] ?? `; not sent to Helicone: ${line(helicone, 300)}`;
    fill(said, `Saved${more}`);
  });
  if (!ok) fill(said, "Not saved");
  announce(said.textContent);
}

function fillScores(scores, open) {
  const badges = scores.slice(0, MANY).map((score) => badge(score, open));
  fill(byId("judge").querySelector(".scores"), badges, scores.length > MANY ? el("span.hint", {}, `and ${scores.length - MANY} more`) : null);
}

/** A score, with its reason as its title. If it judges a request, a click opens that. */
export function badge({ request, name, value, label, reason, source }, open) {
  const text = [`${line(name, 60)}:`, value === null ? null : NUMBER.format(value), label === null ? null : line(label, 60)].filter((part) => part !== null).join(" ");
  const attributes = { title: [reason, `score by the convention of ${source}`].filter(Boolean).join("\n\n") };
  return request && open ? el("button.badge.score-badge", { type: "button", ...attributes, onclick: () => open(request) }, text) : el("span.badge.score-badge", attributes, text);
}

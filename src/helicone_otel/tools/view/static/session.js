// The page of one session: loads it, and keeps its views in step when the user chooses something.
// Tree and timeline are here. When they are drawn, the views that need large libraries load, in session_charts.js, and
// what the drawer shows.

import * as address from "./address.js";
import { isExported, session, whenChanged } from "./api.js";
import { whenSchemeChanges } from "./colour.js";
import { byId } from "./dom.js";
import { Drawer } from "./drawer.js";
import { Find } from "./find.js";
import { firstSession } from "./first_load.js";
import { head } from "./head.js";
import { judge } from "./judge.js";
import { Model } from "./model.js";
import { Selection } from "./selection.js";
import { attempt, connected, problem } from "./shell.js";
import { Splitter } from "./splitter.js";
import { steps } from "./steps.js";
import { pressed, switchable } from "./switch.js";
import { Waterfall } from "./waterfall.js";

export const selection = new Selection();
const others = [];
// The session as the server has it, and the part of it that the filters let through.
let whole = null;
let model = null;
let waterfall = null;
let scores = [];

const find = (id) => (id ? (model.byId.get(id) ?? null) : null);
export const choose = (request, cause = null) => selection.choose(request ? { path: request.path, request } : { path: null }, cause);
// Choosing the same path again clears the choice.
export const choosePath = (path, cause = null) => selection.choose({ path: path === selection.path && !selection.request ? null : path }, cause);

/** Adds a view. Its `show(model)` is called now and whenever the session changes. */
export function add(view) {
  others.push(view);
  if (model) view.show(model);
}

const drawer = new Drawer(byId("drawer"), {
  close: () => selection.choose({ path: selection.path }),
  go: (id) => (find(id) ? choose(find(id)) : drawer.open(id)),
  scores: (id) => scores.filter((one) => one.request === id),
  others: (path) => model.nodes.get(path)?.own ?? [],
  // Also those that the filters do not let through.
  after({ id, path }) {
    const at = whole.requests.findIndex((one) => one.id === id);
    return at < 0 ? [] : whole.requests.slice(at + 1).filter((one) => Model.isWithin(one.path, path));
  },
});

const { failure } = steps(() => (model ? [...model.byId.values()] : []), () => selection.request, choose);

async function load(asked) {
  whole = await asked;
  problem(null);
  document.getElementById("missing")?.remove();
  byId("page").hidden = false;
  finding ??= new Find({ changed: () => attempt(showFound), data: () => whole, failure });
  scores = whole.scores;
  // First, because it moves the timeline down.
  judge(whole, (id) => find(id) && choose(find(id)));
  await showFound();
}

let finding = null;
async function showFound() {
  const data = whole;
  const found = await finding.filtered(data);
  if (data === whole) show(new Model(found), data.same_name);
}

function show(next, siblings) {
  model = next;
  head(whole.session, whole.prices, siblings);
  if (selection.request) selection.request = find(selection.request.id) ?? selection.request;
  if (waterfall) waterfall.update(model);
  else begin();
  for (const view of others) view.show(model);
}

function begin() {
  waterfall = new Waterfall(model, selection, { choose, choosePath });
  new Splitter(byId("splitter"), byId("waterfall"), byId("tree"), () => waterfall.measure());
  // On a narrow screen the drawer is below. What was chosen must not be behind it.
  new ResizeObserver(() => {
    const drawer = byId("drawer").getBoundingClientRect();
    if (drawer.top > 0 && drawer.width >= innerWidth - 20 && byId("waterfall").getBoundingClientRect().bottom > drawer.top) byId("waterfall").scrollIntoView();
  }).observe(byId("drawer"));
}

/** Shows what the address names. */
function follow() {
  const parameters = address.read();
  const request = find(parameters.get("request"));
  for (const [view, name] of SWITCHES) showAs(view, parameters.get(name) ?? "");
  waterfall.showPart(parameters.get("part"));
  if (request) choose(request);
  else selection.choose({ path: parameters.get("path") });
}

const SWITCHES = [
  ["timeline", "as"],
  ["durations", "durations"],
];
const SHOWN = { timeline: ["waterfall", "requests-table"], durations: ["durations", "durations-table"] };

function showAs(view, as) {
  const [drawing, table] = SHOWN[view].map(byId);
  pressed(byId(`${view}-as`), as);
  drawing.hidden = as === "table";
  table.hidden = as !== "table";
  if (view === "timeline") waterfall.measure();
  for (const other of others) other.show(model);
}

selection.whenChanged(({ path, request }) => {
  address.write({ request: request?.id ?? null, path: request ? null : path });
  if (request) drawer.open(request.id);
  else drawer.close();
});
for (const [view, name] of SWITCHES) {
  switchable(byId(`${view}-as`), (as) => {
    address.write({ [name]: as || null }, { replace: true });
    if (model) showAs(view, as);
  });
}
address.whenMoved(async () => {
  if (!model) return;
  finding.show();
  if (await attempt(showFound)) follow();
});
whenSchemeChanges(() => model && show(model));

// A running session is loaded again when it changes, one load at a time.
let isAsking = false;
let isStale = false;
async function refresh() {
  isStale = true;
  if (isAsking) return;
  isAsking = true;
  while (isStale) {
    isStale = false;
    const isFirst = model === null;
    const parameters = address.read();
    if ((await attempt(() => load(session(parameters.get("id"), parameters.get("name"))))) && isFirst) follow();
  }
  isAsking = false;
}

if (!isExported) {
  const isOurs = ({ id }) => id === address.read().get("id");
  whenChanged((changed) => (!changed || changed.more || changed.sessions.some(isOurs)) && refresh(), connected);
}
if (await attempt(() => load(firstSession))) follow();
else byId("page").hidden = true;
const later = () => Promise.all([import("./session_charts.js"), import("./request.js")]);
requestAnimationFrame(() => setTimeout(() => attempt(later)));

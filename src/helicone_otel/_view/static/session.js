// The page of one session: asks for it, and has its views agree on what is chosen, open and in sight.

import * as address from "./address.js";
import { isExported, session, whenChanged } from "./api.js";
import { whenSchemeChanges } from "./colour.js";
import { byId } from "./dom.js";
import { Drawer } from "./drawer.js";
import { Durations } from "./durations.js";
import { head } from "./head.js";
import { Model } from "./model.js";
import { RequestsTable } from "./requests_table.js";
import { Selection } from "./selection.js";
import { attempt, connected, problem } from "./shell.js";
import { pressed, switchable } from "./switch.js";
import { Waterfall } from "./waterfall.js";

const selection = new Selection();
let model = null;
let waterfall = null;

const find = (id) => (id ? (model.byId.get(id) ?? null) : null);
const choose = (request, cause = null) => selection.choose(request ? { path: request.path, request } : { path: null }, cause);
// What is chosen again is let go.
const choosePath = (path, cause = null) => selection.choose({ path: path === selection.path && !selection.request ? null : path }, cause);

const drawer = new Drawer(byId("drawer"), {
  close: () => selection.choose({ path: selection.path }),
  go: (id) => (find(id) ? choose(find(id)) : drawer.open(id)),
});
const requestsTable = new RequestsTable(byId("requests-table"), selection, choose);
const durations = new Durations(byId("durations"), byId("durations-table"), selection, choosePath);

async function load() {
  const parameters = address.read();
  const data = await session(parameters.get("id"), parameters.get("name"));
  problem(null);
  show(new Model(data), data.same_name);
}

function show(next, siblings) {
  model = next;
  head(model.session, siblings);
  if (waterfall) waterfall.update(model);
  else waterfall = new Waterfall(model, selection, { choose, choosePath });
  requestsTable.show(model);
  durations.show(model);
  if (selection.request) selection.request = find(selection.request.id) ?? selection.request;
}

/** Shows what the address says. */
function follow() {
  const parameters = address.read();
  const request = find(parameters.get("request"));
  showAs("timeline", parameters.get("as") ?? "");
  showAs("durations", parameters.get("durations") ?? "");
  waterfall.showPart(parameters.get("part"));
  if (request) choose(request);
  else selection.choose({ path: parameters.get("path") });
}

function showAs(view, as) {
  pressed(byId(`${view}-as`), as);
  const isTable = as === "table";
  byId(view === "timeline" ? "waterfall" : "durations").hidden = isTable;
  byId(view === "timeline" ? "requests-table" : "durations-table").hidden = !isTable;
  if (view === "timeline") requestsTable.show(model);
  else durations.draw();
  if (!isTable && view === "timeline") waterfall.measure();
}

selection.whenChanged(({ path, request }) => {
  address.write({ request: request?.id ?? null, path: request ? null : path });
  if (request) drawer.open(request.id);
  else drawer.close();
});
for (const [view, name] of [["timeline", "as"], ["durations", "durations"]]) {
  switchable(byId(`${view}-as`), (as) => {
    address.write({ [name]: as || null }, { replace: true });
    showAs(view, as);
  });
}
address.whenMoved(() => model && follow());
whenSchemeChanges(() => model && show(model, undefined));

if (await attempt(load)) follow();

// A session that runs is asked for again, once at a time.
let isAsking = false;
let isStale = false;
async function refresh() {
  isStale = true;
  if (isAsking) return;
  isAsking = true;
  while (isStale) {
    isStale = false;
    const isFirst = model === null;
    if ((await attempt(load)) && isFirst) follow();
  }
  isAsking = false;
}
if (!isExported) {
  const isOurs = ({ id }) => id === address.read().get("id");
  whenChanged((changed) => (!changed || changed.more || changed.sessions.some(isOurs)) && refresh(), connected);
}

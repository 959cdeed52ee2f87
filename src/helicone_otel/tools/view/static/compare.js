// The page that compares the sessions of one name.

import * as address from "./address.js";
import { ask, whenChanged } from "./api.js";
import { showComparedSessions } from "./compared_sessions.js";
import { byId, el, fill } from "./dom.js";
import { plural } from "./format.js";
import { MEASURES, Trend } from "./trend.js";
import { Sets, SPLIT } from "./sets.js";
import { PathsTable } from "./paths_table.js";
import { Selection } from "./selection.js";
import { attempt, connected, crumbs, problem, title } from "./shell.js";
import { pressed, switchable } from "./switch.js";
import { line, nameOf } from "./text.js";
import { moment } from "./times.js";

const PAUSE = 1500;
const PASSED_ON = ["name", "id", "from", "to", "limit", ...SPLIT];

const selection = new Selection();
const choose = (path) => selection.choose({ path: path === selection.path ? null : path });
const trend = new Trend(byId("moved"), byId("moved-table"), selection, choose);
const sets = new Sets(go);
const paths = new PathsTable(byId("paths"), selection, choose);

async function load() {
  const query = new URLSearchParams([...address.read()].filter(([name]) => PASSED_ON.includes(name)));
  const found = await ask("/api/compare", query);
  problem(null);
  head(found);
  trend.show(found);
  paths.show(found);
  sets.show(found);
  showComparedSessions(byId("sessions"), found, (ids) => go({ id: ids }));
}

function head({ name, sessions }) {
  title(`${nameOf(name)}, compared`);
  crumbs(el("a", { href: address.linkTo("/", { name }) }, nameOf(name)), "Compared");
  fill(byId("title"), el("bdi", {}, nameOf(name)));
  const [first, last] = [sessions.at(0), sessions.at(-1)];
  const span = first ? `, ${moment(first.start_ms)} to ${moment(last.start_ms)}` : "";
  byId("about").textContent = `${plural(sessions.length, "session")} compared${span}`;
  byId("all").hidden = !address.read().has("id");
}

async function go(changes) {
  address.write(changes);
  await attempt(load);
}

function follow() {
  const parameters = address.read();
  const measure = parameters.get("measure") ?? MEASURES[0].key;
  pressed(byId("measure"), measure);
  trend.measure(measure);
  showAs(parameters.get("as") ?? "");
  selection.choose({ path: parameters.get("path") });
}

function showAs(as) {
  pressed(byId("moved-as"), as);
  byId("moved").hidden = as === "table";
  byId("moved-table").hidden = as !== "table";
  trend.draw();
}

fill(byId("measure"), MEASURES.map(({ key, title: name }) => el("button", { type: "button", "data-as": key }, name)));
switchable(byId("measure"), (measure) => {
  address.write({ measure: measure === MEASURES[0].key ? null : measure }, { replace: true });
  trend.measure(measure);
});
switchable(byId("moved-as"), (as) => {
  address.write({ as: as || null }, { replace: true });
  showAs(as);
});
byId("all").addEventListener("click", () => go({ id: null }));
selection.whenChanged(({ path }) => {
  address.write({ path });
  const clear = el("button.quiet", { type: "button", onclick: () => choose(path) }, "Clear");
  fill(byId("chosen"), path === null ? null : [el("bdi", {}, line(path, 90)), " ", clear]);
});
address.whenMoved(async () => (await attempt(load)) && follow());

if (await attempt(load)) follow();

let waiting = null;
whenChanged((changed) => {
  if (changed && !changed.more && !changed.sessions.some(({ name }) => name === address.read().get("name"))) return;
  waiting ??= setTimeout(async () => {
    await attempt(load);
    waiting = null;
  }, PAUSE);
}, connected);

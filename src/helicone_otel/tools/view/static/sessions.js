// The page with the list of sessions.

import * as address from "./address.js";
import { ask as askServer, whenChanged } from "./api.js";
import { columnsMenu, showColumns } from "./columns.js";
import { announce, byId, el, fill } from "./dom.js";
import { showEmpty } from "./empty.js";
import { exportLinks } from "./exports.js";
import { FIELDS } from "./filter_fields.js";
import { FilterPanel } from "./filter_panel.js";
import { isFiltered, listen, NONE, serverQuery, showFilters } from "./filters.js";
import { plural } from "./format.js";
import { kept } from "./kept.js";
import { whenKey } from "./keys.js";
import { listenToRange, showRange } from "./metrics.js";
import { names } from "./names.js";
import { SessionsTable } from "./sessions_table.js";
import { attempt, checkStatus, connected, problem } from "./shell.js";
import { totals } from "./totals.js";

const PAUSE = 800;

const set = listen(() => ask());
const panel = new FilterPanel(byId("filter-panel"), FIELDS, { values: () => askServer("/api/values", {}), set });
const showNames = names((name) => set({ name }));
const list = new SessionsTable(byId("sessions"), { loaded, chosen });
let last = null;

function loaded(found) {
  problem(null);
  totals(found);
  exportLinks(byId("exports"), serverQuery());
  if (last !== null && last !== found.total) announce(plural(found.total, "session"));
  last = found.total;
  byId("sessions").hidden = byId("pages").hidden = found.total === 0;
  byId("empty").hidden = found.total > 0;
  if (found.total === 0) empty();
}

/** Loads the list that the address names, from the first page. */
async function ask() {
  showFilters();
  panel.show();
  await Promise.all([attempt(showNames), attempt(() => list.restart())]);
}

async function empty() {
  if (isFiltered()) {
    const clear = el("button", { type: "button", onclick: () => set(NONE) }, "Show all");
    fill(byId("empty"), el("p", {}, "No session is like that."), el("p", {}, clear));
    return;
  }
  const status = await checkStatus();
  if (!status) return;
  showEmpty(byId("empty"), status.receivers);
}

function chosen(rows) {
  const of = new Set(rows.map((row) => row.name));
  const button = byId("compare");
  button.disabled = rows.length < 2 || of.size !== 1;
  button.textContent = rows.length ? `Compare ${rows.length}` : "Compare";
  button.onclick = () => location.assign(address.linkTo("/compare", { name: rows[0].name, id: rows.map((row) => row.id) }));
}

listenToRange(() => attempt(() => list.refresh()));
columnsMenu(() => list.rebuild());
address.whenMoved(() => {
  showFilters();
  showRange();
  showColumns();
  panel.show();
  list.build();
  attempt(showNames);
});

whenKey("/", () => byId("search").focus());

showFilters();
showRange();
list.build();
await attempt(showNames);
kept(byId("kept"));

// While sessions run, the list is loaded again, with a pause in between.
let waiting = null;
whenChanged(() => {
  waiting ??= setTimeout(async () => {
    await attempt(() => Promise.all([showNames(), list.refresh()]));
    waiting = null;
  }, PAUSE);
}, connected);

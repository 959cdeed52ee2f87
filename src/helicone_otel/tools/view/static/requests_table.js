// The requests of a session as a table, with the same content as the timeline.

import { el } from "./dom.js";
import { compact, duration, kind } from "./format.js";
import { costElement } from "./money.js";
import { cell, number, pathCell, table } from "./table.js";
import { line } from "./text.js";

const HEIGHT = "min(56vh, 540px)";
// A fixed height saves measuring each row.
const ROW = 36;
const BUFFER = 4 * ROW;

export class RequestsTable {
  #table = null;
  #isBuilt = false;

  constructor(element, selection, choose) {
    this.element = element;
    this.selection = selection;
    this.choose = choose;
    selection.whenChanged((_chosen, cause) => this.#mark(cause !== this));
  }

  show(model) {
    this.model = model;
    if (this.element.hidden) return;
    if (this.#table) this.#table.replaceData(this.#rows()).then(() => this.#mark(false));
    else this.#build();
  }

  #rows() {
    const { start } = this.model;
    return this.model.requests.map((one) => ({ ...one, offset: one.start_ms - start, colour: this.model.hueOf(one.path), tokens: tokensOf(one) }));
  }

  #build() {
    const columns = [
      number("offset", "Start", (value) => `+${duration(value)}`, { width: 118, responsive: 5 }),
      { field: "path", title: "Path", minWidth: 150, widthGrow: 3, formatter: cell((value, row) => pathCell(value, row.colour)) },
      { field: "kind", title: "Kind", width: 104, responsive: 3, formatter: cell((value) => el("span.badge", {}, kind(value))) },
      { field: "name", title: "Name", minWidth: 120, widthGrow: 2, formatter: cell((value, row) => this.#opener(value, row)) },
      number("duration_ms", "Duration", duration, { width: 112 }),
      number("ttft_ms", "First token", duration, { width: 116, responsive: 8 }),
      number("tokens", "Tokens", (value, row) => (value === null ? "" : `${compact(row.input_tokens)} + ${compact(row.output_tokens)}`), { width: 136, responsive: 6, headerTooltip: "in + out" }),
      number("cost", "Cost", (_value, row) => (row.cost === null && !row.unpriced ? "" : costElement(row)), { width: 104, responsive: 4 }),
      { field: "critical", title: "Critical", width: 100, responsive: 7, hozAlign: "center", headerTooltip: "On the critical path: the session's duration depends on it", formatter: cell((value) => (value ? el("span", { role: "img", "aria-label": "yes" }, "●") : "")) },
      { field: "error", title: "Error", minWidth: 90, widthGrow: 1, formatter: cell((value) => (value === null ? "" : el("span.bad", { title: line(value, 400) }, line(value, 80)))) },
    ];
    this.#table = table(this.element, { height: HEIGHT, rowHeight: ROW, renderVerticalBuffer: BUFFER, index: "id", columns, data: this.#rows(), initialSort: [{ column: "offset", dir: "asc" }] });
    this.#table.on("rowClick", (_event, row) => this.choose(this.model.byId.get(row.getData().id), this));
    this.#table.on("tableBuilt", () => {
      this.#isBuilt = true;
      this.#mark(true);
    });
  }

  #opener(value, row) {
    return el("button.cell-button", { type: "button", title: line(value), onclick: (event) => {
      event.stopPropagation();
      this.choose(this.model.byId.get(row.id), this);
    } }, line(value));
  }

  #mark(isElsewhere) {
    if (!this.#isBuilt || this.element.hidden) return;
    const { request, path } = this.selection;
    for (const row of this.#table.getRows("active")) {
      const data = row.getData();
      const isChosen = request ? data.id === request.id : path !== null && data.path === path;
      if (row.getElement().classList.contains("chosen") !== isChosen) row.getElement().classList.toggle("chosen", isChosen);
    }
    if (request && isElsewhere) this.#table.scrollToRow(request.id, "center", false).catch(() => {});
  }
}

function tokensOf({ input_tokens: input, output_tokens: output }) {
  return input === null && output === null ? null : (input ?? 0) + (output ?? 0);
}

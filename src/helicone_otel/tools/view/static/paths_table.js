// The table of paths: counts, durations, errors, and the share of the sessions' time.

import { el } from "./dom.js";
import { compact, count, duration, kind, percent } from "./format.js";
import { money } from "./money.js";
import { cell, number, pathCell, table } from "./table.js";
import { line } from "./text.js";

const NOTABLE = 0.1;

export class PathsTable {
  #table = null;
  #built = null;

  constructor(element, selection, choose) {
    this.element = element;
    this.selection = selection;
    this.choose = choose;
    selection.whenChanged(() => this.#mark());
  }

  async show({ paths, sessions }) {
    const data = paths.map((one) => ({ ...one, change: changeOf(one.moved, sessions.length) }));
    if (this.#table) {
      await this.#built;
      await this.#table.replaceData(data);
    } else {
      this.#table = table(this.element, { index: "path", columns: this.#columns(), data, initialSort: [{ column: "share", dir: "desc" }] });
      this.#table.on("rowClick", (_event, row) => this.choose(row.getData().path));
      this.#built = new Promise((resolve) => this.#table.on("tableBuilt", resolve));
      await this.#built;
    }
    this.#mark();
  }

  #columns() {
    return [
      { field: "path", title: "Path", minWidth: 180, widthGrow: 3, formatter: cell((value, row) => this.#opener(value, row)) },
      { field: "kind", title: "Kind", width: 104, responsive: 7, formatter: cell((value) => el("span.badge", {}, kind(value))) },
      number("count", "Requests", count, { width: 104 }),
      number("sessions", "Sessions", count, { width: 102, responsive: 6 }),
      number("p50", "Median", duration, { width: 110 }),
      number("p95", "p95", duration, { width: 110, responsive: 3 }),
      number("p99", "p99", duration, { width: 110, responsive: 5 }),
      number("change", "Change", change, { width: 98, headerTooltip: "The median of the newer half of the sessions against that of the older half" }),
      number("error_rate", "Error rate", (value) => el(`span${value ? ".bad" : ""}`, {}, percent(value)), { width: 106 }),
      number("tokens", "Tokens", compact, { width: 92, responsive: 4 }),
      number("cost", "Cost", money, { width: 104, responsive: 2 }),
      { field: "share", title: "Share of time", minWidth: 150, widthGrow: 1, responsive: 1, formatter: cell(share) },
    ];
  }

  #opener(value, row) {
    return el("button.cell-button", { type: "button", "aria-label": line(value), onclick: (event) => {
      event.stopPropagation();
      this.choose(row.path);
    } }, pathCell(value, row.colour));
  }

  #mark() {
    for (const row of this.#table?.getRows() ?? []) row.getElement().classList.toggle("chosen", row.getData().path === this.selection.path);
  }
}

function share(value) {
  return el("span.share", {}, el("meter", { value: Math.min(1, value), min: 0, max: 1, "aria-hidden": "true" }), el("span.number", {}, percent(value)));
}

/** The relative change of the median from the older half of the sessions to the newer half; `null` if one half lacks the path. */
function changeOf(moved, sessions) {
  const older = moved.filter((at) => at.session < sessions / 2).map((at) => at.p50);
  const newer = moved.filter((at) => at.session >= sessions / 2).map((at) => at.p50);
  const before = median(older);
  return older.length && newer.length && before > 0 ? median(newer) / before - 1 : null;
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

function change(value) {
  if (value === null) return "–";
  const text = `${value > 0 ? "+" : ""}${percent(value)}`;
  if (Math.abs(value) < NOTABLE) return text;
  return el(value > 0 ? "span.worse" : "span.better", {}, text);
}

// The table of sessions, which the server sorts and divides into pages.

import * as address from "./address.js";
import { ask } from "./api.js";
import { isChosen, shownColumns } from "./columns.js";
import { byId, el, fill } from "./dom.js";
import { serverQuery } from "./filters.js";
import { ago, compact, count, duration, kind } from "./format.js";
import { costElement } from "./money.js";
import { cell, number, table } from "./table.js";
import { line, nameOf } from "./text.js";
import { exact, moment } from "./times.js";

const SORTED = "-last";
const SIZES = [25, 50, 100, 500];

const linkOf = ({ id, name }) => address.linkTo("/session", { id, name });

export class SessionsTable {
  #table = null;
  #next = null;
  #running = null;
  #isWaiting = false;

  /** @param {{loaded: Function, chosen: Function}} actions - called with the server's answer, and with the rows whose boxes are ticked */
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
  }

  /** Makes the table with the sorting and the page in the address. */
  build() {
    this.#table?.destroy();
    fill(byId("pages"));
    this.#next = this.#running = null;
    const parameters = address.read();
    const sort = parameters.get("sort") ?? SORTED;
    const shown = columns();
    const sorted = shown.filter(({ field }) => field === sort.replace("-", ""));
    this.#table = table(this.element, {
      index: "key",
      columns: shown,
      responsiveLayout: isChosen() ? false : "hide",
      // A click on a box selects a row. A click elsewhere opens the session.
      selectableRows: "highlight",
      selectableRowsPersistence: true,
      // The list can be sorted by a column that is not shown.
      initialSort: sorted.map(({ field }) => ({ column: field, dir: sort.startsWith("-") ? "desc" : "asc" })),
      sortMode: "remote",
      pagination: true,
      paginationMode: "remote",
      // Beside the table, because a table of ARIA contains nothing but rows.
      paginationElement: byId("pages"),
      paginationInitialPage: Number(parameters.get("page")) || 1,
      paginationSize: Number(parameters.get("size")) || 50,
      paginationSizeSelector: SIZES,
      ajaxURL: "/api/sessions",
      ajaxRequestFunc: (url, _config, request) => this.#ask(url, request),
      dataLoader: false,
      // Tabulator gives the boxes of all rows the same label.
      rowFormatter: (row) => row.getElement().querySelector(".box input").setAttribute("aria-label", `Choose ${row.getData().id}`),
    });
    const { promise, resolve } = Promise.withResolvers();
    this.#table.on("dataProcessed", resolve);
    this.#table.on("dataLoadError", resolve);
    this.#inTurn(() => promise);
    this.#table.on("rowSelectionChanged", (rows) => this.actions.chosen(rows));
    this.#table.on("rowClick", (event, row) => event.target.closest("a, input, .box") || location.assign(linkOf(row.getData())));
  }

  /** Makes the table again, when no load runs: Tabulator warns of answers for a table that is gone. */
  async rebuild() {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    while (this.#running) await this.#running;
    this.#isWaiting = false;
    this.build();
  }

  async #ask(url, { page, size, sort }) {
    const [by] = sort;
    const sorted = by ? `${by.dir === "desc" ? "-" : ""}${by.field}` : (address.read().get("sort") ?? SORTED);
    address.write({ sort: sorted === SORTED ? null : sorted, page: page > 1 ? page : null, size: size === 50 ? null : size }, { replace: true });
    const query = serverQuery();
    for (const [name, value] of Object.entries({ page, size, sort: sorted })) query.set(name, value);
    const found = await ask(url, query);
    this.actions.loaded(found);
    const data = found.sessions.map((one) => ({ ...one, key: JSON.stringify([one.id, one.name]), start: one.start_ms, last: one.last_ms, duration: one.duration_ms }));
    return { data, last_page: found.pages };
  }

  /** Loads the first page. */
  restart() {
    return this.#inTurn(() => this.#table.setPage(1));
  }

  /** Loads the current page again. */
  refresh() {
    return this.#inTurn(async () => {
      const chosen = new Set(this.#table.getSelectedData().map((row) => row.key));
      await this.#table.replaceData();
      this.#table.selectRow(this.#table.getRows().filter((row) => chosen.has(row.getData().key)));
    });
  }

  /** Runs one load at a time. Of the loads that are requested meanwhile, only the last one runs. */
  #inTurn(load) {
    this.#next = load;
    this.#running ??= this.#run().finally(() => (this.#running = null));
    return this.#running;
  }

  async #run() {
    while (this.#next) {
      const load = this.#next;
      this.#next = null;
      await load();
    }
  }
}

function columns() {
  const texts = (values) => el("span", { title: values.map((value) => line(value)).join(", ") }, values.map((value) => line(value)).join(", "));
  const box = { formatter: "rowSelection", titleFormatter: "rowSelection", headerSort: false, cssClass: "box", width: 44, responsive: 0, hozAlign: "center", headerHozAlign: "center" };
  const made = {
    name: { minWidth: 120, widthGrow: 2, formatter: cell((value, row) => el("a.name", { href: linkOf(row), title: line(value) }, el("bdi", {}, nameOf(value)))) },
    first_input: { minWidth: 120, widthGrow: 4, headerSort: false, formatter: cell((value) => el("span", { title: line(value, 300) }, line(value))) },
    id: { minWidth: 108, widthGrow: 1, formatter: cell((value) => el("span.mono", { title: line(value) }, line(value))) },
    users: { minWidth: 90, widthGrow: 1, headerSort: false, formatter: cell(texts) },
    models: { minWidth: 120, widthGrow: 2, headerSort: false, formatter: cell(texts) },
    start: { width: 112, cssClass: "wrapped", formatter: cell((value) => el("time", { title: exact(value) }, moment(value))) },
    last: { width: 130, formatter: cell((value) => el("time", { title: exact(value) }, ago(value))) },
    duration: number("duration", "Duration", duration, { width: 110 }),
    requests: { minWidth: 122, widthGrow: 3, formatter: cell((value, row) => el("span.requests", { title: kinds(row).join(" · ") }, count(value), kinds(row).map((text, place) => el("span.kinds", {}, place ? ` · ${text}` : text)))) },
    tokens: number("tokens", "Tokens", (value, row) => el("span", { title: `${count(row.input_tokens)} in, ${count(row.output_tokens)} out` }, compact(value)), { width: 92 }),
    cost: number("cost", "Cost", (_value, row) => costElement(row), { width: 104 }),
    errors: number("errors", "Errors", (value) => (value ? el("span.badge.error", {}, count(value)) : ""), { width: 86 }),
  };
  return [box, ...shownColumns(made)];
}

function kinds(row) {
  return Object.entries(row.kinds).map(([name, value]) => `${count(value)} ${kind(name)}`);
}

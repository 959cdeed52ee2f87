// The table of sessions, which the server sorts and divides into pages.

import * as address from "./address.js";
import { ask } from "./api.js";
import { el } from "./dom.js";
import { serverQuery } from "./filters.js";
import { ago, compact, count, duration, exact, kind, moment } from "./format.js";
import { cell, number, table } from "./table.js";
import { line, nameOf } from "./text.js";

const SORTED = "-last";
const SIZES = [25, 50, 100, 500];

const linkOf = ({ id, name }) => address.linkTo("/session", { id, name });

export class SessionsTable {
  #table = null;
  #next = null;
  #running = null;

  /** @param {{loaded: Function, chosen: Function}} actions - called with the server's answer, and with the rows whose boxes are ticked */
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
  }

  /** Makes the table with the sorting and the page in the address. */
  build() {
    this.#table?.destroy();
    this.#next = this.#running = null;
    const parameters = address.read();
    const sort = parameters.get("sort") ?? SORTED;
    this.#table = table(this.element, {
      index: "key",
      columns: columns(),
      // A click on a box selects a row. A click elsewhere opens the session.
      selectableRows: "highlight",
      selectableRowsPersistence: true,
      initialSort: [{ column: sort.replace("-", ""), dir: sort.startsWith("-") ? "desc" : "asc" }],
      sortMode: "remote",
      pagination: true,
      paginationMode: "remote",
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

  async #ask(url, { page, size, sort }) {
    const [by] = sort;
    const sorted = by ? `${by.dir === "desc" ? "-" : ""}${by.field}` : SORTED;
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
  return [
    { formatter: "rowSelection", titleFormatter: "rowSelection", headerSort: false, cssClass: "box", width: 44, hozAlign: "center", headerHozAlign: "center" },
    { field: "name", title: "Name", minWidth: 140, widthGrow: 2, formatter: cell((value, row) => el("a.name", { href: linkOf(row), title: line(value) }, el("bdi", {}, nameOf(value)))) },
    { field: "id", title: "Session", width: 112, formatter: cell((value) => el("span.mono", { title: line(value) }, line(value))) },
    { field: "start", title: "Started", width: 136, formatter: cell((value) => el("time", { title: exact(value) }, moment(value))) },
    { field: "last", title: "Last activity", width: 112, formatter: cell((value) => el("time", { title: exact(value) }, ago(value))) },
    number("duration", "Duration", duration, { width: 106 }),
    { field: "requests", title: "Requests", minWidth: 150, widthGrow: 4, formatter: cell((value, row) => el("span", { title: kinds(row) }, count(value), el("span.kinds", {}, kinds(row)))) },
    number("tokens", "Tokens", (value, row) => el("span", { title: `${count(row.input_tokens)} in, ${count(row.output_tokens)} out` }, compact(value)), { width: 92 }),
    number("errors", "Errors", (value) => (value ? el("span.badge.error", {}, count(value)) : ""), { width: 84 }),
  ];
}

function kinds(row) {
  return Object.entries(row.kinds).map(([name, value]) => `${count(value)} ${kind(name)}`).join(" · ");
}

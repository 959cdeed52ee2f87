// Draws how long requests take at each path: a box and dots for each path, the longest total on top.

import { axis, Chart, tooltip } from "./charts.js";
import { colour, token } from "./colour.js";
import { el, fill } from "./dom.js";
import { count, duration, percent, roundDuration } from "./format.js";
import { Model } from "./model.js";
import { costText } from "./money.js";
import { line } from "./text.js";

const MOST = 40;
const DOTS = 50;
const ROW = 30;
// If the slowest takes this many times as long as the quickest, the axis is logarithmic: a linear one would show only the slowest.
const WIDE = 50;

export class Durations {
  /** @param {Function} choose - called with a path */
  constructor(element, table, selection, choose) {
    this.element = element;
    this.table = table;
    this.selection = selection;
    this.choose = choose;
    this.chart = new Chart(element, "Durations of requests by path; the button “Table” shows the same as numbers");
    this.chart.on("click", (event) => event.dataIndex !== undefined && choose(this.#pathOf(event)));
    selection.whenChanged(() => this.draw());
  }

  #pathOf(event) {
    if (event.componentType === "yAxis") return this.rows[event.dataIndex]?.path;
    return event.seriesType === "scatter" ? event.data.path : this.rows[event.dataIndex].path;
  }

  show(model) {
    this.model = model;
    this.all = model.durations;
    this.rows = model.durations.slice(0, MOST);
    this.element.style.height = `${this.rows.length * ROW + 44}px`;
    this.draw();
  }

  draw() {
    if (!this.rows) return;
    if (!this.element.hidden) this.chart.show(() => this.#option());
    if (!this.table.hidden) fill(this.table, this.#table());
  }

  #option() {
    const smallest = Math.min(...this.rows.map((row) => row.min));
    const largest = Math.max(...this.rows.map((row) => row.max));
    const isWide = smallest > 0 && largest / smallest > WIDE;
    return {
      animation: false,
      grid: { left: 20, right: 24, top: 8, bottom: 30, containLabel: true },
      tooltip: tooltip({ trigger: "item", formatter: (event) => this.#tooltipText(event) }),
      xAxis: axis({
        type: isWide ? "log" : "value",
        min: isWide ? undefined : 0,
        axisLabel: { formatter: roundDuration },
      }),
      yAxis: axis({
        type: "category",
        inverse: true,
        triggerEvent: true,
        data: this.rows.map((row) => row.path),
        axisLabel: {
          formatter: (path) => line(shortened(path), 60),
          interval: 0,
          color: (path) => token(path === this.selection.path ? "--text" : "--muted"),
        },
      }),
      series: [this.#boxes(), this.#dots(), this.#chosen()],
    };
  }

  #boxes() {
    return {
      type: "boxplot",
      boxWidth: [8, 14],
      data: this.rows.map((row) => {
        const own = colour(row.colour);
        return {
          value: [row.min, row.p25, row.p50, row.p75, row.max],
          itemStyle: { color: `${own}38`, borderColor: own, borderWidth: 1.5, opacity: this.#opacity(row.path) },
        };
      }),
    };
  }

  #dots() {
    const data = this.rows.flatMap((row, place) =>
      picked(row.values).map((value) => ({
        value: [value, place],
        path: row.path,
        itemStyle: { color: colour(row.colour), opacity: 0.6 * this.#opacity(row.path) },
      })),
    );
    return { type: "scatter", symbolSize: 5, data, emphasis: { disabled: true } };
  }

  #chosen() {
    const { request } = this.selection;
    const place = this.rows.findIndex((row) => row.path === request?.path);
    const data = place < 0 ? [] : [{ value: [request.duration_ms, place], path: request.path }];
    return { type: "scatter", symbolSize: 11, z: 10, data, itemStyle: { color: token("--panel"), borderColor: token("--text"), borderWidth: 2.5 } };
  }

  #opacity(path) {
    const { path: chosen } = this.selection;
    return chosen === null || Model.isWithin(path, chosen) ? 1 : 0.25;
  }

  #tooltipText(event) {
    const path = this.#pathOf(event);
    const row = this.all.find((one) => one.path === path);
    if (!row) return "";
    const first = event.seriesType === "scatter" ? `${duration(event.data.value[0])}\n` : "";
    return `${plain(line(path))}\n${first}median ${duration(row.p50)}, p95 ${duration(row.p95)}, p99 ${duration(row.p99)}, ${count(row.count)} requests\n${percent(row.share)} of the session, ${count(row.input_tokens + row.output_tokens)} tokens, ${costText(row)}`;
  }

  #table() {
    const head = ["Path", "Requests", "Failed", "Min", "Median", "p95", "p99", "Max", "Total", "Share", "Tokens", "Cost"];
    return el(
      "table.plain-table",
      {},
      el("caption.heard", {}, "Durations, tokens and cost of requests by path"),
      el("thead", {}, el("tr", {}, head.map((name, place) => el(place ? "th.number" : "th", { scope: "col" }, name)))),
      el("tbody", {}, this.all.map((row) => this.#tableRow(row))),
    );
  }

  #tableRow(row) {
    const swatch = el("span.swatch");
    swatch.style.backgroundColor = colour(row.colour);
    const button = el("button.quiet", { type: "button", onclick: () => this.choose(row.path), "aria-pressed": String(row.path === this.selection.path) }, swatch, line(row.path));
    const numbers = [count(row.count), row.errors ? count(row.errors) : "", ...["min", "p50", "p95", "p99", "max", "total"].map((key) => duration(row[key])), percent(row.share), count(row.input_tokens + row.output_tokens), costText(row)];
    return el("tr", {}, el("td", {}, button), numbers.map((text) => el("td.number", {}, text)));
  }
}

// The values are sorted, so that every n-th of them shows their distribution.
function picked(values) {
  const step = Math.max(1, values.length / DOTS);
  return Array.from({ length: Math.min(values.length, DOTS) }, (_none, place) => values[Math.floor(place * step)]);
}

// The end of a path is its most specific part.
function shortened(path) {
  const parts = path.split("/");
  return parts.length > 3 ? `…/${parts.slice(-2).join("/")}` : path;
}

// ECharts reads braces in a text as the name of a style.
export const plain = (text) => text.replaceAll("{", "(").replaceAll("}", ")");

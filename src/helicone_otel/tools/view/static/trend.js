// Draws how one measure of each path, and of all paths together, changes over time: from session to session, as lines or
// as a table.

import { axis, Chart, tooltip } from "./charts.js";
import { colour, token } from "./colour.js";
import { el, fill } from "./dom.js";
import { compact, count, duration, percent, roundDuration } from "./format.js";
import { Model } from "./model.js";
import { money } from "./money.js";
import { line } from "./text.js";
import { exact, moment } from "./times.js";

// With more lines, none can be followed. Then the paths that take most of the time are drawn, and the chosen one.
const MOST = 16;
const ALL = "All paths";

export const MEASURES = [
  { key: "p50", title: "Median", of: (at) => at.p50, format: duration, axis: roundDuration },
  { key: "p95", title: "p95", of: (at) => at.p95, format: duration, axis: roundDuration },
  { key: "p99", title: "p99", of: (at) => at.p99, format: duration, axis: roundDuration },
  { key: "share", title: "Share", of: (at) => at.share, format: percent, axis: percent },
  { key: "errors", title: "Error rate", of: (at) => at.errors / at.count, format: percent, axis: percent },
  { key: "count", title: "Requests", of: (at) => at.count, format: count, axis: count },
  { key: "tokens", title: "Tokens", of: (at) => at.tokens, format: count, axis: compact },
  { key: "cost", title: "Cost", of: (at) => at.cost, format: money, axis: money },
];

export class Trend {
  constructor(element, table, selection, choose) {
    this.table = table;
    this.selection = selection;
    this.chosen = MEASURES[0];
    this.chart = new Chart(element, "How each path, and all together, change from session to session; the button “Table” shows the same as numbers");
    this.chart.on("click", (event) => this.#paths().some((one) => one.path === event.seriesId) && choose(event.seriesId));
    selection.whenChanged(() => this.draw());
  }

  show(found) {
    this.found = found;
    this.draw();
  }

  measure(key) {
    this.chosen = MEASURES.find((one) => one.key === key) ?? MEASURES[0];
    this.draw();
  }

  draw() {
    if (!this.found) return;
    this.chart.show(() => this.#option());
    if (!this.table.hidden) fill(this.table, this.#table());
  }

  #paths() {
    const ranked = [...this.found.paths].sort((a, b) => b.share - a.share);
    return ranked.filter((one, place) => place < MOST || this.#isChosen(one.path));
  }

  #isChosen(path) {
    return this.selection.path !== null && Model.isWithin(path, this.selection.path);
  }

  #option() {
    const { sessions } = this.found;
    const { format } = this.chosen;
    return {
      grid: { left: 14, right: 24, top: 18, bottom: 12, containLabel: true },
      tooltip: tooltip({
        trigger: "item",
        formatter: ({ seriesId, value: [session, value] }) => `${line(seriesId, 80).replaceAll("{", "(")}\n${format(value)}\n${moment(sessions[session].start_ms)}`,
      }),
      xAxis: axis({
        type: "category",
        data: sessions.map((_one, place) => String(place)),
        axisLabel: { formatter: (place) => (sessions[place] ? moment(sessions[place].start_ms) : "") },
      }),
      yAxis: axis({ type: "value", min: 0, axisLabel: { formatter: this.chosen.axis } }),
      series: [...this.#whole(), ...this.#paths()].map((path) => this.#line(path)),
    };
  }

  /** All paths together. Beside them one path can be small, so that they are left out when one is chosen. */
  #whole() {
    return this.selection.path === null ? [{ path: ALL, moved: this.found.whole }] : [];
  }

  #line({ path, colour: hue, moved }) {
    const isDim = this.selection.path !== null && !this.#isChosen(path);
    const [shade, type] = path === ALL ? [token("--text"), "dashed"] : [colour(hue), "solid"];
    return {
      id: path,
      type: "line",
      triggerLineEvent: true,
      symbol: "circle",
      symbolSize: 6,
      data: moved.map((at) => [at.session, this.chosen.of(at)]),
      z: isDim ? 2 : 3,
      lineStyle: { color: shade, type, width: this.#isChosen(path) ? 3 : 2, opacity: isDim ? 0.18 : 1 },
      itemStyle: { color: shade, opacity: isDim ? 0.18 : 1, borderColor: token("--panel"), borderWidth: 1 },
    };
  }

  #table() {
    const { sessions } = this.found;
    const heads = sessions.map((one) => el("th.number", { scope: "col", title: exact(one.start_ms) }, moment(one.start_ms)));
    return el(
      "table.plain-table",
      {},
      el("caption.heard", {}, `${this.chosen.title} of each path, by session`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Path"), heads)),
      el("tbody", {}, [...this.#whole(), ...this.#paths()].map((path) => this.#tableRow(path, sessions.length))),
    );
  }

  #tableRow({ path, moved }, length) {
    const values = Array.from({ length }, () => "");
    for (const at of moved) values[at.session] = this.chosen.format(this.chosen.of(at));
    return el("tr", {}, el("th", { scope: "row" }, line(path)), values.map((value) => el("td.number", {}, value)));
  }
}

// Compares two sets of sessions: before and after a time, or by two values of a property.

import * as address from "./address.js";
import { axis, Chart, tooltip } from "./charts.js";
import { token } from "./colour.js";
import { byId, el, fill } from "./dom.js";
import { compact, duration, percent, plural, roundDuration } from "./format.js";
import { money } from "./money.js";
import { line } from "./text.js";
import { local, moment } from "./times.js";

// With more paths, the names have no room.
const MOST = 24;
const ROW = 34;
const NOTABLE = 0.1;
const MEASURES = [
  { key: "p50", title: "Median", format: duration, axis: roundDuration },
  { key: "p95", title: "p95", format: duration, axis: roundDuration },
  { key: "p99", title: "p99", format: duration, axis: roundDuration },
  { key: "tokens", title: "Tokens a session", format: (value) => compact(Math.round(value)), axis: compact },
  { key: "cost", title: "Cost a session", format: money, axis: money },
  { key: "error_rate", title: "Error rate", format: percent, axis: percent },
];
// The second set is hatched as well: colours alone are not enough for everybody.
const looks = () => [
  { color: token("--accent") },
  { color: token("--second"), decal: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -0.8, color: token("--panel") } },
];

export class Sets {
  /** @param {Function} ask - loads what the address names */
  constructor(ask) {
    this.ask = ask;
    this.chart = new Chart(byId("sets-chart"), "The two sets of sessions by path; the table below shows the same as numbers");
    fill(byId("sets-measure"), MEASURES.map(({ key, title }) => el("option", { value: key }, title)));
    byId("split").addEventListener("change", () => this.#choose(byId("split").value));
    byId("split-at").addEventListener("change", () => this.#go({ at: new Date(byId("split-at").value).getTime() || null }));
    for (const side of ["a", "b"]) byId(`split-${side}`).addEventListener("change", () => this.#go({ [side]: byId(`split-${side}`).value }));
    byId("sets-measure").addEventListener("change", () => {
      address.write({ sets: byId("sets-measure").value }, { replace: true });
      this.#draw();
    });
  }

  #go(changes) {
    this.ask({ at: null, split: null, a: null, b: null, ...this.#now(), ...changes });
  }

  #now() {
    return Object.fromEntries(["at", "split", "a", "b"].map((name) => [name, address.read().get(name)]));
  }

  /** Divides the sessions by time at first in the middle, and by a property at first by its first two values. */
  #choose(split) {
    const { sessions, properties } = this.found;
    const none = { at: null, split: null, a: null, b: null };
    if (split === "") this.#go(none);
    else if (split === "time") this.#go({ ...none, at: sessions[Math.floor(sessions.length / 2)].start_ms });
    else {
      const property = split.slice("property:".length);
      const [a, b] = properties[property];
      this.#go({ ...none, split: property, a, b });
    }
  }

  show(found) {
    this.found = found;
    const parameters = address.read();
    const property = parameters.get("split");
    const names = [...new Set([...Object.keys(found.properties), ...(property ? [property] : [])])];
    const byTime = found.sessions.length > 1 ? el("option", { value: "time" }, "before and after a time") : null;
    fill(byId("split"), el("option", { value: "" }, "not at all"), byTime, names.map((name) => el("option", { value: `property:${name}` }, `by ${line(name, 40)}`)));
    byId("split").value = property ? `property:${property}` : parameters.has("at") ? "time" : "";
    byId("split-time").hidden = byId("split").value !== "time";
    if (parameters.has("at")) byId("split-at").value = local(Number(parameters.get("at")));
    byId("split-values").hidden = !property;
    for (const side of ["a", "b"]) {
      const values = [...new Set([...(found.properties[property] ?? []), parameters.get(side) ?? ""])];
      fill(byId(`split-${side}`), values.map((value) => el("option", { value }, line(value, 40))));
      byId(`split-${side}`).value = parameters.get(side) ?? "";
    }
    byId("sets").hidden = !found.sets;
    byId("sets-measure").value = parameters.get("sets") ?? MEASURES[0].key;
    this.#draw();
  }

  #labels() {
    const parameters = address.read();
    const property = parameters.get("split");
    const at = moment(Number(parameters.get("at")));
    return property ? ["a", "b"].map((side) => `${line(property, 40)}: ${line(parameters.get(side), 40)}`) : [`before ${at}`, `from ${at}`];
  }

  #draw() {
    const { sets, paths } = this.found;
    if (!sets) return;
    const measure = MEASURES.find(({ key }) => key === byId("sets-measure").value) ?? MEASURES[0];
    const labels = this.#labels();
    const shown = paths.filter((path) => path.sets.some(Boolean)).slice(0, MOST);
    fill(byId("sets-legend"), labels.map((label, number) => el("span.legend", {}, el(`span.key.set-${number}`, { "aria-hidden": "true" }), `${label} (${plural(sets[number].sessions, "session")})`)));
    byId("sets-chart").style.height = `${shown.length * ROW + 44}px`;
    this.chart.show(() => option(shown, labels, measure));
    fill(byId("sets-table"), tableOf(sets, paths, labels));
  }
}

function option(paths, labels, { key, format, axis: formatAxis }) {
  return {
    grid: { left: 24, right: 24, top: 8, bottom: 30, containLabel: true },
    tooltip: tooltip({ trigger: "axis", axisPointer: { type: "shadow" }, formatter: (bars) => [line(bars[0].name, 80).replaceAll("{", "("), ...bars.map((bar) => `${line(bar.seriesName).replaceAll("{", "(")}  ${bar.value === null ? "–" : format(bar.value)}`)].join("\n") }),
    xAxis: axis({ type: "value", min: 0, axisLabel: { formatter: formatAxis } }),
    yAxis: axis({ type: "category", inverse: true, data: paths.map(({ path }) => path), axisLabel: { interval: 0, formatter: (path) => line(path.length > 44 ? `…${path.slice(-43)}` : path) } }),
    series: labels.map((name, number) => ({ type: "bar", name, barGap: "10%", barCategoryGap: "34%", data: paths.map((path) => path.sets[number]?.[key] ?? null), itemStyle: looks()[number] })),
  };
}

function tableOf(sets, paths, labels) {
  const rows = [{ path: "whole sessions", sets: sets.map((one) => (one.sessions ? one : null)) }, ...paths];
  return el(
    "table.plain-table",
    {},
    el("caption.heard", {}, "Two sets of sessions"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Path"), MEASURES.map(({ title }) => el("th.number", { scope: "col" }, title)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, line(row.path)), MEASURES.map((measure) => pair(row, measure, labels))))),
  );
}

/** Both values of a measure, and how much the second differs from the first. */
function pair({ sets }, { key, format }, labels) {
  const values = sets.map((set) => set?.[key] ?? null);
  const texts = values.map((value, number) => el("span", { title: labels[number] }, value === null ? "–" : format(value)));
  const [before, after] = values;
  const change = before && after !== null ? after / before - 1 : null;
  const look = change === null || Math.abs(change) < NOTABLE ? "span.muted" : change > 0 ? "span.worse" : "span.better";
  return el("td.number", {}, texts[0], " → ", texts[1], change === null ? null : el(look, {}, `${change > 0 ? "+" : ""}${percent(change)}`));
}

export const SPLIT = ["at", "split", "a", "b"];

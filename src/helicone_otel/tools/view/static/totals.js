// Sums and histograms of the sessions that match the filters.

import { axis, Chart, tooltip } from "./charts.js";
import { token } from "./colour.js";
import { byId, el, fill } from "./dom.js";
import { costElement, money, pricesElement } from "./money.js";
import { compact, count, duration, percent, plural, roundDuration } from "./format.js";

const HISTOGRAMS = [
  ["requests", "Requests per session", compact, (mean) => count(Math.round(mean * 10) / 10)],
  ["duration_ms", "Duration of sessions", roundDuration, duration],
  ["tokens", "Tokens per session", compact, (mean) => compact(Math.round(mean))],
  ["cost", "Cost of sessions", money, money],
];
const drawn = new Map();

export function totals({ totals: sums, histograms, prices }) {
  fill(byId("totals"), stats(sums, prices).map(([name, value, more]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, more ? el("small", {}, " ", more) : null))));
  if (!drawn.size) HISTOGRAMS.forEach(([key, title]) => drawn.set(key, place(title)));
  for (const [key, title, format, formatMean] of HISTOGRAMS) {
    const mean = sums.mean[key];
    fill(drawn.get(key).mean, mean === null ? "" : ` ${formatMean(mean)} on average`);
    draw(drawn.get(key), title, histograms[key], format);
  }
}

function stats(sums, prices) {
  const failing = sums.sessions ? percent(sums.sessions_with_errors / sums.sessions) : null;
  return [
    ["Sessions", count(sums.sessions)],
    ["With errors", count(sums.sessions_with_errors), failing],
    ["Requests", compact(sums.requests)],
    ["Tokens", compact(sums.tokens)],
    ["Cost", costElement(sums), pricesElement(prices)],
    ["Median duration", duration(sums.duration_ms?.p50)],
    ["p95", duration(sums.duration_ms?.p95)],
  ];
}

function place(title) {
  const chart = el("div.chart");
  const numbers = el("div.heard");
  const mean = el("small");
  byId("histograms").append(el("div", {}, el("h3", {}, title, mean), chart, numbers));
  return { chart: new Chart(chart, title), numbers, mean };
}

function draw({ chart, numbers }, title, bars, format) {
  const name = (bar) => `${format(bar.from)} to ${format(bar.to)}`;
  fill(numbers, el("table", {}, el("caption", {}, title), bars.map((bar) => el("tr", {}, el("th", { scope: "row" }, name(bar)), el("td", {}, plural(bar.count, "session"))))));
  chart.show(() => ({
    grid: { left: 18, right: 32, top: 8, bottom: 20 },
    tooltip: tooltip({ trigger: "axis", axisPointer: { type: "none" }, formatter: ([at]) => `${name(bars[at.dataIndex])}\n${plural(at.value, "session")}` }),
    xAxis: axis({ type: "category", data: bars.map((bar) => format(bar.from)), axisLabel: { interval: "auto" } }),
    yAxis: { type: "value", show: false, minInterval: 1 },
    series: [{ type: "bar", data: bars.map((bar) => bar.count), barCategoryGap: "12%", itemStyle: { color: token("--accent"), opacity: 0.8, borderRadius: [3, 3, 0, 0] } }],
  }));
}

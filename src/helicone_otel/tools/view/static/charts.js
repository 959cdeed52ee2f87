// ECharts as the pages use it: in the colours of the style sheet, without markup, and without motion if the user prefers that.

import "/parts/echarts/echarts.min.js";

import { isDark, token, whenSchemeChanges } from "./colour.js";
import { perFrame } from "./dom.js";

// Not a module: as a script it sets a global.
const { echarts } = globalThis;

const PAUSE = 80;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** A chart in an element. `option()` returns ECharts' options; it is called again when the colours change. */
export class Chart {
  /** @param {string} label - for screen readers; the numbers are in a table beside the chart */
  constructor(element, label) {
    this.element = element;
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", label);
    this.chart = null;
    new ResizeObserver(perFrame(() => (this.chart ? this.chart.resize() : this.#draw()))).observe(element);
    whenSchemeChanges(() => this.#draw());
  }

  show(option) {
    this.option = option;
    this.#draw();
  }

  on(event, listener) {
    this.chart ??= echarts.init(this.element, null, { renderer: "canvas" });
    this.chart.on(event, listener);
  }

  /** Draws soon, and only once for several calls in a row. */
  #draw() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      if (!this.option || !this.element.clientWidth) return;
      this.chart ??= echarts.init(this.element, null, { renderer: "canvas" });
      this.chart.resize();
      this.chart.setOption({ ...base(), ...this.option() }, { replaceMerge: ["series"] });
    }, PAUSE);
  }
}

function base() {
  return {
    animation: !still.matches,
    animationDuration: 200,
    animationDurationUpdate: 200,
    darkMode: isDark(),
    backgroundColor: "transparent",
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: token("--muted"), fontSize: 11.5 },
  };
}

/** A tooltip that is drawn on the canvas, so that texts never become markup. */
export function tooltip(more) {
  return {
    renderMode: "richText",
    confine: true,
    backgroundColor: token("--raised"),
    borderColor: token("--line-strong"),
    textStyle: { color: token("--text"), fontSize: 12 },
    ...more,
  };
}

export function axis(more) {
  return {
    axisLine: { lineStyle: { color: token("--line-strong") } },
    axisTick: { show: false },
    axisLabel: { color: token("--muted"), fontSize: 11, hideOverlap: true, ...more.axisLabel },
    splitLine: { show: more.type !== "category", lineStyle: { color: token("--line") } },
    ...Object.fromEntries(Object.entries(more).filter(([key]) => key !== "axisLabel")),
  };
}

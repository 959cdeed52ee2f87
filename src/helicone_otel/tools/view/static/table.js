// Tabulator as the pages use it: every cell is a text or an element, never markup.

import { TabulatorFull } from "/parts/tabulator/tabulator_esm.min.mjs";

import { colour } from "./colour.js";
import { el, perFrame } from "./dom.js";
import { line, visible } from "./text.js";

const ROLES = [["header-contents", "presentation"], ["tableholder", "rowgroup"], ["table", "presentation"]];

export function table(element, options) {
  const made = new TabulatorFull(element, {
    layout: "fitColumns",
    // Where there is no room, columns with the highest `responsive` yield first; those with 0 stay.
    responsiveLayout: "hide",
    placeholder: () => el("span", {}, "Nothing to show."),
    columnDefaults: { responsive: 0, resizable: false, headerSortTristate: false, headerTooltip: false, formatter: cell((value) => line(value)), ...options.columnDefaults },
    ...Object.fromEntries(Object.entries(options).filter(([key]) => key !== "columnDefaults")),
  });
  made.on("tableBuilt", () => {
    // A table that was replaced before it was built has nothing any more.
    if (made.destroyed) return;
    // Between a table and its rows, ARIA allows one element only, and Tabulator has two.
    for (const [name, role] of ROLES) element.querySelector(`.tabulator-${name}`).setAttribute("role", role);
    fit(made, element);
  });
  return made;
}

/** Fits the columns again when the width changes, such as when the drawer opens: Tabulator itself lets none yield then. */
function fit(made, element) {
  let width = element.clientWidth;
  const fitted = perFrame(() => {
    if (made.destroyed || !element.clientWidth || element.clientWidth === width) return;
    width = element.clientWidth;
    made.redraw(true);
  });
  const observer = new ResizeObserver(fitted);
  observer.observe(element);
  made.on("tableDestroyed", () => observer.disconnect());
}

/** Makes a Tabulator formatter of a function that returns a text or an element for a value and its row. */
export function cell(make) {
  return (place) => {
    const made = make(place.getValue(), place.getData());
    return made instanceof Node ? made : document.createTextNode(visible(made));
  };
}

export const number = (field, title, make, more = {}) => ({
  field,
  title,
  sorter: "number",
  hozAlign: "right",
  headerHozAlign: "right",
  cssClass: "number",
  formatter: cell(make),
  ...more,
});

export function pathCell(path, hue) {
  const swatch = el("span.swatch");
  swatch.style.backgroundColor = colour(hue);
  return el("span.path-cell", { title: line(path, 400) }, swatch, el("span.end", {}, el("bdi", {}, line(path))));
}

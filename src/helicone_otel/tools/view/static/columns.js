// The columns of the list: which there are, which are shown, and a menu to choose them.

import * as address from "./address.js";
import { byId, el, fill } from "./dom.js";

// In the order of the table. Without a choice, those with a rank are shown, and where there is no room, those with the
// largest rank yield first.
const COLUMNS = [
  { key: "name", title: "Name", rank: 0 },
  { key: "first_input", title: "First input", rank: 9 },
  { key: "id", title: "Session", rank: 6 },
  { key: "users", title: "User" },
  { key: "models", title: "Models" },
  { key: "start", title: "Started", rank: 5 },
  { key: "last", title: "Last activity", rank: 8 },
  { key: "duration", title: "Duration", rank: 3 },
  { key: "requests", title: "Requests", rank: 4 },
  { key: "tokens", title: "Tokens", rank: 7 },
  { key: "cost", title: "Cost", rank: 2 },
  { key: "errors", title: "Errors", rank: 1 },
];
const ALWAYS = "name";

/** Whether the user has chosen columns. Then none yields, and the table scrolls. */
export const isChosen = () => address.read().has("columns");

/** The keys of the shown columns, in the order of the table. */
function shown() {
  const chosen = isChosen() ? address.read().get("columns").split(",") : null;
  return COLUMNS.filter(({ key, rank }) => key === ALWAYS || (chosen ? chosen.includes(key) : rank !== undefined));
}

/**
 * The shown columns for Tabulator.
 *
 * @param {Object<string, object>} made - how each of them is made, by its key
 */
export const shownColumns = (made) => shown().map(({ key, title, rank }) => ({ field: key, title, responsive: rank ?? 0, ...made[key] }));

/** @param {Function} changed - called when the user has chosen other columns */
export function columnsMenu(changed) {
  const boxes = COLUMNS.map(({ key, title }) => el("label.check", {}, el("input", { type: "checkbox", value: key, disabled: key === ALWAYS }), title));
  const usual = el("button", { type: "button", onclick: () => choose(null) }, "Usual columns");
  const choose = (columns) => {
    address.write({ columns });
    showColumns();
    changed();
  };
  fill(byId("columns"), boxes, usual);
  byId("columns").addEventListener("change", () => {
    const ticked = [...byId("columns").querySelectorAll("input:checked")].map((box) => box.value);
    choose(ticked.join(","));
  });
  showColumns();
}

/** Ticks the columns that the address names. */
export function showColumns() {
  const keys = shown().map(({ key }) => key);
  for (const box of byId("columns").querySelectorAll("input")) box.checked = keys.includes(box.value);
}

// Keys that work everywhere on a page, and the page of shortcuts that lists them (`?`).

import { byId, el, fill } from "./dom.js";

// What the page of shortcuts lists. A group is listed on the pages that have its element.
const GROUPS = [
  ["Every page", "main", [
    [["?"], "This page of shortcuts"],
    [["Tab"], "The next control; the first one skips the head of the page"],
    [["Esc"], "Close what is open: this page, a request, a search"],
  ]],
  ["List of sessions", "filters", [
    [["/"], "Go to the search"],
    [["Tab", "Enter"], "Open a session by the link of its name"],
    [["Space"], "Tick a session, to compare it"],
  ]],
  ["Session", "tree", [
    [["f"], "The next failure"],
    [["Shift", "f"], "The failure before"],
    [["j"], "The next request"],
    [["k"], "The request before"],
  ]],
  ["Tree", "tree", [
    [["↑"], "The row above"],
    [["↓"], "The row below"],
    [["→"], "Open a row, then go into it"],
    [["←"], "Close a row, then go out of it"],
    [["Home"], "The first row"],
    [["End"], "The last row"],
    [["Enter"], "Choose a path, or open a request; once more: go to the request"],
  ]],
  ["Timeline", "tree", [
    [["→"], "The next request"],
    [["←"], "The request before"],
    [["↓"], "The next path"],
    [["↑"], "The path before"],
    [["+"], "Zoom in"],
    [["−"], "Zoom out"],
    [["Shift", "→"], "Move to a later part"],
    [["Shift", "←"], "Move to an earlier part"],
    [["0"], "Show the whole session"],
  ]],
  ["Line between tree and timeline", "tree", [
    [["←"], "Make the tree narrower"],
    [["→"], "Make the tree wider"],
    [["Enter"], "The width that it had at first"],
  ]],
];
const FIELDS = "input:not([type=checkbox]), select, textarea, [contenteditable]";
const listeners = new Map();

/** Calls back when a key is pressed anywhere but in a field. */
export function whenKey(key, listener) {
  listeners.set(key, listener);
}

addEventListener("keydown", (event) => {
  const listener = listeners.get(event.key);
  if (!listener || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.(FIELDS)) return;
  event.preventDefault();
  listener();
});

// --- the page of shortcuts ------------------------------------------------------------------------

function show() {
  const dialog = byId("shortcuts");
  if (dialog.open) return;
  const groups = GROUPS.filter(([, element]) => byId(element));
  fill(
    dialog,
    el("header", {}, el("h2", { id: "shortcuts-title" }, "Keyboard shortcuts"), el("button.quiet.icon", { type: "button", "aria-label": "Close", title: "Close (Esc)", onclick: () => dialog.close() }, "×")),
    el("div.shortcut-groups", {}, groups.map(([title, , keys]) => el("section", {}, el("h3", {}, title), el("dl", {}, keys.map(shortcut))))),
  );
  dialog.showModal();
}

function shortcut([keys, what]) {
  return el("div", {}, el("dt", {}, keys.map((key, place) => [place ? " " : null, el("kbd", {}, key)])), el("dd", {}, what));
}

whenKey("?", show);
byId("help").addEventListener("click", show);
// A click beside the dialog, on what darkens the page, closes it.
byId("shortcuts").addEventListener("click", (event) => event.target === event.currentTarget && event.target.close());

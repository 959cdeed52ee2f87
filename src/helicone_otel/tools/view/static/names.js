// Lists the names of sessions with their counts, to choose one.

import * as address from "./address.js";
import { ask } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { count, plural } from "./format.js";
import { serverQuery } from "./filters.js";
import { money } from "./money.js";
import { nameOf } from "./text.js";

const TYPING = 150;

/** @param {Function} choose - called with a name, or `null` for all */
export function names(choose) {
  let typing = 0;
  byId("names-search").addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => show(choose).catch(() => {}), TYPING);
  });
  return () => show(choose);
}

async function show(choose) {
  const query = serverQuery();
  const contains = byId("names-search").value.trim();
  query.delete("name");
  if (contains) query.set("contains", contains);
  const found = await ask("/api/names", query);
  const chosen = address.read().get("name");
  const all = contains ? null : item("All", null, null, chosen === null, choose);
  const focused = document.activeElement?.closest?.("#names button")?.dataset.key;
  fill(byId("names"), all, found.names.map((one) => item(nameOf(one.name), one.name, one, one.name === chosen, choose)));
  for (const button of byId("names").querySelectorAll("button")) if (button.dataset.key === focused) button.focus();
  const hidden = found.total - found.names.length;
  byId("names-more").hidden = hidden <= 0;
  byId("names-more").textContent = `${count(hidden)} more: search for them`;
}

function item(label, name, numbers, isChosen, choose) {
  const button = el(
    "button.quiet",
    { type: "button", "aria-pressed": String(isChosen), title: numbers ? `${label}, ${money(numbers.cost)}` : label, onclick: () => choose(name) },
    el("span.label", {}, label),
    numbers?.errors ? el("span.dot", { role: "img", "aria-label": `${plural(numbers.errors, "session")} with errors` }) : null,
    numbers ? el("span.count", {}, count(numbers.sessions)) : null,
  );
  button.dataset.key = JSON.stringify(name);
  return el("li", {}, button);
}

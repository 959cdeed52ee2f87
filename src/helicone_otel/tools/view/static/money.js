// What requests cost, in US dollars, and with which prices.

import { el } from "./dom.js";
import { plural } from "./format.js";

const SMALL = new Intl.NumberFormat("en", { style: "currency", currency: "USD", maximumSignificantDigits: 3 });
const TINY = 0.0001;
const LARGE = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });

/** `$0.00214`, `$1.25`, `$1,204.50`; a dash for an unknown amount */
export function money(dollars) {
  if (dollars === null || dollars === undefined) return "–";
  return Math.abs(dollars) < 1 && dollars !== 0 ? SMALL.format(dollars) : LARGE.format(dollars);
}

/** What a request, a path or a session cost. `≥`: some of its requests have no price. */
export function costText({ cost, unpriced }) {
  if (cost === null) return unpriced ? "no price" : "–";
  return unpriced ? `≥ ${money(cost)}` : money(cost);
}

/** The same in little room, with the exact amount and what is missing as a tip. */
export function costElement(item) {
  const missing = Number(item.unpriced);
  const isTiny = item.cost > 0 && item.cost < TINY && !missing;
  const more = missing ? `${plural(missing, "request")} of models without a price` : null;
  return el("span", { title: more ?? (isTiny ? money(item.cost) : null) }, isTiny ? `< ${money(TINY)}` : costText(item));
}

/** Tokens and cost of a request or a path, as texts; none if it used no tokens. */
export function used(item) {
  const tokens = (item.input_tokens ?? 0) + (item.output_tokens ?? 0);
  return tokens ? [plural(tokens, "token"), costText(item)] : [];
}

const NO_PRICES = "no list of prices: pip install genai-prices";

/** Which list the prices are from, for a person. */
export function pricesText(prices) {
  return prices ? `prices of ${prices.date} (${prices.name})` : NO_PRICES;
}

/** The same in little room, with the name of the list as a tip. */
export function pricesElement(prices) {
  return el("span", { title: prices?.name ?? null }, prices ? `prices of ${prices.date}` : NO_PRICES);
}

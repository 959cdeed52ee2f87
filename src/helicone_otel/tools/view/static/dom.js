// Makes elements. Data becomes text nodes and attributes, never markup.

import { visible } from "./text.js";

/**
 * Makes an element.
 *
 * @param {string} tag - its name, with classes: `button.quiet.small`
 * @param {object} [attributes] - set as attributes; `on…` functions listen; `false`, `null` are left out
 * @param {...(Node|string|number|null|Array)} children - texts become text nodes
 */
export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : visible(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false).map(asNode));
  return element;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(visible(child));
}

/** Replaces the content of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false).map(asNode));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** A link to another site, or only its text if the address is not http or https. */
export function outside(address, ...children) {
  const isWeb = /^https?:\/\//i.test(address ?? "");
  return isWeb ? el("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, ...children) : el("span", {}, ...children);
}

/** Has screen readers say something. */
export function announce(text) {
  const region = byId("announcer");
  region.textContent = "";
  requestAnimationFrame(() => (region.textContent = visible(text)));
}

/** Returns a function that runs `draw` at most once per frame. */
export function perFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

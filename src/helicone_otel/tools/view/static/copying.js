// Buttons that copy a text.

import { announce, el } from "./dom.js";

const SHOWN_MS = 1500;

/**
 * A button that copies a text; nothing where the browser has no clipboard for the page and no element shows the text.
 *
 * @param {string|Function} text - or a function that returns it, called when the user copies
 * @param {string} name - what is copied, for screen readers
 * @param {{label: string, source: ?HTMLElement}} [options] - `source` shows the text; it is selected where no page may copy
 */
export function copy(text, name, { label = "Copy", source = null } = {}) {
  // Browsers have no clipboard for pages of another machine without TLS.
  if (!navigator.clipboard && !source) return null;
  // The label is made by the style sheet, so that it is not part of the text that is around it.
  const button = el("button.quiet.copy", { type: "button", "aria-label": `Copy ${name}`, title: `Copy ${name}`, "data-label": label, onclick: async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      tell(button, "Copied", label);
    } catch {
      if (source) getSelection().selectAllChildren(source);
      tell(button, source ? "Selected" : "Not copied", label);
    }
  } });
  return button;
}

function tell(button, said, label) {
  button.dataset.label = said;
  announce(said);
  setTimeout(() => (button.dataset.label = label), SHOWN_MS);
}

export const asJson = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

// Makes untrusted text safe to show: invisible characters, and those that change the direction of text, are shown by their code.

const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cs}\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;

function codeOf(character) {
  return `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A text in which every control and bidi character is visible. Line breaks stay. */
export function visible(value) {
  return String(value ?? "")
    .replaceAll("\r\n", "\n")
    .replace(HIDDEN, (character) => `⟨${codeOf(character)}⟩`);
}

/** The same on one line, cut to the length of a label. */
export function line(value, most = 200) {
  const text = visible(value).replace(/\n/g, "↵").replace(/\t/g, " ");
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** The name of a session, or a placeholder if it has none. */
export function nameOf(name) {
  return name ? line(name) : "(no name)";
}

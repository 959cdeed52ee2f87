// Builds the elements of a text that the server has read as Markdown: only these tags, with texts as text nodes.

import { el, outside } from "./dom.js";

const TAG = /^(?:p|h[1-6]|strong|em|s|code|pre|blockquote|ul|ol|li|table|thead|tbody|tr|th|td|br|hr|span(?:\.hl-[a-z])?)$/;
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp);base64,/;

/** @param {Array} tree - a list of texts and of `[tag, attributes, ...children]` */
export function markdown(tree) {
  return el("div.markdown", { dir: "auto" }, tree.map(node));
}

function node(one) {
  if (typeof one === "string") return one;
  const [tag, attributes, ...children] = one;
  if (tag === "a") return link(attributes.href, children);
  if (tag === "img") return picture(attributes.src, attributes.alt);
  // A page has headings of its own; those of a text are below them.
  const name = /^h[1-6]$/.test(tag) ? `div.${tag}` : TAG.test(tag) ? tag : "span";
  return el(name, name === "pre" ? { tabindex: 0 } : {}, children.map(node));
}

/** A link says where it leads, whatever its text is. */
function link(href, children) {
  const text = children.map(node);
  if (!href) return el("span", {}, text);
  const isPlain = text.length === 1 && text[0] === href;
  const host = href.match(/^https?:\/\/([^/?#]*)/i)?.[1];
  return [outside(href, text), isPlain || !host ? null : el("small.muted", {}, ` (${host})`)];
}

/** A picture inside of a text, as an address with `data:`; `null` if it is none. */
export function picture(address, alt) {
  return PICTURE.test(address ?? "") ? el("img.picture", { src: address, alt: alt || "image", loading: "lazy" }) : null;
}

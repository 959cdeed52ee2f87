// Finds the picture in a part of a message, in the forms of OpenTelemetry, OpenAI, Anthropic, Google and Bedrock.

import { el, outside } from "./dom.js";
import { picture } from "./markdown.js";
import { line } from "./text.js";

const data = (type, text) => (type && text ? `data:${type};base64,${text}` : null);

// Each returns the address of a picture, or nothing.
const FORMS = [
  ({ image_url: url }) => (typeof url === "string" ? url : url?.url),
  ({ source }) => source?.url ?? data(source?.media_type, source?.data),
  ({ inlineData: inside }) => data(inside?.mimeType, inside?.data),
  ({ inline_data: inside }) => data(inside?.mime_type, inside?.data),
  ({ fileData: file }) => (file?.mimeType?.startsWith?.("image/") ? file.fileUri : null),
  ({ type, modality, mime_type: mime, content }) => (type === "blob" && (modality === "image" || mime?.startsWith?.("image/")) ? data(mime ?? "image/png", content) : null),
  ({ type, modality, uri }) => (type === "uri" && modality === "image" ? uri : null),
  ({ image }) => data(image?.format && `image/${image.format}`, image?.source?.bytes),
];

/** The picture of a part as an element; `null` if the part is none, or cannot be shown. */
export function pictureOf(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  for (const form of FORMS) {
    const address = form(value);
    if (typeof address !== "string") continue;
    const shown = picture(address, "Image in the message");
    if (shown) return shown;
    // Pages load nothing from elsewhere.
    if (/^https?:/i.test(address)) return el("p", {}, "Image: ", outside(address, line(address)));
  }
  return null;
}

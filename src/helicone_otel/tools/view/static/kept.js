// Says how large the database is and what is removed from it, and gives the space of what was removed back to the disk.

import { change } from "./api.js";
import { announce, el, fill } from "./dom.js";
import { bytes, plural } from "./format.js";
import { attempt, checkStatus } from "./shell.js";

export async function kept(element) {
  const status = await checkStatus();
  if (!status?.kept) return;
  const { days, size } = status.retention;
  const limits = [days === null ? null : `after ${plural(days, "day")}`, size === null ? null : `beyond ${bytes(size)}`].filter(Boolean);
  const rule = limits.length ? `Sessions are removed ${limits.join(" or ")}.` : "Nothing is removed.";
  const button = el("button.quiet", { type: "button", title: "Give the space of removed sessions back to the disk", onclick: async () => {
    button.disabled = true;
    if (await attempt(() => change("/api/compact", {}))) announce("Compacted");
    kept(element);
  } }, "Compact");
  fill(element, `The database has ${bytes(status.size)}. ${rule} `, button);
}

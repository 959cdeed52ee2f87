// Finds the results of the tools that an answer calls. They are in requests that come later: in the next call at the same
// path, which has them in its messages, or in the steps of the tools.

import { request as find } from "./api.js";

// Between an answer and the next call, so many steps of tools are read.
const MOST = 8;
// As conventions name it: OpenTelemetry's, OpenInference's and the AI SDK's.
const CALL_IDS = ["gen_ai.tool.call.id", "tool_call.id", "ai.toolCall.id"];

/**
 * The results by the ids of their calls, as far as there are some.
 *
 * @param {string} path - of the request whose answer calls
 * @param {string[]} ids - of its calls
 * @param {Array} after - the session's requests that start after it at its path or below, by start
 */
export async function resultsAfter(path, ids, after) {
  const missing = new Set(ids);
  const results = new Map();
  for (const { id } of missing.size ? candidates(path, after) : []) {
    // Of several with one id, the last one is that of the last call.
    for (const [of, result] of new Map(await resultsIn(id))) if (missing.delete(of)) results.set(of, result);
    if (!missing.size) break;
  }
  return results;
}

/** Nothing after the next call, because some models number their calls anew in each answer. */
function candidates(path, after) {
  const next = after.findIndex((one) => one.kind === "llm" && one.path === path);
  const tools = after.slice(0, next < 0 ? after.length : next).filter((one) => one.kind === "tool").slice(0, MOST);
  return next < 0 ? tools : [after[next], ...tools];
}

async function resultsIn(id) {
  // A request that cannot be read has none: the answer is shown without them.
  const { messages, tool, attributes } = await find(id).catch(() => ({ messages: null, tool: null, attributes: [] }));
  const parts = (messages ?? []).filter((one) => one.from === "input").flatMap((one) => one.parts);
  const said = parts.filter((one) => one.type === "tool_result" && one.id).map((one) => [one.id, one.result]);
  const [, call] = attributes.find(([name]) => CALL_IDS.includes(name)) ?? [];
  return tool && call && tool.result !== null ? [...said, [call, tool.result]] : said;
}

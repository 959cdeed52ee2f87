// Gets the data of the pages: from the server, or from the page itself if it is an exported file.

const element = document.getElementById("exported");
const exported = element ? JSON.parse(element.textContent) : null;

export const isExported = exported !== null;

const GONE = "The view does not answer. Is it still running?";

/** There is no answer; the message says why, for people. */
export class Unanswered extends Error {}

/** Asks the server. Throws an `AbortError` if `signal` aborts, and `Unanswered` if there is no answer. */
export async function ask(address, parameters, signal) {
  const query = parameters instanceof URLSearchParams ? parameters : new URLSearchParams(parameters);
  return answered(`${address}?${query}`, { signal });
}

/** Waits for a module that is loaded when it is needed. Throws `Unanswered` if there is no answer. */
export async function loaded(module) {
  return module.catch(() => {
    throw new Unanswered(GONE);
  });
}

/** Has the server change something. Throws `Unanswered` if there is no answer. */
export async function change(address, body) {
  return answered(address, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

async function answered(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unanswered(GONE);
  }
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Unanswered(data.error ?? `The view answers with status ${answer.status}.`);
  return data;
}

/** @param {string} [preloaded] - the address that the browser has asked for already */
export async function session(id, name, preloaded) {
  if (exported) return withRequests(exported.session);
  return withRequests(await (preloaded ? answered(preloaded) : ask("/api/session", name === null ? { id } : { id, name })));
}

/** A session has the names of its requests' fields once. */
function withRequests(found) {
  const { fields, rows } = found.requests;
  const requests = rows.map((row) => {
    const one = {};
    for (let place = 0; place < fields.length; place += 1) one[fields[place]] = row[place];
    return one;
  });
  return { ...found, requests };
}

export async function request(id, signal) {
  if (!exported) return ask("/api/request", { id }, signal);
  if (!exported.requests[id]) throw new Unanswered("This request's content is not in the file: it was too large.");
  return withSpans(exported.requests[id]);
}

/** A file has the spans around requests once, and a request their numbers. */
function withSpans(found) {
  if (!found.trace) return found;
  const spans = found.trace.spans.map((number) => ({ ...exported.spans[number], this: exported.spans[number].span_id === found.trace.span_id }));
  return { ...found, trace: { ...found.trace, spans } };
}

/** The ids of a session's requests in which all words of a search occur. */
export async function findRequests({ id, name }, search) {
  if (!exported) return (await ask("/api/find", { id, name, search })).requests;
  const words = [...search.toLowerCase().matchAll(/"([^"]*)"|(\S+)/g)].map(([, phrase, word]) => (phrase ?? word).trim());
  const texts = withRequests(exported.session).requests.map((one) => [one.id, JSON.stringify([one, exported.requests[one.id]]).toLowerCase()]);
  return texts.filter(([, text]) => words.every((word) => text.includes(word))).map(([found]) => found);
}

/** Calls back with `{sessions, more}` when sessions have changed, and with `null` when a lost connection is back. */
export function whenChanged(listener, connected = () => {}) {
  if (exported) return;
  const events = new EventSource("/api/events");
  let wasLost = false;
  events.addEventListener("changed", (event) => listener(JSON.parse(event.data)));
  events.addEventListener("open", () => {
    if (wasLost) listener(null);
    wasLost = false;
    connected(true);
  });
  events.addEventListener("error", () => {
    wasLost = true;
    connected(false);
  });
}

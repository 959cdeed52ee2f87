// Formats numbers and times for people.

const COUNT = new Intl.NumberFormat("en");
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const UNKNOWN = "–";

const KINDS = {
  llm: "LLM",
  embedding: "Embed",
  vector_db: "Vector DB",
  tool: "Tool",
  rerank: "Rerank",
  guardrail: "Guard",
  data: "Data",
};

export const count = (value) => (value === null || value === undefined ? UNKNOWN : COUNT.format(value));
export const compact = (value) => (value === null || value === undefined ? UNKNOWN : value < 10000 ? COUNT.format(value) : COMPACT.format(value));
export const percent = (value) => (value === null || value === undefined ? UNKNOWN : PERCENT.format(value));

/** `850 µs`, `12.3 ms`, `810 ms`, `4.13 s`, `2 min 05 s`, `1 h 03 min` */
export function duration(ms) {
  if (ms === null || ms === undefined) return UNKNOWN;
  if (ms === 0) return "0 ms";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 999.5) return `${ms < 99.95 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 59995) return `${(ms / 1000).toFixed(2)} s`;
  const minutes = Math.floor(Math.round(ms / 1000) / 60);
  if (minutes < 60) return `${minutes} min ${pad(Math.round(ms / 1000) % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** The same for an axis, without trailing zeros. */
export const roundDuration = (ms) => duration(ms).replace(/\.(\d*?)0+(?= )/, (_all, digits) => (digits ? `.${digits}` : ""));

const pad = (number) => String(number).padStart(2, "0");

export function ago(ms, now = Date.now()) {
  const seconds = Math.max(0, (now - ms) / 1000);
  if (seconds < 10) return "now";
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].find(([size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

export const kind = (name) => KINDS[name] ?? (name ? name[0].toUpperCase() + name.slice(1) : "Step");

/** `12.3 MB`: a size in bytes, by powers of ten. */
export const bytes = (size) => (size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`);

export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

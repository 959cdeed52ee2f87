// Times for people, all of them in the zone of the browser. The head of each page names the zone.

const UNKNOWN = "–";
const TIME = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });
const DAY_OF_ANOTHER_YEAR = new Intl.DateTimeFormat("en", { year: "numeric", month: "short", day: "numeric" });

/** The difference to UTC at a time, as `UTC`, `UTC+02:00` or `UTC-03:30`. A zone with summer time has two. */
export function offset(ms) {
  const minutes = -new Date(ms).getTimezoneOffset();
  if (!minutes) return "UTC";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "-" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

/** The name of the zone with its difference to UTC now: `Europe/Berlin, UTC+02:00`. */
export function zone(now = Date.now()) {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  const difference = offset(now);
  return timeZone && timeZone !== difference ? `${timeZone}, ${difference}` : difference;
}

/** A time of today as a time, any other with its day. */
export function moment(ms, now = Date.now()) {
  if (ms === null || ms === undefined) return UNKNOWN;
  const [date, today] = [new Date(ms), new Date(now)];
  if (date.toDateString() === today.toDateString()) return TIME.format(date);
  const day = date.getFullYear() === today.getFullYear() ? DAY : DAY_OF_ANOTHER_YEAR;
  return `${day.format(date)}, ${TIME.format(date)}`;
}

/** A time with its date, exact to the millisecond, and with its difference to UTC: `2026-03-29 03:00:00.125 UTC+02:00`. */
export function exact(ms) {
  const date = new Date(ms);
  const parts = [date.getFullYear(), pad(date.getMonth() + 1), pad(date.getDate())].join("-");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(":");
  return `${parts} ${time}.${String(date.getMilliseconds()).padStart(3, "0")} ${offset(ms)}`;
}

/** A time for a field of the type `datetime-local`. */
export function local(ms) {
  const shifted = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
  return Number.isNaN(shifted.getTime()) ? "" : shifted.toISOString().slice(0, 19);
}

const pad = (number) => String(number).padStart(2, "0");

// The part of the session's time that the timeline shows, in milliseconds from the session's start.

const LEAST = 0.05;

export class Window {
  #listeners = [];

  constructor(length) {
    this.length = length;
    this.from = 0;
    this.to = length;
  }

  get span() {
    return this.to - this.from;
  }

  get isWhole() {
    return this.from <= 0 && this.to >= this.length;
  }

  /** Follows a session that grows. A window that shows all of it keeps showing all of it. */
  grow(length) {
    const wasWhole = this.isWhole;
    this.length = length;
    if (wasWhole) this.set(0, length);
  }

  set(from, to) {
    const span = Math.min(this.length, Math.max(LEAST, to - from));
    this.from = Math.min(Math.max(0, from), this.length - span);
    this.to = this.from + span;
    for (const listener of this.#listeners) listener(this);
  }

  all() {
    this.set(0, this.length);
  }

  /** Multiplies the span by a factor, around a time that stays at its position. */
  zoom(factor, around = (this.from + this.to) / 2) {
    const share = (around - this.from) / this.span;
    const span = Math.min(this.length, Math.max(LEAST, this.span * factor));
    this.set(around - share * span, around + (1 - share) * span);
  }

  pan(by) {
    this.set(this.from + by, this.to + by);
  }

  /** Moves, if needed, so that a span of time is in sight. */
  reveal(from, to) {
    if (from >= this.from && to <= this.to) return;
    const span = Math.max(this.span, (to - from) * 1.2);
    const middle = (from + to) / 2;
    this.set(middle - span / 2, middle + span / 2);
  }

  whenChanged(listener) {
    this.#listeners.push(listener);
  }
}

// Steps of one second and more, in milliseconds, as on a clock.
const CLOCK = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map((seconds) => seconds * 1000);

/** About so many round times for an axis. */
export function ticks(from, to, about) {
  const rough = (to - from) / Math.max(1, about);
  const power = 10 ** Math.floor(Math.log10(rough));
  const decimal = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const step = decimal < 1000 ? decimal : (CLOCK.find((one) => one >= rough) ?? decimal);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  return { step, found };
}

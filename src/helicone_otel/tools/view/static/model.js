// A session as its views need it: the tree of paths with their requests, and the visible rows of the tree. Nothing is drawn here.

import { busyOf, kindsOf, usedBy } from "./sums.js";

const FEW = 80;
// If a path has other paths below it and more requests of its own than this, the requests get a row that can be opened.
const OWN = 12;

/** Paths, requests and durations of a session, by path and by id. */
export class Model {
  constructor(data) {
    this.session = data.session;
    this.requests = data.requests;
    this.durations = data.durations;
    this.prices = data.prices;
    this.start = data.session.start_ms;
    this.length = Math.max(data.session.duration_ms, 0.001);
    this.lanes = 1 + data.requests.reduce((most, one) => Math.max(most, one.lane), 0);
    this.byId = new Map(data.requests.map((one, place) => [one.id, { ...one, place }]));
    this.nodes = new Map(data.tree.map((node) => [node.path, { ...node, children: [], own: [] }]));
    this.roots = [];
    for (const node of this.nodes.values()) (this.nodes.get(node.parent)?.children ?? this.roots).push(node);
    for (const one of this.byId.values()) this.nodes.get(one.path)?.own.push(one);
    for (const node of this.nodes.values()) node.items = itemsOf(node);
  }

  hueOf(path) {
    return this.nodes.get(path)?.colour ?? 0;
  }

  /** Tells whether a path is another path, or is below it. */
  static isWithin(path, above) {
    return path === above || path.startsWith(`${above}/`);
  }

  /** The rows that are open at first: all of a small session, and only those with paths below them in a large one. */
  openAtFirst() {
    const all = this.#foldable();
    return new Set((this.requests.length <= FEW ? all : all.filter((node) => node.children.length)).map(foldOf));
  }

  /** All rows that can be open. */
  foldable() {
    return this.#foldable().map(foldOf);
  }

  #foldable() {
    const nodes = [...this.nodes.values()];
    return [...nodes, ...nodes.flatMap((node) => node.items.filter((item) => item.isGroup))].filter(isFoldable);
  }

  /** The rows that must be open to show a path, or a request at it. */
  foldsTo(path, request) {
    const node = this.nodes.get(path);
    const folds = [];
    for (let above = this.nodes.get(node?.parent); above; above = this.nodes.get(above.parent)) folds.push(above.path);
    if (request && node) folds.push(...[node, ...node.items.filter((item) => item.isGroup)].filter(isFoldable).map(foldOf));
    return folds;
  }

  /** The requests at a path or below it, in the order of their starts. */
  below(node) {
    node.below ??= [...node.own, ...node.children.flatMap((child) => this.below(child))].sort((a, b) => a.place - b.place);
    return node.below;
  }

  /**
   * The visible rows of the tree, from the top. A row is a path or a request.
   *
   * @param {Set<string>} open - the rows that are open
   */
  rows(open) {
    const rows = [];
    const add = (items, level) => {
      items.forEach((item, index) => {
        const row = this.#row(item, level, index, items.length, open);
        rows.push(row);
        if (row.isOpen) add(item.items, level + 1);
      });
    };
    add(this.roots, 1);
    return rows;
  }

  #row(item, level, index, size, open) {
    const place = { level, position: index + 1, size };
    if (!item.children) return { ...place, key: `r ${item.id}`, path: item.path, request: item, bars: [item] };
    const foldable = isFoldable(item);
    const fold = foldOf(item);
    const isOpen = foldable && open.has(fold);
    const bars = isOpen ? [] : this.below(item);
    const request = foldable ? null : (item.own[0] ?? null);
    return { ...place, key: `p ${fold}`, path: item.path, node: item, request, foldable, fold, isOpen, bars };
  }
}

// A path with one request and nothing below is one row.
const isFoldable = (node) => node.children.length > 0 || node.own.length > 1;

// The key of a path is the path. A group adds a line break, with which no path ends.
const foldOf = (node) => (node.isGroup ? `${node.path}\n` : node.path);

function itemsOf(node) {
  const isMany = node.children.length > 0 && node.own.length > OWN;
  return [...node.children, ...(isMany ? [groupOf(node)] : node.own)].sort((a, b) => firstOf(a) - firstOf(b));
}

// Paths are in the order of their first requests, as in Helicone, although their steps may have started in another one.
const firstOf = (item) => item.first_ms ?? item.start_ms;

function groupOf({ path, colour, own }) {
  const names = new Set(own.map((one) => one.name));
  const kinds = kindsOf(own);
  const start = own[0].start_ms;
  const end = Math.max(...own.map((one) => one.end_ms));
  return {
    isGroup: true,
    path,
    colour,
    segment: names.size === 1 ? own[0].name : "requests at this path",
    kind: Object.keys(kinds).length === 1 ? own[0].kind : null,
    kinds,
    busy_ms: busyOf(own),
    ...usedBy(own),
    children: [],
    own,
    items: own,
    requests_below: own.length,
    errors: own.filter((one) => one.error !== null).length,
    start_ms: start,
    end_ms: end,
    duration_ms: end - start,
  };
}

/** Returns for each bar a lane in which it overlaps no earlier bar, and the number of lanes. */
export function packed(bars) {
  const ends = [];
  const lanes = bars.map((bar) => {
    let lane = ends.findIndex((end) => end <= bar.start_ms);
    if (lane < 0) lane = ends.length < 64 ? ends.length : 63;
    ends[lane] = bar.end_ms;
    return lane;
  });
  return { lanes, count: Math.max(1, ends.length) };
}

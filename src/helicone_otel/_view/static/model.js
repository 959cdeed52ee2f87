// A session as its views need it: paths with what is below them, and the rows of the tree that are open. No drawing here.

const FEW = 80;
const OWN = 12;

/** Everything of a session, found by path and by id. Times of rows are milliseconds from its start. */
export class Model {
  constructor(data) {
    this.session = data.session;
    this.requests = data.requests;
    this.durations = data.durations;
    this.start = data.session.start_ms;
    this.length = Math.max(data.session.duration_ms, 0.001);
    this.lanes = 1 + data.requests.reduce((most, one) => Math.max(most, one.lane), 0);
    this.byId = new Map(data.requests.map((one, place) => [one.id, { ...one, place }]));
    this.nodes = new Map(data.tree.map((node) => [node.path, { ...node, children: [], own: [] }]));
    this.roots = [];
    for (const node of this.nodes.values()) (this.nodes.get(node.parent)?.children ?? this.roots).push(node);
    for (const one of this.byId.values()) this.nodes.get(one.path)?.own.push(one);
  }

  hueOf(path) {
    return this.nodes.get(path)?.colour ?? 0;
  }

  /** Whether a path is another one, or stands below it. */
  static isWithin(path, above) {
    return path === above || path.startsWith(`${above}/`);
  }

  /** The paths that are open at first: all of a small session, of a large one those that hold paths rather than requests. */
  openAtFirst() {
    const all = [...this.nodes.values()].filter((node) => isFoldable(node));
    const open = this.requests.length <= FEW ? all : all.filter((node) => node.children.length && node.own.length <= OWN);
    return new Set(open.map((node) => node.path));
  }

  foldable() {
    return [...this.nodes.values()].filter(isFoldable).map((node) => node.path);
  }

  /** The paths above one, and itself. */
  lineOf(path) {
    const line = [];
    for (let node = this.nodes.get(path); node; node = this.nodes.get(node.parent)) line.push(node.path);
    return line;
  }

  /** All requests at a path or below, by their starts. */
  below(node) {
    node.below ??= [...node.own, ...node.children.flatMap((child) => this.below(child))].sort((a, b) => a.place - b.place);
    return node.below;
  }

  /**
   * The rows of the tree, from the top: a path or a request each.
   *
   * @param {Set<string>} open - paths that show what is in them
   */
  rows(open) {
    const rows = [];
    const add = (items, level) => {
      items.forEach((item, index) => {
        const row = this.#row(item, level, index, items.length, open);
        rows.push(row);
        if (row.isOpen) add(inOrder(item), level + 1);
      });
    };
    add(this.roots, 1);
    return rows;
  }

  #row(item, level, index, size, open) {
    const place = { level, position: index + 1, size };
    if (!item.children) return { ...place, key: `r ${item.id}`, path: item.path, request: item, bars: [item] };
    const foldable = isFoldable(item);
    const isOpen = foldable && open.has(item.path);
    const bars = isOpen ? [] : this.below(item);
    const request = foldable ? null : (item.own[0] ?? null);
    return { ...place, key: `p ${item.path}`, path: item.path, node: item, request, foldable, isOpen, bars };
  }
}

// A path at which one thing ran, and nothing below, is one row.
const isFoldable = (node) => node.children.length > 0 || node.own.length > 1;

function inOrder(node) {
  return [...node.children, ...node.own].sort((a, b) => a.start_ms - b.start_ms);
}

/** For each bar the lane in which it overlaps with none before it; the number of lanes. */
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

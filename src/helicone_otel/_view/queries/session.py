"""One session: its tree by path, its requests on their lanes, and how long things take at each path."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from .numbers import colour_of, milliseconds, percentile
from .sessions import find_session, session_data

_MAX_SAME_NAME: Final = 100
_MAX_VALUES: Final = 200
_CALLS: Final = frozenset({"llm", "embedding"})
_REQUESTS: Final = """
SELECT id, path, kind, name, model, start, "end", ttft, input_tokens, output_tokens, error
FROM requests WHERE session = ? ORDER BY start, "end", id
"""
# The steps of a session, and above which of them another step of the same path stands: a wrapper and what it
# wraps are one run.
_STEPS: Final = """
SELECT p.path, p.kind, p.start, p."end", p.error, p.request IS NOT NULL,
    EXISTS (SELECT 1 FROM spans s JOIN spans a ON a.trace = s.trace AND a.span = s.parent JOIN places o ON o.id = a.id
            WHERE s.id = p.id AND o.path = p.path AND o.kind NOT IN ('llm', 'embedding'))
FROM places p WHERE p.session = ? AND p.kind IS NOT NULL AND p.kind NOT IN ('llm', 'embedding') ORDER BY p.start
"""


class _Request(NamedTuple):
    id: str
    path: str
    kind: str
    name: str
    model: str | None
    start: int
    end: int
    ttft: int | None
    input_tokens: int | None
    output_tokens: int | None
    error: str | None


def session(connection: sqlite3.Connection, id_: str, name: str | None) -> dict[str, Any] | None:
    """Return a session with its tree, requests and distribution; `None` if there is no such session."""
    row = find_session(connection, id_, name)
    if row is None:
        return None
    requests = [_Request(*values) for values in connection.execute(_REQUESTS, (row[0],))]
    steps = connection.execute(_STEPS, (row[0],)).fetchall()
    data = session_data(row)
    return {
        "session": data,
        "same_name": _same_name(connection, data["name"]),
        "tree": list(_tree(requests, steps)),
        "requests": [_data(request, lane) for request, lane in zip(requests, _lanes(requests), strict=True)],
        "durations": _durations(requests, data["duration_ms"]),
    }


def _same_name(connection: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT session_id, name, start, requests, errors FROM sessions WHERE name = ? ORDER BY last DESC LIMIT ?",
        (name, _MAX_SAME_NAME),
    )
    keys = ("id", "name", "start_ms", "requests", "errors")
    return [dict(zip(keys, (row[0], row[1], milliseconds(row[2]), row[3], row[4]), strict=True)) for row in rows]


def _data(request: _Request, lane: int) -> dict[str, Any]:
    return {
        "id": request.id,
        "path": request.path,
        "kind": request.kind,
        "name": request.name,
        "model": request.model,
        "start_ms": milliseconds(request.start),
        "end_ms": milliseconds(request.end),
        "duration_ms": milliseconds(request.end - request.start),
        "ttft_ms": milliseconds(request.ttft) if request.ttft is not None else None,
        "input_tokens": request.input_tokens,
        "output_tokens": request.output_tokens,
        "error": request.error,
        "lane": lane,
    }


def _lanes(requests: Iterable[_Request]) -> Iterator[int]:
    """Yield for each request, in the order of their starts, the first lane that is free by then."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    for request in requests:
        while busy and busy[0][0] <= request.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (request.end, lane))
        yield lane


class _Node:
    """One level of a path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.kinds: Counter[str] = Counter()
        self.runs = self.requests = self.errors = 0
        self.spells: list[tuple[int, int]] = []
        self.busy: list[tuple[int, int]] = []
        self.children: list[str] = []
        self.below = 0


def _tree(requests: Sequence[_Request], steps: Sequence[sqlite3.Row]) -> Iterator[dict[str, Any]]:
    nodes = {"/": _Node("/")}
    for path, kind, start, end, error, is_request, is_inner in steps:
        node = _grown(nodes, path)
        node.kinds[kind] += 1
        node.runs += not is_inner
        node.spells.append((start, end))
        # A request that failed is counted with the requests.
        node.errors += error is not None and not is_request
    for request in requests:
        node = _grown(nodes, request.path)
        node.requests += 1
        node.errors += request.error is not None
        node.spells.append((request.start, request.end))
        node.busy.append((request.start, request.end))
        if not node.kinds or request.kind not in _CALLS:
            node.kinds[request.kind] += 0
    _gather(nodes)
    waiting = sorted(nodes["/"].children, key=lambda path: nodes[path].spells[0], reverse=True)
    if nodes["/"].requests:
        waiting.append("/")
    while waiting:
        node = nodes[waiting.pop()]
        yield _node_data(node)
        if node.path != "/":
            waiting += sorted(node.children, key=lambda path: nodes[path].spells[0], reverse=True)


def _grown(nodes: dict[str, _Node], path: str) -> _Node:
    """Return the node of a path, made with all above it."""
    found = nodes.get(path)
    if found is None:
        above = _grown(nodes, path.rpartition("/")[0] or "/")
        found = nodes[path] = _Node(path)
        above.children.append(path)
    return found


def _gather(nodes: dict[str, _Node]) -> None:
    """Give each node what stands below it: the deepest first."""
    for node in sorted(nodes.values(), key=lambda node: -node.path.count("/")):
        node.below += node.requests
        node.busy = _union(node.busy)
        node.spells = [(min(s for s, _ in node.spells), max(e for _, e in node.spells))] if node.spells else []
        if node.path != "/":
            above = nodes[node.path.rpartition("/")[0] or "/"]
            above.below += node.below
            above.errors += node.errors
            above.busy += node.busy
            above.spells += node.spells


def _union(spells: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spells):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _node_data(node: _Node) -> dict[str, Any]:
    ((start, end),) = node.spells
    above, _, segment = node.path.rpartition("/")
    # Of what was asked for at this path, the outermost: an agent that runs tools of its own name stays an agent.
    kind = next(iter(node.kinds), None)
    return {
        "path": node.path,
        "segment": segment,
        "depth": 0 if node.path == "/" else node.path.count("/"),
        "parent": above or None,
        "kind": kind,
        "runs": node.runs,
        "colour": colour_of(node.path),
        "requests": node.requests,
        "requests_below": node.below if node.path != "/" else node.requests,
        "errors": node.errors,
        "start_ms": milliseconds(start),
        "end_ms": milliseconds(end),
        "duration_ms": milliseconds(end - start),
        "busy_ms": milliseconds(sum(until - since for since, until in node.busy)),
    }


def _durations(requests: Iterable[_Request], whole: float) -> list[dict[str, Any]]:
    by_path: defaultdict[str, list[float]] = defaultdict(list)
    errors: Counter[str] = Counter()
    for request in requests:
        by_path[request.path].append(milliseconds(request.end - request.start))
        errors[request.path] += request.error is not None
    rows = [_distribution(path, sorted(values), errors[path], whole) for path, values in by_path.items()]
    return sorted(rows, key=lambda row: -row["total"])


def _distribution(path: str, values: list[float], errors: int, whole: float) -> dict[str, Any]:
    total = sum(values)
    step = max(1.0, len(values) / _MAX_VALUES)
    return {
        "path": path,
        "colour": colour_of(path),
        "count": len(values),
        "errors": errors,
        "min": values[0],
        **{f"p{round(share * 100)}": percentile(values, share) for share in (0.25, 0.5, 0.75, 0.95)},
        "max": values[-1],
        "mean": round(total / len(values), 3),
        "total": round(total, 3),
        "share": round(total / whole, 4) if whole else 0.0,
        "values": [values[int(place * step)] for place in range(min(len(values), _MAX_VALUES))],
    }

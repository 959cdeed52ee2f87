"""A session as a tree by path."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from .numbers import colour_of, milliseconds

_CALLS: Final = frozenset({"llm", "embedding"})
# The steps of a session, and above which of them another step of the same path stands: a wrapper and what it
# wraps are one run.
_STEPS: Final = """
SELECT p.path, p.kind, p.start, p."end", p.error, p.request IS NOT NULL,
    EXISTS (SELECT 1 FROM spans s JOIN spans a ON a.trace = s.trace AND a.span = s.parent JOIN places o ON o.id = a.id
            WHERE s.id = p.id AND o.path = p.path AND o.kind NOT IN ('llm', 'embedding'))
FROM places p WHERE p.session = ? AND p.kind IS NOT NULL AND p.kind NOT IN ('llm', 'embedding') ORDER BY p.start
"""


class Request(NamedTuple):
    """A request as its row in the store has it; times are nanoseconds."""

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


def steps_of(connection: sqlite3.Connection, session: int) -> list[sqlite3.Row]:
    """Return the steps of a session by its number in the store, for `tree`."""
    return connection.execute(_STEPS, (session,)).fetchall()


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


def tree(requests: Sequence[Request], steps: Sequence[sqlite3.Row]) -> Iterator[dict[str, Any]]:
    """Yield each level of the paths of a session, depth first, in the order in which things began."""
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

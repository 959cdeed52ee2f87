"""One session: its tree of paths, its requests, and how long the requests at each path take."""

from __future__ import annotations

import heapq
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ...redaction import redact
from ..colours import add_colours
from ..judging import feedback_on
from ..scores import scores_in
from .critical import critical_path
from .numbers import dollars, milliseconds, percentile, prices
from .sessions import find_session, session_data
from .tree import StoredRequest, UsedByRequests, busy_time, steps_of, tree

_MAX_SAME_NAME: Final = 100
_MAX_VALUES: Final = 200
_REQUESTS: Final = """
SELECT id, path, kind, name, model, start, "end", ttft, input_tokens, output_tokens, error, badge, cost
FROM requests WHERE session = ? ORDER BY start, "end", id
"""


def session(connection: sqlite3.Connection, id_: str, name: str | None) -> dict[str, Any] | None:
    """Return a session with its tree, requests and durations; `None` if there is no such session."""
    row = find_session(connection, id_, name)
    if row is None:
        return None
    requests = [StoredRequest(*values) for values in connection.execute(_REQUESTS, (row[0],))]
    data = session_data(row)
    critical = critical_path(requests)
    levels = list(tree(requests, steps_of(connection, row[0])))
    durations = _durations(requests, data["duration_ms"])
    add_colours(connection, levels, durations)
    return {
        "session": {
            **data,
            "busy_ms": milliseconds(busy_time(requests)),
            "critical_ms": milliseconds(busy_time([one for one in requests if one.id in critical])),
        },
        "same_name": _same_name(connection, data["name"]),
        "tree": levels,
        "requests": [
            {**_data(request, lane), "critical": request.id in critical}
            for request, lane in zip(requests, _lanes(requests), strict=True)
        ],
        "durations": durations,
        "scores": scores_in(connection, row[0]),
        "feedback": feedback_on(connection, data["id"], data["name"]),
        "prices": prices(),
    }


def _same_name(connection: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT session_id, name, start, requests, errors FROM sessions WHERE name = ? ORDER BY last DESC LIMIT ?",
        (name, _MAX_SAME_NAME),
    )
    keys = ("id", "name", "start_ms", "requests", "errors")
    return [dict(zip(keys, (row[0], row[1], milliseconds(row[2]), row[3], row[4]), strict=True)) for row in rows]


def _data(request: StoredRequest, lane: int) -> dict[str, Any]:
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
        "cost": dollars(request.cost),
        "unpriced": request.is_unpriced,
        "error": redact(request.error),
        "badge": request.badge,
        "lane": lane,
    }


def _lanes(requests: Iterable[StoredRequest]) -> Iterator[int]:
    """Yield for each request, in the order of their starts, the first lane that is free at its start."""
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    for request in requests:
        while busy and busy[0][0] <= request.start:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (request.end, lane))
        yield lane


def _durations(requests: Iterable[StoredRequest], session_length: float) -> list[dict[str, Any]]:
    by_path: defaultdict[str, list[float]] = defaultdict(list)
    used: defaultdict[str, UsedByRequests] = defaultdict(UsedByRequests)
    errors: Counter[str] = Counter()
    for request in requests:
        by_path[request.path].append(milliseconds(request.end - request.start))
        errors[request.path] += request.error is not None
        used[request.path].add(request)
    rows = [
        {**_distribution(path, sorted(values), errors[path], session_length), **used[path].data()}
        for path, values in by_path.items()
    ]
    return sorted(rows, key=lambda row: -row["total"])


def _distribution(path: str, values: list[float], errors: int, session_length: float) -> dict[str, Any]:
    total = sum(values)
    step = max(1.0, len(values) / _MAX_VALUES)
    return {
        "path": path,
        "count": len(values),
        "errors": errors,
        "min": values[0],
        **{f"p{round(share * 100)}": percentile(values, share) for share in (0.25, 0.5, 0.75, 0.95, 0.99)},
        "max": values[-1],
        "mean": round(total / len(values), 3),
        "total": round(total, 3),
        "share": round(total / session_length, 4) if session_length else 0.0,
        "values": [values[int(index * step)] for index in range(min(len(values), _MAX_VALUES))],
    }

"""One session: its paths, its requests, those that its duration depends on, and how long those at each path take."""

from __future__ import annotations

import heapq
import sqlite3
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from ....wire import CALL_KINDS
from ...redaction import redact
from ..colours import add_colours
from ..database import milliseconds
from ..judging import feedback_on, scores_in
from ..prices import dollars, shown_prices
from .sessions import find_session, percentile, session_data
from .tree import StoredRequest, UsedByRequests, busy_time, steps_of, tree

# Of the operations at one path that have started before a request, so many may be the one that made it.
_MAX_LOOKED_AT: Final = 8
_MAX_SAME_NAME: Final = 100
_MAX_VALUES: Final = 200
# What pages get of each request, in the order of `_values`. A long session has the names once, and half the length.
_FIELDS: Final = (
    *("id", "path", "kind", "name", "model", "start_ms", "end_ms", "duration_ms", "ttft_ms", "input_tokens"),
    *("output_tokens", "cost", "unpriced", "error", "badge", "lane", "critical"),
)
_REQUESTS: Final = """
SELECT id, path, kind, name, model, start, "end", ttft, input_tokens, output_tokens, error, badge, cost
FROM requests WHERE session = ? ORDER BY start, "end", id
"""


def session(connection: sqlite3.Connection, id_: str, name: str | None) -> dict[str, Any] | None:
    """Return a session with its tree, requests and durations; `None` if there is no such session."""
    row = find_session(connection, id_, name)
    if row is None:
        return None
    requests = list(map(StoredRequest._make, connection.execute(_REQUESTS, (row[0],))))
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
        "requests": {
            "fields": _FIELDS,
            "rows": [
                _values(request, lane, request.id in critical)
                for request, lane in zip(requests, _lanes(requests), strict=True)
            ],
        },
        "durations": durations,
        "scores": scores_in(connection, row[0]),
        "feedback": feedback_on(connection, data["id"], data["name"]),
        "prices": shown_prices(),
    }


def _same_name(connection: sqlite3.Connection, name: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT session_id, name, start, requests, errors FROM sessions WHERE name = ? ORDER BY last DESC LIMIT ?",
        (name, _MAX_SAME_NAME),
    )
    keys = ("id", "name", "start_ms", "requests", "errors")
    return [dict(zip(keys, (row[0], row[1], milliseconds(row[2]), row[3], row[4]), strict=True)) for row in rows]


def _values(request: StoredRequest, lane: int, critical: bool) -> tuple[Any, ...]:
    return (
        *(request.id, request.path, request.kind, request.name, request.model),
        milliseconds(request.start),
        milliseconds(request.end),
        milliseconds(request.end - request.start),
        milliseconds(request.ttft) if request.ttft is not None else None,
        *(request.input_tokens, request.output_tokens, dollars(request.cost), request.is_unpriced),
        *(redact(request.error), request.badge, lane, critical),
    )


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


# --- the critical path --------------------------------------------------------------------------------


def critical_path(requests: Sequence[StoredRequest]) -> set[str]:
    """Return the ids of the requests on the critical path of a session.

    It is found from the end: the request that ended last, before it the one that ended last before that one started,
    and so on. If one of them had been quicker, the session would have been. Of a tool that searches, the search is on
    it as well.

    Args:
        requests: The requests of the session, in any order.
    """
    found: set[str] = set()
    inside = _by_maker(requests)
    waiting = [inside[None]]
    while waiting:
        for request in _chain(waiting.pop()):
            found.add(request.id)
            waiting.append(inside[request.id])
    return found


def _chain(requests: Sequence[StoredRequest]) -> Iterator[StoredRequest]:
    """Yield the requests that wait for each other, the last one first."""
    # Of several that end at the same time, the longest: the others ran beside it.
    ordered = sorted(requests, key=lambda one: (one.end, -one.start, one.id))
    ends = [one.end for one in ordered]
    place = len(ordered)
    while place:
        request = ordered[place - 1]
        yield request
        # Never the same one again: a request that took no time ends where it starts.
        place = min(bisect_right(ends, request.start), place - 1)


def _by_maker(requests: Sequence[StoredRequest]) -> Mapping[str | None, list[StoredRequest]]:
    """Return requests by the id of the request that made them, such as a tool; `None` stands for the session."""
    makers: defaultdict[str, list[StoredRequest]] = defaultdict(list)
    for request in sorted(requests, key=attrgetter("start")):
        if request.kind not in CALL_KINDS:
            makers[request.path].append(request)
    starts = {path: [one.start for one in of] for path, of in makers.items()}
    # Requests of few paths are many, so that each path is taken apart once.
    above = {path: [one for one in _upwards(path) if one in starts] for path in {one.path for one in requests}}
    made: defaultdict[str | None, list[StoredRequest]] = defaultdict(list)
    for request in requests:
        maker: StoredRequest | None = None
        for path in above[request.path]:
            before = bisect_right(starts[path], request.start)
            possible = makers[path][max(0, before - _MAX_LOOKED_AT) : before]
            maker = next((one for one in reversed(possible) if _made(one, request)), None)
            if maker is not None:
                break
        made[maker.id if maker is not None else None].append(request)
    return made


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _made(maker: StoredRequest, request: StoredRequest) -> bool:
    """Tell whether a tool may have made a request that started after it, at or below its path."""
    return request.end <= maker.end and (request.path, request.kind) != (maker.path, maker.kind)

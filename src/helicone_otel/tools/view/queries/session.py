"""One session: its requests, how long those at each path take, those that its duration depends on, and its tree."""

from __future__ import annotations

import heapq
import sqlite3
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from ....wire import CALL_KINDS
from ...folders import Folder
from ...redaction import redact
from ..colours import add_colours
from ..database import milliseconds
from ..judging import feedback_on, scores_in
from ..prices import dollars, is_unpriced, shown_prices
from .sessions import find_session, percentile, session_data

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


class StoredRequest(NamedTuple):
    """A request as the database has it.

    Times are in nanoseconds since the epoch, `ttft` in nanoseconds, `cost` in US dollars.
    """

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
    badge: str
    cost: float | None = None

    @property
    def is_unpriced(self) -> bool:
        """Whether its tokens are known, and its price is not."""
        return is_unpriced(self.kind, self.cost, self.input_tokens, self.output_tokens)


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


# --- durations by path --------------------------------------------------------------------------------


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


class UsedByRequests:
    """The tokens and the cost of some requests.

    Attributes:
        cost: US dollars; `None` if no request has a price.
        unpriced: The number of requests whose tokens are known and whose price is not.
    """

    def __init__(self) -> None:
        self.input_tokens = self.output_tokens = self.unpriced = 0
        self.cost: float | None = None

    def add(self, request: StoredRequest) -> None:
        """Add a request."""
        self.input_tokens += request.input_tokens or 0
        self.output_tokens += request.output_tokens or 0
        self.unpriced += request.is_unpriced
        self._add_cost(request.cost)

    def merge(self, other: UsedByRequests) -> None:
        """Add what other requests used."""
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.unpriced += other.unpriced
        self._add_cost(other.cost)

    def _add_cost(self, cost: float | None) -> None:
        if cost is not None:
            self.cost = (self.cost or 0.0) + cost

    def data(self) -> dict[str, Any]:
        """Return the sums as the API has them."""
        tokens = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        return {**tokens, "cost": dollars(self.cost), "unpriced": self.unpriced}


def busy_time(requests: Iterable[StoredRequest]) -> int:
    """Return the nanoseconds in which at least one of the requests ran."""
    return _length(_union((request.start, request.end) for request in requests))


def _length(spells: Iterable[tuple[int, int]]) -> int:
    return sum(end - start for start, end in spells)


def _union(spells: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spells):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


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


# --- the tree by path ---------------------------------------------------------------------------------

# The steps of a session. The last column tells whether the parent of a step is a step at the same path: a wrapper and
# the span that it wraps are one run.
_STEPS: Final = """
SELECT p.path, p.kind, p.start, p."end", p.error, p.request IS NOT NULL,
    EXISTS (SELECT 1 FROM spans s JOIN spans a ON a.trace = s.trace AND a.span = s.parent JOIN places o ON o.id = a.id
            WHERE s.id = p.id AND o.path = p.path AND o.kind NOT IN ('llm', 'embedding'))
FROM places p WHERE p.session = ? AND p.kind IS NOT NULL AND p.kind NOT IN ('llm', 'embedding') ORDER BY p.start
"""


def steps_of(connection: sqlite3.Connection, session: int) -> list[sqlite3.Row]:
    """Return the steps of a session for `tree`.

    Args:
        connection: To the database.
        session: The number of the session in the database.
    """
    return connection.execute(_STEPS, (session,)).fetchall()


class _LevelCounts:
    """What is counted at one level of a path."""

    def __init__(self) -> None:
        # The kinds of the steps at this level, the outermost first.
        self.steps: list[str] = []
        # By kind, the requests at this level, and at or below it.
        self.own_kinds: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.runs = self.failed_runs = self.requests = self.errors = 0
        self.times: list[tuple[int, int]] = []
        self.busy: list[tuple[int, int]] = []
        self.requests_below = 0
        # Of the requests at or below this level.
        self.used = UsedByRequests()

    @property
    def kind(self) -> str | None:
        """The kind of the level's own step: of the outermost, so an agent that runs tools of its own name is an agent.

        A tool or another operation that has a path of its own is a step. A model that is called at a path is none.
        """
        if self.steps:
            return self.steps[0]
        (only,) = self.own_kinds if len(self.own_kinds) == 1 else (None,)
        return only if only not in CALL_KINDS else None

    @property
    def first(self) -> int:
        """When the first request at or below this level started; without requests, when its first step did."""
        return self.busy[0][0] if self.busy else self.times[0][0]


def tree(requests: Sequence[StoredRequest], steps: Sequence[sqlite3.Row]) -> Iterator[dict[str, Any]]:
    """Yield the data of each level of the paths of a session: parents first, and siblings by their first request.

    Helicone makes folders only where requests are, so levels without a request at or below them are left out. A session
    without any request, which Helicone does not know, has all of its levels.

    Args:
        requests: The requests of the session.
        steps: What `steps_of` returned.
    """
    root = Folder(_LevelCounts)
    for path, kind, start, end, error, is_request, is_inner in steps:
        level = root.open(_segments(path)).content
        level.steps.append(kind)
        level.runs += not is_inner
        level.times.append((start, end))
        # A request that failed is counted with the requests.
        level.failed_runs += error is not None and not is_request
    for request in requests:
        level = root.open(_segments(request.path)).content
        level.requests += 1
        level.errors += request.error is not None
        level.times.append((request.start, request.end))
        level.busy.append((request.start, request.end))
        level.own_kinds[request.kind] += 1
        level.used.add(request)
    _add_up(root)
    for folder in root.walk(key=lambda folder: (folder.content.first, folder.segment)):
        level = folder.content
        is_shown = level.requests_below or not requests if folder.segments else level.requests
        if is_shown:
            yield _level_data(folder)


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _add_up(folder: Folder[_LevelCounts]) -> None:
    """Add to each level what the levels below it have. The root is shown beside its folders, so it keeps its own."""
    level = folder.content
    level.kinds = Counter(level.own_kinds)
    for below in folder.folders.values():
        _add_up(below)
        if folder.segments:
            level.kinds += below.content.kinds
            level.used.merge(below.content.used)
            level.requests_below += below.content.requests_below
            level.errors += below.content.errors
            level.busy += below.content.busy
            level.times += below.content.times
    level.requests_below += level.requests
    level.busy = _union(level.busy)
    level.times = [(min(s for s, _ in level.times), max(e for _, e in level.times))] if level.times else []


def _level_data(folder: Folder[_LevelCounts]) -> dict[str, Any]:
    level, path = folder.content, folder.path
    ((start, end),) = level.times
    return {
        "path": path,
        "segment": folder.segment,
        "depth": len(folder.segments),
        "parent": path.rpartition("/")[0] or None,
        "kind": level.kind,
        "kinds": dict(level.kinds.most_common()),
        "runs": level.runs,
        "requests": level.requests,
        "requests_below": level.requests_below,
        "errors": level.errors,
        "failed_runs": level.failed_runs,
        **level.used.data(),
        "first_ms": milliseconds(level.first),
        "start_ms": milliseconds(start),
        "end_ms": milliseconds(end),
        "duration_ms": milliseconds(end - start),
        "busy_ms": milliseconds(_length(level.busy)),
    }

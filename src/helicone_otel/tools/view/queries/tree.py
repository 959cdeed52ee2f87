"""The tree by path on the page of a session."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ....wire import CALL_KINDS
from ...folders import Folder
from ..database import milliseconds
from ..prices import dollars, is_unpriced

# The steps of a session. The last column tells whether the parent of a step is a step at the same path: a wrapper and
# the span that it wraps are one run.
_STEPS: Final = """
SELECT p.path, p.kind, p.start, p."end", p.error, p.request IS NOT NULL,
    EXISTS (SELECT 1 FROM spans s JOIN spans a ON a.trace = s.trace AND a.span = s.parent JOIN places o ON o.id = a.id
            WHERE s.id = p.id AND o.path = p.path AND o.kind NOT IN ('llm', 'embedding'))
FROM places p WHERE p.session = ? AND p.kind IS NOT NULL AND p.kind NOT IN ('llm', 'embedding') ORDER BY p.start
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


def steps_of(connection: sqlite3.Connection, session: int) -> list[sqlite3.Row]:
    """Return the steps of a session for `tree`.

    Args:
        connection: To the database.
        session: The number of the session in the database.
    """
    return connection.execute(_STEPS, (session,)).fetchall()


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
            yield _data(folder)


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


def _data(folder: Folder[_LevelCounts]) -> dict[str, Any]:
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

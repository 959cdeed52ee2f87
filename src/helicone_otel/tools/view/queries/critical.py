"""The critical path of a session: the requests that its duration depends on."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ....spans.kinds import CALL_KINDS
from .tree import StoredRequest

# Of the operations at one path that have started before a request, so many may be the one that made it.
_MAX_LOOKED_AT: Final = 8


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
    for request in sorted(requests, key=lambda one: one.start):
        if request.kind not in CALL_KINDS:
            makers[request.path].append(request)
    starts = {path: [one.start for one in of] for path, of in makers.items()}
    made: defaultdict[str | None, list[StoredRequest]] = defaultdict(list)
    for request in requests:
        maker: StoredRequest | None = None
        for path in _upwards(request.path):
            before = bisect_right(starts.get(path, ()), request.start)
            possible = makers.get(path, ())[max(0, before - _MAX_LOOKED_AT) : before]
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

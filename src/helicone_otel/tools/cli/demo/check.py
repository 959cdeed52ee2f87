"""Compares the sessions that the demo drew with what its servers saw, and both with what was expected. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypedDict, TypeVar

from .... import wire
from ...fakes.rows import Row
from ..tree import GatewayCall, SessionTree, Step

# By path: the kind of the step, its requests by kind, and the answers of the gateway in order.
Steps: TypeAlias = Mapping[str, Mapping[str, object]]

_Key = TypeVar("_Key", bound=Hashable)

_TURNED_AWAY: Final = 429
_SESSION_HEADERS: Final = (wire.SESSION_ID_HEADER, wire.SESSION_NAME_HEADER, wire.SESSION_PATH_HEADER)
# The path in the town that is requested once for each request of a step.
_TOWN_PATHS: Final = {
    "upsert": "/witness/upsert",
    "query_points": "/witness/query_points",
    "search_trains": "/departures",
}


@dataclass(frozen=True, slots=True)
class World:
    """What the servers around the agent saw.

    Attributes:
        rows: The rows of Helicone: of each request that reached the gateway, and of each that was logged.
        asked: The number of requests to the town, by path.
        leaked: The Helicone headers that arrived at the town, which is not a gateway.
        listed: The number of rows of each session, by id and name, in the answer of Helicone's read API.
    """

    rows: Sequence[Row]
    asked: Mapping[str, int]
    leaked: Iterable[str]
    listed: Mapping[tuple[str, str], int]

    def at(self, door: str) -> list[Row]:
        """Return the rows that came by one of Helicone's APIs: `gateway` or `log`."""
        return [row for row in self.rows if row.door == door]


class Expected(TypedDict):
    """A session of `expected.json`."""

    name: str
    steps: Steps


def disagreements(expected: Sequence[Expected], sessions: Sequence[SessionTree], world: World) -> list[str]:
    """Return a sentence for each thing that does not agree."""
    return [
        *_tree(expected, sessions),
        *_gateway(sessions, world.at("gateway")),
        *_log(sessions, world.at("log")),
        *_listed(sessions, world.listed),
        *(f"the row {row.id} was sent {row.sends} times" for row in world.rows if row.sends > 1),
        *_witnesses(sessions, world.asked),
        *_attributes(sessions),
        *(f"{name} left for a host that is not a gateway" for name in sorted(world.leaked)),
    ]


def steps_of(session: SessionTree) -> Steps:
    """Return a session in the form of the expected tree."""
    return {step.path: _step(step) for step in session.root.walk() if step.path != "/" or step.requests}


def _step(step: Step) -> Mapping[str, object]:
    facts: dict[str, object] = {"kind": step.kind}
    if step.requests:
        facts["requests"] = dict(Counter(request.kind for request in step.requests))
    if statuses := [request.call.status for request in step.requests if request.call is not None]:
        facts["gateway"] = statuses
    return facts


def _tree(expected: Sequence[Expected], sessions: Sequence[SessionTree]) -> Iterator[str]:
    if len(sessions) != len(expected):
        yield f"{len(expected)} sessions were expected, {len(sessions)} were drawn"
    for wanted, session in zip(expected, sessions, strict=False):
        if wanted["name"] != session.name:
            yield f"a session named {wanted['name']!r} was expected, one named {session.name!r} was drawn"
        steps, found = wanted["steps"], steps_of(session)
        for path in sorted({*steps, *found}):
            if steps.get(path) != found.get(path):
                yield f"{path}: expected {steps.get(path, 'nothing')}, drawn {found.get(path, 'nothing')}"


def _gateway(sessions: Sequence[SessionTree], rows: Sequence[Row]) -> Iterator[str]:
    """Check that the drawing has each request of the gateway, with its headers, and no other; and the rows' ids."""
    requests = [request for session in sessions for request in session.requests]
    seen: Counter[tuple[str, ...]] = Counter((str(row.status), *_place(row)) for row in rows)
    drawn: Counter[tuple[str, ...]] = Counter(
        (str(request.call.status), *_call_values(request.call)) for request in requests if request.call is not None
    )
    yield from _difference("gateway request", seen, drawn)
    by_id = {row.id: (row.status, *_place(row)) for row in rows}
    for request in requests:
        call = request.call
        # The span of a call has the id of its last row; the attempts before have no span that could have one.
        if call is not None and call.status != _TURNED_AWAY and by_id.get(request.row_id) != _row_values(call):
            yield f"{request.path}: the span has the id {request.row_id!r}, which is not that of its last row"
    answered = Counter(_kind(row) for row in rows)
    counted = Counter(request.kind for request in requests if request.call is not None)
    yield from _difference("request by the gateway's count", answered, counted)


def _log(sessions: Sequence[SessionTree], rows: Sequence[Row]) -> Iterator[str]:
    """Check that each request without a gateway call has one row in the log at the same path, and no other has."""
    requests = [(session, request) for session in sessions for request in session.requests if request.call is None]
    drawn: Counter[tuple[str, ...]] = Counter(
        (request.kind, session.id, session.name, request.path) for session, request in requests
    )
    seen: Counter[tuple[str, ...]] = Counter((_kind(row), *_place(row)) for row in rows)
    yield from _difference("row of the log", seen, drawn)
    yield from (f"the row of {row.model} at {row.session_path}: {flaw}" for row in rows for flaw in row.flaws)
    for row in rows:
        if row.badge == "Tool" and not (row.shown.details.get("input") and row.shown.result.get("message")):
            yield f"the row of {row.model} at {row.session_path} has no arguments or no result"


def _listed(sessions: Sequence[SessionTree], listed: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Check that Helicone's read API has each session, with the rows of the gateway and of the log."""
    rows = {
        (session.id, session.name): sum(
            1 if request.call is not None else len(request.rows) for request in session.requests
        )
        for session in sessions
    }
    yield from _difference("row of session", listed, rows)


def _witnesses(sessions: Sequence[SessionTree], asked: Mapping[str, int]) -> Iterator[str]:
    """Check that the vector store and the tool counted what was drawn."""
    steps = [step for session in sessions for step in session.root.walk()]
    drawn = Counter(step.segment for step in steps for _ in step.requests if step.segment in _TOWN_PATHS)
    seen = Counter({segment: asked.get(path, 0) for segment, path in _TOWN_PATHS.items()})
    yield from _difference("operation that the store or tool counted", seen, drawn)
    if not asked.get("/weather"):
        yield "the agent never called a host that is not a gateway, so nothing shows that such a host gets no headers"


def _attributes(sessions: Sequence[SessionTree]) -> Iterator[str]:
    """Check that the headers of a request agree with the attributes of its span."""
    for session in sessions:
        for request in session.requests:
            label = (session.id, session.name, request.path)
            headers = _call_values(request.call) if request.call is not None else label
            if headers != label:
                yield f"{request.path}: the span has {label}, the headers have {headers}"


def _call_values(call: GatewayCall) -> tuple[str, ...]:
    return _values({name.lower(): value for name, value in call.headers})


def _row_values(call: GatewayCall) -> tuple[int | str | None, ...]:
    return call.status, *_call_values(call)


def _values(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(headers.get(name.lower(), "") for name in _SESSION_HEADERS)


def _kind(row: Row) -> str:
    """Return the kind that the span of a row's request has."""
    if row.badge != "LLM" and row.door == "log":
        return row.model.partition(":")[0]
    return "embedding" if row.path.endswith("/embeddings") else "llm"


def _place(row: Row) -> tuple[str, ...]:
    return row.session_id or "", row.session_name, row.session_path


def _difference(what: str, seen: Mapping[_Key, int], drawn: Mapping[_Key, int]) -> Iterator[str]:
    for key in sorted({*seen, *drawn}, key=repr):
        if seen.get(key, 0) != drawn.get(key, 0):
            yield f"{what} {key}: seen {seen.get(key, 0)} times, drawn {drawn.get(key, 0)} times"

"""A session as a tree by path: the model that is drawn, and printed as data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from ... import wire
from ...destinations import Destination, Destinations
from ...sessions.model import path_segments
from ..fakes.rows import Row
from ..replay.spans import sent_headers
from .receiver import ReceivedSpan as Span

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | None"

_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """One HTTP request on which Helicone headers left for a gateway; a retry is another one.

    Attributes:
        host: `host:port` as far as the span tells; never the path or the query, which may hold keys.
        status: The status of the answer, `None` if the span does not tell.
        start: Nanoseconds since the epoch, as is `end`.
        headers: The Helicone headers, in the case in which Helicone documents them.
    """

    host: str
    status: int | None
    start: int
    end: int
    error: str | None
    headers: tuple[tuple[str, str], ...]

    @property
    def failed(self) -> bool:
        return self.error is not None or (self.status is not None and self.status >= HTTPStatus.BAD_REQUEST)


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """What the log API made of a request that no gateway saw.

    Attributes:
        badge: What Helicone shows it as.
        flaws: What it would draw otherwise than it was meant, as sentences.
    """

    badge: str
    model: str
    status: int
    flaws: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One real LLM call, embedding, vector operation, tool run, rerank or guardrail.

    Attributes:
        kind: As on the span; `http` for a call to a gateway that no LLM instrumentation covers.
        name: The model, if the span tells.
        calls: The HTTP requests that carried it to a gateway; none if it went elsewhere.
        rows: Its rows in Helicone's log; none if a gateway makes them.
    """

    kind: str
    name: str
    path: str
    start: int
    end: int
    error: str | None
    calls: tuple[GatewayCall, ...]
    rows: tuple[LoggedRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a path, with everything that stands at it.

    Attributes:
        segment: The last segment of `path`; empty for the session's root.
        kind: `None` for a level that no span of this run stands at.
        runs: How often it ran.
    """

    segment: str
    path: str
    kind: str | None
    runs: int
    start: int
    end: int
    error: str | None
    requests: tuple[Request, ...]
    steps: tuple[Step, ...]

    def walk(self) -> Iterator[Step]:
        """Yield this step and all below it, each before its children."""
        yield self
        for step in self.steps:
            yield from step.walk()


@dataclass(frozen=True, slots=True)
class Session:
    """All that Helicone would show under one id and name.

    Attributes:
        name: Empty if the session has none.
    """

    id: str
    name: str
    root: Step

    @property
    def requests(self) -> list[Request]:
        return [request for step in self.root.walk() for request in step.requests]


def as_data(sessions: Iterable[Session]) -> list[Json]:
    """Return sessions as plain data for JSON; times are milliseconds from the session's start."""
    return [_session_data(session) for session in sessions]


def _session_data(session: Session) -> Json:
    root = session.root
    return {
        "id": session.id,
        "name": session.name or None,
        "started_at": datetime.fromtimestamp(root.start / 1e9, UTC).isoformat(timespec="milliseconds"),
        "duration_ms": _milliseconds(root.end - root.start),
        "request_count": len(session.requests),
        "tree": _step_data(root, root.start),
    }


def _step_data(step: Step, zero: int) -> Json:
    return {
        "segment": step.segment,
        "path": step.path,
        "kind": step.kind,
        "runs": step.runs,
        **_times(step, zero),
        "requests": [_request_data(request, zero) for request in step.requests],
        "steps": [_step_data(child, zero) for child in step.steps],
    }


def _request_data(request: Request, zero: int) -> Json:
    return {
        "kind": request.kind,
        "name": request.name or None,
        "path": request.path,
        **_times(request, zero),
        "gateway_calls": [_call_data(call, zero) for call in request.calls],
        "rows": [_row_data(row) for row in request.rows],
    }


def _call_data(call: GatewayCall, zero: int) -> Json:
    return {"host": call.host, "status": call.status, **_times(call, zero), "headers": dict(call.headers)}


def _row_data(row: LoggedRow) -> Json:
    return {"badge": row.badge, "model": row.model, "status": row.status, "flaws": list(row.flaws)}


def _times(timed: Step | Request | GatewayCall, zero: int) -> dict[str, Json]:
    return {
        "start_ms": _milliseconds(timed.start - zero),
        "duration_ms": _milliseconds(timed.end - timed.start),
        "error": timed.error,
    }


def _milliseconds(nanoseconds: int) -> float:
    return round(nanoseconds / _MS, 3)


_URL_ATTRIBUTES: Final = ("url.full", "http.url")
_STATUS_ATTRIBUTES: Final = ("http.response.status_code", "http.status_code")


class Family:
    """Finds the ancestors of a span among those that arrived."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._by_id = {(span.trace_id, span.span_id): span for span in spans}

    def line(self, span: Span) -> Iterator[Span]:
        """Yield the span, its parent, and so on."""
        seen: set[str] = set()
        found: Span | None = span
        while found is not None and found.span_id not in seen:
            seen.add(found.span_id)
            yield found
            found = self._by_id.get((found.trace_id, found.parent_id))


def carriers(spans: Sequence[Span], family: Family, destinations: Destinations) -> list[Span]:
    """Return the spans that are one HTTP request with Helicone headers to a gateway each."""
    found = [span for span in spans if sent_headers(span.attributes) and _goes_to_gateway(span, destinations)]
    # The Anthropic SDK writes headers on its own span and the HTTP client below writes them again: one request.
    outer = {(above.trace_id, above.span_id) for span in found for above in list(family.line(span))[1:]}
    return [span for span in found if (span.trace_id, span.span_id) not in outer]


def gateway_call(span: Span) -> GatewayCall:
    """Return what a carrier tells of its request."""
    status = first(span.attributes, _STATUS_ATTRIBUTES)
    return GatewayCall(
        host=host_of(span.attributes),
        status=int(status) if status.isascii() and status.isdigit() else None,
        start=span.start,
        end=span.end,
        error=span.error,
        headers=tuple(sent_headers(span.attributes)),
    )


def first(attributes: Mapping[str, str], names: Iterable[str]) -> str:
    """Return the first of some attributes that is there, or an empty text."""
    return next((value for name in names if (value := attributes.get(name))), "")


def _goes_to_gateway(span: Span, destinations: Destinations) -> bool:
    url = first(span.attributes, _URL_ATTRIBUTES)
    return not url or destinations.of_url(url) is not Destination.SERVICE


def host_of(attributes: Mapping[str, str]) -> str:
    """Return `host:port` and nothing else of a URL: its path can hold a Helicone key, its query any other."""
    if url := first(attributes, _URL_ATTRIBUTES):
        try:
            return urlsplit(url).netloc.rpartition("@")[2]
        except ValueError:
            return ""
    address, port = attributes.get("server.address", ""), attributes.get("server.port", "")
    return f"{address}:{port}" if address and port else address


_Path: TypeAlias = tuple[str, ...]

_CALL_KINDS: Final = frozenset({"llm", "embedding"})
_MODEL_ATTRIBUTES: Final = ("gen_ai.request.model", "llm.model_name", "embedding.model_name")
_LABEL_OF_HEADER: Final = {
    wire.SESSION_ID_HEADER: wire.SESSION_ID,
    wire.SESSION_PATH_HEADER: wire.SESSION_PATH,
    wire.SESSION_NAME_HEADER: wire.SESSION_NAME,
}
_NO_ROWS: Final[Mapping[str, tuple[LoggedRow, ...]]] = {}


def grow(
    spans: Sequence[Span], destinations: Destinations, rows: Mapping[str, tuple[LoggedRow, ...]] = _NO_ROWS
) -> list[Session]:
    """Return the sessions that labelled spans make, oldest first.

    Args:
        spans: Everything that arrived, in any order.
        destinations: Tells gateways from services of the user's own, which get headers as well.
        rows: Those of Helicone's log, by their ids.
    """
    family = Family(spans)
    groups: defaultdict[tuple[str, str], _Group] = defaultdict(_Group)
    for span in spans:
        if wire.SESSION_ID in span.attributes:
            groups[_session_key(span.attributes)].add_span(span, family)
    for owner, calls in _requests(spans, family, destinations):
        label = owner.attributes if wire.SESSION_ID in owner.attributes else _label_of(calls)
        if wire.SESSION_ID in label:
            groups[_session_key(label)].add_request(_request(owner, label, calls, rows))
    sessions = [Session(id_, name, group.step(())) for (id_, name), group in groups.items()]
    return sorted(sessions, key=lambda session: session.root.start)


class _Group:
    """Collects what belongs to one session."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._spans: defaultdict[_Path, list[Span]] = defaultdict(list)
        self._runs: Counter[_Path] = Counter()
        self._requests: defaultdict[_Path, list[Request]] = defaultdict(list)
        self._children: defaultdict[_Path, set[_Path]] = defaultdict(set)

    def add_span(self, span: Span, family: Family) -> None:
        self._times += (span.start, span.end)
        if not _is_structural(span):
            return
        path = self._grown(_path_of(span.attributes))
        self._spans[path].append(span)
        # A wrapper and what it wraps share a path, as do both ends of an MCP call: that is one run.
        _, *ancestors = family.line(span)
        if not any(_is_structural(above) and _path_of(above.attributes) == path for above in ancestors):
            self._runs[path] += 1

    def add_request(self, request: Request) -> None:
        self._times += (request.start, request.end)
        self._requests[self._grown(path_segments(request.path))].append(request)

    def step(self, path: _Path) -> Step:
        """Return the step at a path, with all below it."""
        spans = sorted(self._spans[path], key=lambda span: span.start)
        requests = sorted(self._requests[path], key=lambda request: request.start)
        steps = sorted(
            (self.step(child) for child in self._children[path]), key=lambda step: (step.start, step.segment)
        )
        timed: Sequence[Span | Request | Step] = spans or [*requests, *steps]
        times = [time for part in timed for time in (part.start, part.end)] if path else self._times
        return Step(
            segment=path[-1] if path else "",
            path="/" + "/".join(path),
            kind=spans[0].attributes[wire.SPAN_KIND] if spans else None,
            runs=self._runs[path],
            start=min(times),
            end=max(times),
            error=next((span.error for span in spans if span.error is not None), None),
            requests=tuple(requests),
            steps=tuple(steps),
        )

    def _grown(self, path: _Path) -> _Path:
        for depth in range(len(path)):
            self._children[path[:depth]].add(path[: depth + 1])
        return path


def _requests(
    spans: Sequence[Span], family: Family, destinations: Destinations
) -> Iterator[tuple[Span, list[GatewayCall]]]:
    """Yield each span that stands for a request, with the calls that carried it to a gateway."""
    owners = {(span.trace_id, span.span_id): span for span in spans if wire.REQUEST_ID in span.attributes}
    calls: defaultdict[tuple[str, str], list[GatewayCall]] = defaultdict(list)
    for carrier in carriers(spans, family, destinations):
        line = family.line(carrier)
        owner = next((span for span in line if span.attributes.get(wire.SPAN_KIND) in _CALL_KINDS), carrier)
        key = (owner.trace_id, owner.span_id)
        owners[key] = owner
        calls[key].append(gateway_call(carrier))
    for key, owner in owners.items():
        yield owner, sorted(calls[key], key=lambda call: call.start)


def _request(
    owner: Span, label: Mapping[str, str], calls: Sequence[GatewayCall], rows: Mapping[str, tuple[LoggedRow, ...]]
) -> Request:
    return Request(
        kind=owner.attributes.get(wire.SPAN_KIND, "http"),
        name=first(owner.attributes, _MODEL_ATTRIBUTES),
        path="/" + "/".join(_path_of(label)),
        start=owner.start,
        end=owner.end,
        error=owner.error,
        calls=tuple(calls),
        rows=() if calls else rows.get(owner.attributes.get(wire.REQUEST_ID, ""), ()),
    )


def _session_key(label: Mapping[str, str]) -> tuple[str, str]:
    return label[wire.SESSION_ID], label.get(wire.SESSION_NAME, "")


def _label_of(calls: Sequence[GatewayCall]) -> dict[str, str]:
    headers = calls[0].headers if calls else ()
    return {_LABEL_OF_HEADER[name]: value for name, value in headers if name in _LABEL_OF_HEADER}


def _path_of(label: Mapping[str, str]) -> _Path:
    return path_segments(label.get(wire.SESSION_PATH, "/"))


def _is_structural(span: Span) -> bool:
    kind = span.attributes.get(wire.SPAN_KIND, "")
    return wire.SESSION_ID in span.attributes and kind != "" and kind not in _CALL_KINDS


def logged(rows: Iterable[Row]) -> Mapping[str, tuple[LoggedRow, ...]]:
    """Return the rows that were logged by their ids; those that a gateway made stand with its calls."""
    found: defaultdict[str, tuple[LoggedRow, ...]] = defaultdict(tuple)
    for row in rows:
        if row.door == "log":
            found[row.id] += (LoggedRow(row.badge, row.model, row.status, tuple(row.flaws)),)
    return found

"""Sessions as trees by path: built from spans with the gateway calls that they recorded, and from logged rows.

They are drawn, or printed as data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from ... import wire
from ...destinations import Destination, Destinations
from ...sessions.model import path_segments
from ...wire import CALL_KINDS
from ..fakes.rows import Row
from ..folders import Folder
from ..replay.calls import failed_status, model_of, status_of
from ..replay.spans import SpanParents, sent_headers, url_of
from .receiver import ReceivedSpan

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | None"

_LABEL_OF_HEADER: Final = {
    wire.SESSION_ID_HEADER: wire.SESSION_ID,
    wire.SESSION_PATH_HEADER: wire.SESSION_PATH,
    wire.SESSION_NAME_HEADER: wire.SESSION_NAME,
}
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class GatewayCall:
    """One HTTP request with Helicone headers to a gateway. Each attempt of an SDK is one.

    Attributes:
        host: `host:port`, or empty if the span does not record it. Never the path or the query, which may hold keys.
        status: The status of the answer, `None` if the span does not record it.
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
    def failure(self) -> str | None:
        """How it failed: the status from 400 on, or else the error of its span."""
        return failed_status(self.status) or self.error


@dataclass(frozen=True, slots=True)
class LoggedRow:
    """The row in Helicone's log of a request that did not pass a gateway.

    Attributes:
        badge: The badge with which Helicone shows it.
        flaws: What Helicone would show otherwise than the sender meant, as sentences.
        logged: Whether the application logs it to the Helicone of its settings; else only the run has seen it.
    """

    badge: str
    model: str
    status: int
    flaws: tuple[str, ...]
    logged: bool = True


@dataclass(frozen=True, slots=True)
class RequestNode:
    """One real LLM call, embedding, vector operation, tool run, rerank or guardrail: one row in Helicone.

    An LLM call that was sent to a gateway more than once is a request for each attempt.

    Attributes:
        kind: The kind of its span; `http` for a call to a gateway without a span of an LLM call.
        name: The model; empty if the span does not record it.
        start: Nanoseconds since the epoch, as is `end`.
        error: Why it failed; `None` if it did not.
        call: The HTTP request that carried it to a gateway; `None` if it went elsewhere.
        rows: Its rows in Helicone's log; none if a gateway makes them.
        row_id: The id of its row in Helicone, as its span has it; empty if no answer of a gateway named one.
    """

    kind: str
    name: str
    path: str
    start: int
    end: int
    error: str | None
    call: GatewayCall | None
    rows: tuple[LoggedRow, ...] = ()
    row_id: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a path, with its requests and the levels below that have requests.

    Attributes:
        segment: The last segment of `path`; empty for the session's root.
        kind: `None` for a level without a span.
        runs: How many times it ran.
        start: Nanoseconds since the epoch, as is `end`.
        error: The first error of its spans.
    """

    segment: str
    path: str
    kind: str | None
    runs: int
    start: int
    end: int
    error: str | None
    requests: tuple[RequestNode, ...]
    steps: tuple[Step, ...]

    def walk(self) -> Iterator[Step]:
        """Yield this step and all steps below it, parents first."""
        yield self
        for step in self.steps:
            yield from step.walk()

    @property
    def first(self) -> int:
        """When its first request started, which is what Helicone orders folders by; without requests, its own start."""
        return min((request.start for step in self.walk() for request in step.requests), default=self.start)


@dataclass(frozen=True, slots=True)
class SessionTree:
    """One session, as Helicone would show it.

    Attributes:
        name: Empty if the session has none.
    """

    id: str
    name: str
    root: Step

    @property
    def requests(self) -> list[RequestNode]:
        """All requests of the session, step by step."""
        return [request for step in self.root.walk() for request in step.requests]


_RowsById: TypeAlias = Mapping[str, tuple[LoggedRow, ...]]
_NO_ROWS: Final[_RowsById] = {}


def build_sessions(
    spans: Sequence[ReceivedSpan], destinations: Destinations, rows: _RowsById = _NO_ROWS
) -> list[SessionTree]:
    """Return the sessions that labelled spans make, the oldest first.

    Args:
        spans: All spans that arrived, in any order.
        destinations: Tells gateways from own services, which get headers as well.
        rows: The rows of Helicone's log by their ids.
    """
    # An exporter that tries again may send a span twice.
    spans = list({(span.trace_id, span.span_id): span for span in spans}.values())
    parents = SpanParents(spans)
    builders: defaultdict[tuple[str, str], _SessionBuilder] = defaultdict(_SessionBuilder)
    for span in spans:
        if wire.SESSION_ID in span.attributes:
            builders[_session_key(span.attributes)].add_span(span, parents)
    for owner, calls in _request_spans(spans, parents, destinations):
        label = owner.attributes if wire.SESSION_ID in owner.attributes else _label_in_headers(calls)
        if wire.SESSION_ID in label:
            for request in _requests(owner, label, calls, rows):
                builders[_session_key(label)].add_request(request)
    sessions = [SessionTree(id_, name, builder.root_step()) for (id_, name), builder in builders.items()]
    return sorted(sessions, key=lambda session: session.root.start)


def logged_rows_by_id(rows: Iterable[Row], *, logged: bool = True) -> _RowsById:
    """Return the rows that were logged by their ids. Rows that a gateway made are drawn as its calls instead.

    Args:
        rows: The rows of a fake Helicone.
        logged: Whether the application also logs them to the Helicone of its settings.
    """
    by_id: defaultdict[str, tuple[LoggedRow, ...]] = defaultdict(tuple)
    for row in rows:
        if row.door == "log":
            by_id[row.id] += (LoggedRow(row.badge, row.model, row.status, tuple(row.flaws), logged),)
    return by_id


class _StepParts:
    """The structural spans and the requests at one path."""

    def __init__(self) -> None:
        self.spans: list[ReceivedSpan] = []
        self.runs = 0
        self.requests: list[RequestNode] = []


class _SessionBuilder:
    """Collects the spans and requests of one session."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._root = Folder(_StepParts)

    def add_span(self, span: ReceivedSpan, parents: SpanParents[ReceivedSpan]) -> None:
        self._times += (span.start, span.end)
        if not _is_structural(span):
            return
        path = _path_of(span.attributes)
        level = self._root.open(path).content
        level.spans.append(span)
        # A wrapper and what it wraps share a path, as do both ends of an MCP call: that is one run.
        _, *ancestors = parents.line(span)
        if not any(_is_structural(above) and _path_of(above.attributes) == path for above in ancestors):
            level.runs += 1

    def add_request(self, request: RequestNode) -> None:
        self._times += (request.start, request.end)
        self._root.open(path_segments(request.path)).content.requests.append(request)

    def root_step(self) -> Step:
        """Return the tree. Helicone makes folders only where requests are, so other levels are left out.

        A session without any request, which Helicone does not know, has all of its levels.
        """
        root = self._step(self._root)
        return _without_empty_levels(root) if any(step.requests for step in root.walk()) else root

    def _step(self, folder: Folder[_StepParts]) -> Step:
        spans = sorted(folder.content.spans, key=lambda span: span.start)
        requests = sorted(folder.content.requests, key=lambda request: request.start)
        steps = sorted(map(self._step, folder.folders.values()), key=lambda step: (step.first, step.segment))
        timed: Sequence[ReceivedSpan | RequestNode | Step] = spans or [*requests, *steps]
        times = [time for part in timed for time in (part.start, part.end)] if folder.segments else self._times
        return Step(
            segment=folder.segment,
            path=folder.path,
            kind=spans[0].attributes[wire.SPAN_KIND] if spans else None,
            runs=folder.content.runs,
            start=min(times),
            end=max(times),
            error=next((span.error for span in spans if span.error is not None), None),
            requests=tuple(requests),
            steps=tuple(steps),
        )


def _without_empty_levels(step: Step) -> Step:
    levels = tuple(level for level in map(_without_empty_levels, step.steps) if level.requests or level.steps)
    return replace(step, steps=levels)


def _request_spans(
    spans: Sequence[ReceivedSpan], parents: SpanParents[ReceivedSpan], destinations: Destinations
) -> Iterator[tuple[ReceivedSpan, list[GatewayCall]]]:
    """Yield the span of each call, with the requests that carried it to a gateway, in the order of their starts."""
    owners = {(span.trace_id, span.span_id): span for span in spans if wire.REQUEST_ID in span.attributes}
    calls: defaultdict[tuple[str, str], list[GatewayCall]] = defaultdict(list)
    for http_span in _spans_with_headers(spans, parents, destinations):
        line = parents.line(http_span)
        owner = next((span for span in line if span.attributes.get(wire.SPAN_KIND) in CALL_KINDS), http_span)
        key = (owner.trace_id, owner.span_id)
        owners[key] = owner
        calls[key].append(_gateway_call_of(http_span))
    for key, owner in owners.items():
        yield owner, sorted(calls[key], key=lambda call: call.start)


def _spans_with_headers(
    spans: Sequence[ReceivedSpan], parents: SpanParents[ReceivedSpan], destinations: Destinations
) -> list[ReceivedSpan]:
    """Return one span for each HTTP request with Helicone headers to a gateway."""
    with_headers = [span for span in spans if sent_headers(span.attributes) and _goes_to_gateway(span, destinations)]
    # The Anthropic SDK writes headers on its own span and the HTTP client below writes them again: one request.
    return parents.innermost(with_headers)


def _goes_to_gateway(span: ReceivedSpan, destinations: Destinations) -> bool:
    url = url_of(span.attributes)
    return not url or destinations.of_url(url) is not Destination.SERVICE


def _gateway_call_of(span: ReceivedSpan) -> GatewayCall:
    """Return the gateway call that a span with headers recorded."""
    return GatewayCall(
        host=host_of(span.attributes),
        status=status_of(span.attributes),
        start=span.start,
        end=span.end,
        error=span.error,
        headers=tuple(sent_headers(span.attributes)),
    )


def host_of(attributes: Mapping[str, str]) -> str:
    """Return `host:port` and no more of a span's URL: its path can hold a Helicone key, its query any other."""
    if isinstance(url := url_of(attributes), str) and url:
        try:
            return urlsplit(url).netloc.rpartition("@")[2]
        except ValueError:
            return ""
    address, port = attributes.get("server.address", ""), attributes.get("server.port", "")
    return f"{address}:{port}" if address and port else address


def _requests(
    owner: ReceivedSpan, label: Mapping[str, str], calls: Sequence[GatewayCall], rows: _RowsById
) -> Iterator[RequestNode]:
    """Yield the request of a span; if it was sent to a gateway more than once, one for each attempt."""
    row_id = owner.attributes.get(wire.REQUEST_ID, "")
    logged = () if calls else rows.get(row_id, ())
    last = RequestNode(
        kind=owner.attributes.get(wire.SPAN_KIND, "http"),
        name=model_of(owner.attributes),
        path="/" + "/".join(_path_of(label)),
        start=owner.start,
        end=owner.end,
        error=owner.error or next(filter(None, (failed_status(row.status) for row in logged)), None),
        call=None,
        rows=logged,
        row_id=row_id,
    )
    for call in calls[:-1]:
        yield replace(last, start=call.start, end=call.end, error=call.failure, call=call, row_id="")
    if calls:
        start = calls[-1].start if calls[1:] else owner.start
        last = replace(last, start=start, error=owner.error or calls[-1].failure, call=calls[-1])
    yield last


def _session_key(label: Mapping[str, str]) -> tuple[str, str]:
    return label[wire.SESSION_ID], label.get(wire.SESSION_NAME, "")


def _label_in_headers(calls: Sequence[GatewayCall]) -> dict[str, str]:
    headers = calls[0].headers if calls else ()
    return {_LABEL_OF_HEADER[name]: value for name, value in headers if name in _LABEL_OF_HEADER}


def _path_of(label: Mapping[str, str]) -> tuple[str, ...]:
    return path_segments(label.get(wire.SESSION_PATH, "/"))


def _is_structural(span: ReceivedSpan) -> bool:
    kind = span.attributes.get(wire.SPAN_KIND, "")
    return wire.SESSION_ID in span.attributes and kind != "" and kind not in CALL_KINDS


def as_data(sessions: Iterable[SessionTree]) -> list[Json]:
    """Return sessions as plain data for JSON. Times are in milliseconds from the start of the session."""
    return [_session_data(session) for session in sessions]


def _session_data(session: SessionTree) -> Json:
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


def _request_data(request: RequestNode, zero: int) -> Json:
    return {
        "kind": request.kind,
        "name": request.name or None,
        "path": request.path,
        "row_id": request.row_id or None,
        **_times(request, zero),
        "gateway_call": _call_data(request.call, zero) if request.call is not None else None,
        "rows": [_row_data(row) for row in request.rows],
    }


def _call_data(call: GatewayCall, zero: int) -> Json:
    return {"host": call.host, "status": call.status, **_times(call, zero), "headers": dict(call.headers)}


def _row_data(row: LoggedRow) -> Json:
    return {
        "badge": row.badge,
        "model": row.model,
        "status": row.status,
        "flaws": list(row.flaws),
        "logged": row.logged,
    }


def _times(timed: Step | RequestNode | GatewayCall, zero: int) -> dict[str, Json]:
    return {
        "start_ms": _milliseconds(timed.start - zero),
        "duration_ms": _milliseconds(timed.end - timed.start),
        "error": timed.error,
    }


def _milliseconds(nanoseconds: int) -> float:
    return round(nanoseconds / _MS, 3)

"""Finds session, path, kind and request of the spans that arrive.

The spans of a trace are replayed through the library (`tools/replay`), whatever language they come from. If the
library ran in the application already, its label on a span is kept, and it applies to the spans below as well.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan

from ... import wire
from ...destinations import Destination, Destinations
from ...log.grouping import is_same_step
from ...log.rows.types import FinishedSpan
from ...sessions.model import path_segments
from ...settings import Settings
from ...tracking.records import SpanRecord
from ...tracking.registry import Registry
from ...tracking.requests import request_id
from ...wire import CALL_KINDS
from ..replay.calls import CallSummary, failed_status, finished_span, status_of, summary_of
from ..replay.otlp import EncodedSpan, attributes_of, recorded_span
from ..replay.player import Replay, Replayed
from ..replay.spans import NotReadable, RecordedSpan, Recording, SpanParents, in_order, sent_headers, url_of
from .content import said_on
from .prices import Tokens, cost_of

_MAX_NAME: Final = 256
_MAX_FACT: Final = 256
# If so many calls of a session have no content, nothing is known of what the user said.
_MAX_SILENT: Final = 8
_MAX_RESOURCES: Final = 1024
# Of a trace whose spans have more attributes, the spans after these belong to no session.
MAX_ATTRIBUTES = 300_000
_MAX_TEXT: Final = 8192
_SERVICE: Final = "service.name"
# Only these attributes of a resource can name a session.
_NAMING: Final = frozenset({_SERVICE, "service.namespace"})
_BADGES: Final = {"llm": "LLM", "embedding": "LLM", "tool": "Tool", "vector_db": "VectorDB"}
# The SDK's name for a service that nobody named begins like this.
_UNNAMED: Final = "unknown_service"


class StoredSpan(NamedTuple):
    """A span in the database, with its number there."""

    number: int
    span: EncodedSpan


class SessionSpan(NamedTuple):
    """A span that belongs to a session.

    Attributes:
        stored: The span.
        session: The session's id and name.
        path: The path of the span.
        kind: The kind of the span; `None` if it has none.
        request: The id of the span's row in Helicone; `None` if the span is not a request.
        name: What a request is called on the pages: its model, tool or operation.
        call: Model, provider, tokens and first token of a request; `None` if the span is not a request.
        start: When the request started, in nanoseconds since the epoch.
        error: Why the request failed; `None` if it did not.
        badge: The badge that Helicone's row of a request has.
        tells_of: The id of the request whose call this span wraps, and whose row it completes; `None` if it is none.
        cost: What a request cost, in US dollars; `None` if that is unknown.
        said: What the user said in the first call of its session within the trace; `None` for other requests.
        told_trace: The trace of that request, if it is another one than the span's.
        facts: What its session can be found by: (what, name, value), where `what` is "user", "property" or "service".
        may_wrap_other_trace: The span is a root and its dialect says that it is not current while its call runs. A span
            of the same call can then be in a trace of its own.
    """

    stored: StoredSpan
    session: tuple[str, str]
    path: str
    kind: str | None
    request: str | None
    name: str
    call: CallSummary | None
    facts: tuple[tuple[str, str, str], ...]
    start: int
    error: str | None
    badge: str
    tells_of: str | None = None
    told_trace: str | None = None
    cost: float | None = None
    said: str | None = None
    may_wrap_other_trace: bool = False


class TraceLabeller:
    """Labels the spans of one trace at a time.

    Each trace is labelled by itself, except for the neighbours that the caller names. The database holds spans of many
    processes, and the label of a span must not depend on what arrived at the same time.

    Args:
        settings: The user's settings for gateways, session attributes and custom dialects.
    """

    def __init__(self, settings: Settings) -> None:
        # A fixed id, name or path applies to one process, and these spans come from others.
        self._settings = replace(settings, session_id=None, session_name=None, session_path="/")
        self._destinations = Destinations(settings.gateway_hosts, settings.propagate_hosts)
        self._resources: dict[bytes, dict[str, Any]] = {}

    def label(self, spans: Sequence[StoredSpan], neighbours: Sequence[StoredSpan] = ()) -> list[SessionSpan]:
        """Return the spans of a trace that belong to a session.

        An LLM call that was sent to a gateway more than once is a request for each attempt, as it is in Helicone: the
        HTTP spans of the earlier attempts stand for these, and the call's own span for the last one.

        Args:
            spans: All spans of the trace.
            neighbours: Spans of other traces that the same process made at the same time.
        """
        by_id = {one.span.span_id: one for one in spans}
        others = [one for one in neighbours if one.span.span_id not in by_id]
        recording = Recording(_parents_first(list(self._recorded_within_limit([*others, *spans]))))
        replays = list(Replay(recording, Registry(self._settings)).run())
        calls = _Calls(replays, [one.span for one in (*others, *spans)])
        labelled: dict[str, SessionSpan] = {}
        finals: dict[str, ReadableSpan] = {}
        for replayed in replays:
            span_id = replayed.recorded.span_id
            stored = by_id.get(span_id)
            session_span = _session_span(stored, replayed, calls) if stored is not None else None
            if session_span is not None:
                labelled[span_id] = session_span
                finals[span_id] = replayed.final
        for owner, attempts in self._attempts(recording.spans, labelled).items():
            for attempt in attempts[:-1]:
                labelled[attempt.span_id] = _earlier_attempt(
                    labelled[attempt.span_id], attempt, labelled[owner], request_id(finals[attempt.span_id])
                )
            labelled[owner] = _last_attempt(labelled[owner], attempts)
        return list(_with_what_was_said(labelled.values(), calls))

    def _attempts(
        self, spans: Sequence[RecordedSpan], labelled: Mapping[str, SessionSpan]
    ) -> Mapping[str, Sequence[RecordedSpan]]:
        """Return by the id of a call's span the HTTP spans that carried it to a gateway, the earliest first."""
        http_spans = [span for span in spans if span.span_id in labelled and self._goes_to_gateway(span)]
        if not http_spans:
            return {}
        parents = SpanParents(spans)
        found: defaultdict[str, list[RecordedSpan]] = defaultdict(list)
        for span in sorted(parents.innermost(http_spans), key=lambda span: span.start_time):
            line = (labelled[above.span_id] for above in parents.line(span) if above.span_id in labelled)
            owner = next((one for one in line if one.kind in CALL_KINDS), None)
            if owner is not None and owner.request is not None:
                found[owner.stored.span.span_id].append(span)
        return found

    def _goes_to_gateway(self, span: RecordedSpan) -> bool:
        url = url_of(span.attributes)
        destination = self._destinations.of_url(url) if isinstance(url, str) else Destination.UNKNOWN
        if destination is Destination.UNKNOWN:
            return bool(sent_headers(span.attributes))
        return destination is Destination.GATEWAY

    def _recorded_within_limit(self, spans: Sequence[StoredSpan]) -> Iterator[RecordedSpan]:
        attributes = 0
        for one in spans:
            recorded = self._recorded(one.span)
            attributes += len(recorded.attributes)
            if attributes > MAX_ATTRIBUTES:
                return
            yield recorded

    def _recorded(self, encoded: EncodedSpan) -> RecordedSpan:
        # The session's id, name and path stay on the span, so that they apply to the spans below. The kind is read
        # again: a kind that was set by hand does not tell which span wraps which.
        span, resource = Span.FromString(encoded.data), self._resource(encoded.resource)
        return recorded_span(encoded, span, resource, left_out=(wire.SPAN_KIND, wire.REQUEST_ID))

    def _resource(self, data: bytes) -> dict[str, Any]:
        # Equal resources must be the same object: the replay makes one tracer provider for each object.
        resource = self._resources.get(data)
        if resource is None:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            attributes = attributes_of(Resource.FromString(data).attributes)
            resource = {key: str(value)[:_MAX_TEXT] for key, value in attributes.items() if key in _NAMING}
            self._resources[data] = resource
        return resource


class _Calls:
    """The calls among some spans, each with its wrappers: the library's own decision of what a row is made from.

    Args:
        replays: The spans after the replay.
        encoded: The same spans as they arrived.
    """

    def __init__(self, replays: Sequence[Replayed], encoded: Sequence[EncodedSpan]) -> None:
        self._encoded = {span.span_id: span for span in encoded}
        self._by_id = {replayed.recorded.span_id: replayed for replayed in replays}
        self._wrappers: defaultdict[str, list[str]] = defaultdict(list)
        self._told: dict[str, tuple[str, str | None]] = {}
        for span_id, replayed in self._by_id.items():
            call = self._call_of(replayed)
            request = _request_of(call) if call is not None else None
            if call is not None and request is not None:
                trace = call.recorded.trace_id
                self._told[span_id] = request, (trace if trace != replayed.recorded.trace_id else None)
                self._wrappers[call.recorded.span_id].append(span_id)

    def _call_of(self, wrapper: Replayed) -> Replayed | None:
        """Return the call that a span wraps and tells of; `None` if there is none."""
        record = wrapper.record
        if record is None or not record.wraps or not record.tells_of:
            return None
        call = self._by_id.get(f"{record.tells_of:016x}")
        return call if call is not None and call.record is not None and is_same_step(record, call.record) else None

    def told_by(self, span_id: str) -> tuple[str | None, str | None]:
        """Return the id of the request that a wrapper tells of, and its trace if it is another one."""
        return self._told.get(span_id, (None, None))

    def finished(self, span_id: str) -> FinishedSpan:
        """Return the span of a call with its wrappers, as a row is made from it."""
        inner, *wrappers = map(self._finished, (span_id, *self._innermost_first(span_id)))
        return inner._replace(wrappers=wrappers)

    def _innermost_first(self, span_id: str) -> list[str]:
        return sorted(self._wrappers.get(span_id, ()), key=lambda one: self._encoded[one].end)

    def _finished(self, span_id: str) -> FinishedSpan:
        encoded = self._encoded[span_id]
        span = Span.FromString(encoded.data)
        return finished_span(encoded.scope, span, attributes_of(span.attributes))


def _label_of(replayed: Replayed) -> Mapping[str, Any]:
    return replayed.recorded.label or replayed.final.attributes or {}


def _request_of(replayed: Replayed) -> str | None:
    """Return the id of a span's row in Helicone; `None` if the span is no request."""
    record, request = replayed.record, _label_of(replayed).get(wire.REQUEST_ID)
    # If a gateway makes the row, the library writes no id on the span.
    if request is None and record is not None and record.request and not record.wraps:
        request = request_id(replayed.final)
    return str(request) if request else None


def _session_span(stored: StoredSpan, replayed: Replayed, calls: _Calls) -> SessionSpan | None:
    """Return a span with its label; `None` if it belongs to no session."""
    recorded, record = replayed.recorded, replayed.record
    label = _label_of(replayed)
    session_id, path = label.get(wire.SESSION_ID), label.get(wire.SESSION_PATH)
    if not session_id or not path:
        return None
    # A session that was set by hand comes without a kind.
    kind = label.get(wire.SPAN_KIND) or (replayed.final.attributes or {}).get(wire.SPAN_KIND)
    request = _request_of(replayed)
    segment = record.classification.segment if record is not None else None
    call = summary_of(calls.finished(recorded.span_id), str(kind)) if request else None
    tells_of, told_trace = calls.told_by(recorded.span_id)
    return SessionSpan(
        stored,
        (str(session_id), str(label.get(wire.SESSION_NAME) or "")),
        # A path that was set by hand can have any form and length.
        "/" + "/".join(path_segments(str(path))),
        str(kind) if kind else None,
        request,
        _request_name(str(kind), segment or recorded.name, call) if call else recorded.name,
        call,
        tuple(_facts(replayed.final.attributes or {}, recorded, label)),
        start=stored.span.start,
        error=stored.span.error or (call.error if call is not None else None),
        badge=badge_of(str(kind), calls_tools=call is not None and call.calls_tools),
        tells_of=tells_of,
        told_trace=told_trace,
        cost=_cost(call, str(kind), stored.span.start) if call is not None else None,
        may_wrap_other_trace=request is not None and record is not None and _may_wrap_other_trace(record),
    )


def _earlier_attempt(http: SessionSpan, attempt: RecordedSpan, owner: SessionSpan, row_id: str) -> SessionSpan:
    """Return the HTTP span of an attempt that was followed by another, as a request of the same call."""
    model, provider = owner.call[:2] if owner.call is not None else (None, None)
    return http._replace(
        path=owner.path,
        kind=owner.kind,
        request=row_id,
        name=owner.name,
        call=CallSummary(model, provider, None, None, None),
        error=_failure_of(attempt) or http.stored.span.error,
        badge=badge_of(str(owner.kind), calls_tools=False),
        cost=None,
    )


def _last_attempt(owner: SessionSpan, attempts: Sequence[RecordedSpan]) -> SessionSpan:
    """Return the span of a call as the request of its last attempt."""
    call, last = owner.call, attempts[-1]
    start = last.start_time if attempts[1:] else owner.start
    if call is not None and call.first_token is not None:
        since = owner.start + call.first_token - start
        call = call._replace(first_token=since if since >= 0 else None)
    # The gateway saw the whole answer, also where the span lacks it.
    calls_tools = call is not None and (call.calls_tools or call.ends_for_tools)
    return owner._replace(
        call=call,
        start=start,
        error=owner.error or _failure_of(last),
        badge=badge_of(str(owner.kind), calls_tools=calls_tools),
    )


def _failure_of(http: RecordedSpan) -> str | None:
    return failed_status(status_of(http.attributes))


def badge_of(kind: str, *, calls_tools: bool) -> str:
    """Return the badge that Helicone gives the row of a request.

    Args:
        kind: The kind of the request.
        calls_tools: The answer of a model calls tools.
    """
    return "Tool" if calls_tools else _BADGES.get(kind, "Data")


def _cost(call: CallSummary, kind: str, start: int) -> float | None:
    cache = call.cached_tokens, call.written_tokens, call.written_tokens_1h
    tokens = Tokens(call.input_tokens, call.output_tokens, *cache)
    return cost_of(kind, (call.answered_by, call.model), call.provider, tokens, start)


def _with_what_was_said(labelled: Iterable[SessionSpan], calls: _Calls) -> Iterator[SessionSpan]:
    """Yield the spans, the first call of each session with what the user said."""
    found: Counter[tuple[str, str]] = Counter()
    for one in sorted(labelled, key=lambda one: one.start):
        is_call = one.request is not None and one.kind in CALL_KINDS
        if not is_call or found[one.session] >= _MAX_SILENT:
            yield one
            continue
        said = said_on(calls.finished(one.stored.span.span_id), str(one.kind))
        found[one.session] += _MAX_SILENT if said else 1
        yield one._replace(said=said)


def _request_name(kind: str, segment: str, call: CallSummary) -> str:
    return ((call.model if kind in CALL_KINDS else segment) or segment or kind)[:_MAX_NAME]


def _may_wrap_other_trace(record: SpanRecord) -> bool:
    return record.parent is None and record.classification.row is not None and record.classification.row.not_current


def _parents_first(spans: Sequence[RecordedSpan]) -> list[RecordedSpan]:
    try:
        return in_order(spans)
    except NotReadable:  # spans name each other as parents: treat them as roots
        return in_order(replace(span, parent_id="") for span in spans)


def _facts(
    final: Mapping[str, Any], recorded: RecordedSpan, label: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Yield service, user and properties of a span, as `SessionSpan.facts`."""
    service = recorded.resource.get(_SERVICE)
    if service and not service.startswith(_UNNAMED):
        yield "service", "", str(service)[:_MAX_FACT]
    for source in (final, recorded.attributes) if label is recorded.label else (final,):
        if user := source.get(wire.OTEL_USER_ID):
            yield "user", "", str(user)[:_MAX_FACT]
        for key in source:
            if key.startswith(wire.PROPERTY_PREFIX):
                yield "property", key.removeprefix(wire.PROPERTY_PREFIX)[:_MAX_FACT], str(source[key])[:_MAX_FACT]

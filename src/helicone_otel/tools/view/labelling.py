"""Whose session, which path, what kind, a request or not: the library's own answers for spans that have arrived.

The spans of a trace are played again through the library (`tools/replay`), whatever made them. Where
the library was at work in the app, its label stands on the span and holds, also for what is below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ... import wire
from ...sessions.model import path_segments
from ...settings import Settings
from ...tracking.records import SpanRecord
from ...tracking.registry import Registry
from ...tracking.requests import request_id
from ..replay.otlp import EncodedSpan, attributes_of, recorded_span
from ..replay.player import Replay, Replayed
from ..replay.spans import NotReadable, RecordedSpan, Recording, in_order

# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/, what came before, OpenInference's, Langfuse's.
_MODELS: Final = (
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "llm.request.model_name",
    "llm.response.model_name",
    "embedding.model_name",
    "reranker.model_name",
    "langfuse.observation.model.name",
)
_PROVIDERS: Final = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "db.system.name",
    "db.system",
)
_INPUT_TOKENS: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT_TOKENS: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
# In seconds.
_FIRST_TOKEN: Final = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
    "gen_ai.client.operation.time_to_first_chunk",
)
# Events at the first piece of a streamed answer: OpenLLMetry's and OpenInference's.
_FIRST_TOKEN_EVENTS: Final = frozenset(
    {"gen_ai.content.completion.chunk", "llm.content.completion.chunk", "First Token Stream Event"}
)
_CALLS: Final = frozenset({"llm", "embedding"})
_MAX_NAME: Final = 256
# More tokens than any model takes: what says so is mistaken.
_MAX_TOKENS: Final = 10**12
_MAX_SECONDS: Final = 10**6


class Call(NamedTuple):
    """What is known of a call; `ttft` is in nanoseconds."""

    name: str
    model: str | None
    provider: str | None
    ttft: int | None
    input_tokens: int | None
    output_tokens: int | None


def call_of(data: bytes, kind: str, segment: str, attributes: Mapping[str, Any]) -> Call:
    """Return what a span tells of its call.

    Args:
        data: OTLP's Span, encoded.
        kind: What it is.
        segment: What it is called where it is no call of a model.
        attributes: Its attributes, as plain values.
    """
    model = _text(attributes, _MODELS)
    return Call(
        name=((model if kind in _CALLS else segment) or segment or kind)[:_MAX_NAME],
        model=model,
        provider=_text(attributes, _PROVIDERS),
        ttft=_first_token(data, attributes),
        input_tokens=_count(attributes, _INPUT_TOKENS),
        output_tokens=_count(attributes, _OUTPUT_TOKENS),
    )


def _text(attributes: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    values = (attributes.get(key) for key in keys)
    return next((value[:_MAX_NAME] for value in values if isinstance(value, str) and value.strip()), None)


def _count(attributes: Mapping[str, Any], keys: Iterable[str]) -> int | None:
    for key in keys:
        try:
            value = int(attributes[key])
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if 0 <= value <= _MAX_TOKENS:
            return value
    return None


def _first_token(data: bytes, attributes: Mapping[str, Any]) -> int | None:
    for key in _FIRST_TOKEN:
        value = attributes.get(key)
        if isinstance(value, int | float) and 0 < value < _MAX_SECONDS:
            return round(value * 1e9)
    if any(name.encode() in data for name in _FIRST_TOKEN_EVENTS):
        span = Span.FromString(data)
        times = [event.time_unix_nano for event in span.events if event.name in _FIRST_TOKEN_EVENTS]
        if times and min(times) >= span.start_time_unix_nano:
            return int(min(times) - span.start_time_unix_nano)
    return None


_MAX_TEXT: Final = 8192
_SERVICE: Final = "service.name"
# What the SDK calls a service that nobody named.
_UNNAMED: Final = "unknown_service"


class StoredSpan(NamedTuple):
    """A span in the database, with its number there."""

    id: int
    span: EncodedSpan


class Placed(NamedTuple):
    """A span of a session.

    Attributes:
        stored: The span.
        session: The session's id and name, as Helicone would have them.
        request: The id of the row that it is in Helicone; `None`: it is no request.
        call: What it tells of its call, if it is a request.
        facts: What its session is found by: (what, name, value).
        alone: It may wrap a call that is in a trace of its own: with nothing above, neither is the other's parent.
    """

    stored: StoredSpan
    session: tuple[str, str]
    path: str
    kind: str | None
    request: str | None
    call: Call | None
    facts: tuple[tuple[str, str, str], ...]
    alone: bool = False


class Placing:
    """Places the spans of a trace.

    Each trace by itself, but for neighbours that are named: in the store are those of many processes, and
    what they are must not depend on what arrived at the same time.

    Args:
        settings: The user's: which hosts are gateways, which attributes name sessions, dialects of their own.
    """

    def __init__(self, settings: Settings) -> None:
        # These speak of one process, and what arrives comes from others.
        self._settings = replace(settings, session_id=None, session_name=None, session_path="/")
        self._resources: dict[bytes, dict[str, Any]] = {}

    def place(self, spans: Sequence[StoredSpan], beside: Sequence[StoredSpan] = ()) -> list[Placed]:
        """Return those spans of a trace that stand in a session.

        Args:
            spans: The trace's.
            beside: Spans of other traces that the same process made meanwhile.
        """
        by_id = {one.span.span_id: one for one in spans}
        recorded = [
            self._recorded(one.span) for one in (*(one for one in beside if one.span.span_id not in by_id), *spans)
        ]
        registry = Registry(self._settings)
        placed = []
        for replayed in Replay(Recording(_ordered(recorded)), registry).run():
            stored = by_id.get(replayed.recorded.span_id)
            found = self._placed(stored, replayed) if stored is not None else None
            if found is not None:
                placed.append(found)
        return placed

    def _placed(self, stored: StoredSpan, replayed: Replayed) -> Placed | None:
        recorded, record = replayed.recorded, replayed.record
        label: Mapping[str, Any] = recorded.label or replayed.final.attributes or {}
        session_id, path = label.get(wire.SESSION_ID), label.get(wire.SESSION_PATH)
        if not session_id or not path:
            return None
        kind = label.get(wire.SPAN_KIND)
        request = label.get(wire.REQUEST_ID)
        # The library gave no id to what a gateway has seen, and makes the row of.
        if request is None and record is not None and record.request and not record.wraps:
            request = request_id(replayed.final)
        segment = record.classification.segment if record is not None else None
        return Placed(
            stored,
            (str(session_id), str(label.get(wire.SESSION_NAME) or "")),
            # One that was set by hand may have any form and length.
            "/" + "/".join(path_segments(str(path))),
            str(kind) if kind else None,
            str(request) if request else None,
            call_of(stored.span.data, str(kind), segment or recorded.name, recorded.attributes) if request else None,
            tuple(_facts(replayed.final.attributes or {}, recorded, label)),
            alone=request is not None and record is not None and _is_alone(record),
        )

    def _recorded(self, encoded: EncodedSpan) -> RecordedSpan:
        # The session's id, name and path stay on the span, so that they apply to the spans below. The kind is read
        # again: a kind that was set by hand does not tell which span wraps which.
        span, resource = Span.FromString(encoded.data), self._resource(encoded.resource)
        return recorded_span(encoded, span, resource, left_out=(wire.SPAN_KIND, wire.REQUEST_ID))

    def _resource(self, data: bytes) -> dict[str, Any]:
        # The same object for the same resource: each is a provider of its own.
        found = self._resources.get(data)
        if found is None:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            attributes = attributes_of(Resource.FromString(data).attributes)
            found = {key: str(value)[:_MAX_TEXT] for key, value in attributes.items() if key in _NAMING}
            self._resources[data] = found
        return found


def _is_alone(record: SpanRecord) -> bool:
    return record.parent is None and record.classification.row is not None and record.classification.row.not_current


# Of a resource, only these name a session.
_NAMING: Final = frozenset({_SERVICE, "service.namespace"})
_MAX_RESOURCES: Final = 1024
_MAX_FACT: Final = 256


def _ordered(spans: Sequence[RecordedSpan]) -> list[RecordedSpan]:
    try:
        return in_order(spans)
    except NotReadable:  # spans that claim to be each other's parents have none
        return in_order(replace(span, parent_id="") for span in spans)


def _facts(
    final: Mapping[str, Any], recorded: RecordedSpan, label: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    service = recorded.resource.get(_SERVICE)
    if service and not service.startswith(_UNNAMED):
        yield "service", "", str(service)[:_MAX_FACT]
    for source in (final, recorded.attributes) if label is recorded.label else (final,):
        if user := source.get(wire.OTEL_USER_ID):
            yield "user", "", str(user)[:_MAX_FACT]
        for key in source:
            if key.startswith(wire.PROPERTY_PREFIX):
                yield "property", key.removeprefix(wire.PROPERTY_PREFIX)[:_MAX_FACT], str(source[key])[:_MAX_FACT]

"""Spans as `run` sees them: decoded from OTLP, cut down to what is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from helicone_otel import _wire

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

# A prompt can be a megabyte and nothing of it is drawn, so only these are kept.
_KEPT_PREFIXES: Final = ("helicone.", _wire.REQUEST_HEADER_PREFIX + "helicone-")
_KEPT: Final = frozenset(
    (
        "db.system",
        "error.type",
        "gen_ai.request.model",
        "http.response.status_code",
        "http.status_code",
        "http.url",
        "llm.model_name",
        "embedding.model_name",
        "server.address",
        "server.port",
        "url.full",
    )
)
_MAX_TEXT: Final = 2048


@dataclass(frozen=True, slots=True)
class Span:
    """One ended span.

    Attributes:
        parent_id: Empty for the root of a trace.
        start: Nanoseconds since the epoch, as is `end`.
        error: What the span says went wrong; `None` when it went well.
        attributes: The few that are drawn, as text.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    scope: str
    start: int
    end: int
    error: str | None
    attributes: Mapping[str, str]


def decode(body: bytes) -> list[Span]:
    """Return the spans of one OTLP export request.

    Raises:
        google.protobuf.message.DecodeError: `body` is not such a request.
    """
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    return [
        _span(scoped.scope.name, span)
        for resource in request.resource_spans
        for scoped in resource.scope_spans
        for span in scoped.spans
    ]


def _span(scope: str, span: OtlpSpan) -> Span:
    attributes = _kept(span.attributes)
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name[:_MAX_TEXT],
        scope=scope[:_MAX_TEXT],
        start=span.start_time_unix_nano,
        end=max(span.end_time_unix_nano, span.start_time_unix_nano),
        error=_error(span.status, attributes),
        attributes=attributes,
    )


def _error(status: Status, attributes: Mapping[str, str]) -> str | None:
    if status.code != Status.STATUS_CODE_ERROR:
        return None
    return status.message[:_MAX_TEXT] or attributes.get("error.type") or "error"


def _kept(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {
        attribute.key: _text(attribute.value)[:_MAX_TEXT]
        for attribute in attributes
        if attribute.key in _KEPT or attribute.key.startswith(_KEPT_PREFIXES)
    }


def _text(value: AnyValue) -> str:
    # A captured header is a list of values: https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "int_value":
            return str(value.int_value)
        case "array_value":
            return ", ".join(_text(item) for item in value.array_value.values)
        case _:
            return ""

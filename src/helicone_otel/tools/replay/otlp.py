"""OTLP: export requests from protobuf and JSON, and the spans in them.

https://opentelemetry.io/docs/specs/otlp/. JSON is converted to protobuf first, so that only one form is read.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]  # ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

from ... import wire
from ..body_limits import MAX_COST, NotProtobufError, costs_of, json_exceeds, protobuf_exceeds
from .spans import KINDS, RecordedSpan

RESOURCE_SPANS: Final = "resourceSpans"
_COSTS: Final = costs_of(ExportTraceServiceRequest.DESCRIPTOR)
_TOO_COSTLY: Final = f"the body has too many fields to decode (a cost of more than {MAX_COST}): send smaller batches"
# The library's attributes that describe a span of a session.
LABEL: Final = (wire.SESSION_ID, wire.SESSION_PATH, wire.SESSION_NAME, wire.SPAN_KIND, wire.REQUEST_ID)
# OTLP's enumeration of span kinds; 0 means "unspecified".
OTLP_KINDS: Final = ("INTERNAL", *KINDS)
_ID_FIELDS: Final = ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id")
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_MAX_NAME: Final = 2048
# No dialect looks further into a text, and some texts are megabytes long.
_MAX_TEXT: Final = 8192
_MAX_DEPTH: Final = 32
# SQLite's integers are signed. As a time this is in the year 2262.
_MAX_TIME: Final = 2**63 - 1
_SCALARS: Final = frozenset({str, bool, int, float})
_NOT_OTLP: Final = (ParseError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)


class MalformedError(ValueError):
    """The input is not an OTLP export request; the message says why."""


@dataclass(frozen=True, slots=True)
class DecodedSpan:
    """What everybody reads of a span in an export request.

    Attributes:
        trace_id: 32 hex digits in a valid span.
        span_id: 16 hex digits in a valid span.
        parent_id: The parent's span id; empty for the root of a trace.
        name: The span's name.
        scope: The name of its instrumentation scope.
        start: Nanoseconds since the epoch.
        end: Nanoseconds since the epoch, never before `start`.
        error: The status description, or else `error.type`, of a span that failed; `None` otherwise.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    scope: str
    start: int
    end: int
    error: str | None


@dataclass(frozen=True, slots=True)
class EncodedSpan(DecodedSpan):
    """A valid span with its encoding, as a database keeps it.

    Attributes:
        resource: OTLP's Resource, encoded.
        data: OTLP's Span, encoded.
    """

    resource: bytes
    data: bytes


class SpanBatch(NamedTuple):
    """The valid spans of one export request, and the number of spans that have no valid ids."""

    spans: list[EncodedSpan]
    refused: int


# --- export requests ---------------------------------------------------------------------------------


def decode_protobuf(body: bytes) -> ExportTraceServiceRequest:
    """Return an export request that is encoded in protobuf.

    Raises:
        MalformedError: `body` is not an export request, or decoding it costs more than `body_limits.MAX_COST`.
    """
    request = ExportTraceServiceRequest()
    try:
        if protobuf_exceeds(body, _COSTS):
            raise MalformedError(_TOO_COSTLY)
        request.ParseFromString(body)
    except (DecodeError, NotProtobufError) as error:
        raise MalformedError("the body is not an ExportTraceServiceRequest of OTLP in protobuf") from error
    return request


def decode_json(body: bytes) -> ExportTraceServiceRequest:
    """Return an export request that is encoded in JSON.

    Raises:
        MalformedError: `body` is not an export request, or decoding it costs more than `body_limits.MAX_COST`.
    """
    if json_exceeds(body):
        raise MalformedError(_TOO_COSTLY)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("the body is not JSON") from error
    return decode_document(document)


def decode_document(document: object) -> ExportTraceServiceRequest:
    """Return an export request from OTLP's JSON that `json` has read.

    Args:
        document: The JSON. Its ids are changed in place. Unknown fields are ignored.

    Raises:
        MalformedError: `document` is not an export request.
    """
    if not isinstance(document, dict):
        raise MalformedError("the JSON is not an object")
    request = ExportTraceServiceRequest()
    try:
        _recode_ids(document)
        ParseDict(document, request, ignore_unknown_fields=True)
    except _NOT_OTLP as error:
        raise MalformedError("the JSON is not an ExportTraceServiceRequest of OTLP") from error
    return request


def _recode_ids(document: dict[str, Any]) -> None:
    """Write ids in base64, as protobuf's JSON has them, where OTLP has hexadecimal.

    https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    """
    for resource_spans in _items(document, "resourceSpans", "resource_spans"):
        for scope_spans in _items(resource_spans, "scopeSpans", "scope_spans"):
            for span in _items(scope_spans, "spans"):
                for holder in (span, *_items(span, "links")):
                    for field in _ID_FIELDS:
                        if holder.get(field):
                            holder[field] = base64.b64encode(bytes.fromhex(holder[field])).decode()


def _items(holder: dict[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    for name in names:
        yield from holder.get(name) or ()


def as_otlp_value(value: object) -> dict[str, Any]:
    """Return an attribute value of OTLP's JSON as it is if it is valid, and otherwise its content as text."""
    if not isinstance(value, dict):
        return {}
    try:
        ParseDict(value, AnyValue(), ignore_unknown_fields=True)
    except _NOT_OTLP:
        content = next((value[field.json_name] for field in AnyValue.DESCRIPTOR.fields if field.json_name in value), "")
        return {"stringValue": str(content)[:_MAX_TEXT].encode("utf-8", "replace").decode()}
    return value


# --- spans -------------------------------------------------------------------------------------------


def scoped_spans(resource_spans: ResourceSpans) -> Iterator[tuple[str, Span]]:
    """Yield the spans of one resource, each with the name of its instrumentation scope."""
    for scope_spans in resource_spans.scope_spans:
        for span in scope_spans.spans:
            yield scope_spans.scope.name, span


def decoded_fields(scope: str, span: Span) -> tuple[str, str, str, str, str, int, int, str | None]:
    """Return the fields of a `DecodedSpan`, in its order."""
    start = span.start_time_unix_nano
    return (
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex() if any(span.parent_span_id) else "",
        span.name[:_MAX_NAME],
        scope[:_MAX_NAME],
        start,
        max(start, span.end_time_unix_nano),
        _error_of(span),
    )


def _error_of(span: Span) -> str | None:
    if span.status.code != Status.STATUS_CODE_ERROR:
        return None
    if span.status.message:
        return span.status.message[:_MAX_NAME]
    types = [value_of(item.value) for item in span.attributes if item.key == "error.type"]
    names = types[0] if types and isinstance(types[0], list) else types
    texts = [name for name in names if isinstance(name, str)]
    return (", ".join(texts) or "error")[:_MAX_NAME]


def batch_of(request: ExportTraceServiceRequest) -> SpanBatch:
    """Return the valid spans of an export request for a database."""
    spans: list[EncodedSpan] = []
    refused = 0
    for resource_spans in request.resource_spans:
        resource = resource_spans.resource.SerializeToString(deterministic=True)
        for scope, span in scoped_spans(resource_spans):
            if _has_valid_ids(span):
                spans.append(_encoded(scope, span, resource))
            else:
                refused += 1
    return SpanBatch(spans, refused)


def _has_valid_ids(span: Span) -> bool:
    return (
        len(span.trace_id) == _TRACE_BYTES
        and len(span.span_id) == _SPAN_BYTES
        and len(span.parent_span_id) in (0, _SPAN_BYTES)
        and any(span.trace_id)
        and any(span.span_id)
    )


def _encoded(scope: str, span: Span, resource: bytes) -> EncodedSpan:
    trace_id, span_id, parent_id, name, scope, start, end, error = decoded_fields(scope, span)
    # 0 means that the time is unknown: https://github.com/open-telemetry/opentelemetry-proto (trace.proto)
    start = min(start or end or time.time_ns(), _MAX_TIME)
    end = max(start, min(end, _MAX_TIME))
    return EncodedSpan(trace_id, span_id, parent_id, name, scope, start, end, error, resource, span.SerializeToString())


def recorded_span(
    decoded: DecodedSpan,
    span: Span,
    resource: Mapping[str, Any],
    left_out: Collection[str],
) -> RecordedSpan:
    """Return a span that can be replayed.

    Args:
        decoded: What was read of the span.
        span: The span itself.
        resource: The resource's attributes. Spans of one resource must share one object.
        left_out: Those attributes of the label that are not replayed, because the library wrote them, not the user.
    """
    attributes = {key: value for key, value in sdk_attributes(span.attributes).items() if key}
    label: dict[str, Any] = {}
    values = [attributes.get(key) for key in (wire.SESSION_ID, wire.SESSION_PATH)]
    if all(values):
        label = {key: attributes[key] for key in LABEL if key in attributes}
        attributes = {key: value for key, value in attributes.items() if key not in left_out}
    return RecordedSpan(
        trace_id=decoded.trace_id,
        span_id=decoded.span_id,
        parent_id=decoded.parent_id,
        name=decoded.name,
        name_at_start=decoded.name,
        kind=OTLP_KINDS[span.kind] if 0 <= span.kind < len(OTLP_KINDS) else "INTERNAL",
        scope=decoded.scope,
        attributes=attributes,
        attributes_at_start=attributes,
        begins=decoded.start,
        ends=decoded.end,
        start_time=decoded.start,
        end_time=decoded.end,
        label=label,
        resource=resource,
    )


# --- attributes --------------------------------------------------------------------------------------


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes with values of JSON's types."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue, depth: int = 0) -> Any:
    """Return a value as one of JSON's types: bytes as hex digits, and "…" for what is nested too deeply."""
    which = value.WhichOneof("value")
    if which in ("string_value", "int_value", "double_value", "bool_value"):
        return getattr(value, which)
    if depth > _MAX_DEPTH:
        return "…"
    if which == "array_value":
        return [value_of(item, depth + 1) for item in value.array_value.values]
    if which == "kvlist_value":
        return {item.key: value_of(item.value, depth + 1) for item in value.kvlist_value.values}
    return value.bytes_value.hex() if which == "bytes_value" else None


def sdk_attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes with values that OpenTelemetry's SDK accepts; other values become JSON text."""
    attributes = {pair.key: _sdk_value(value_of(pair.value)) for pair in pairs}
    return {key: value for key, value in attributes.items() if value is not None}


def _sdk_value(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_MAX_TEXT]
    if isinstance(value, list):
        types = {type(item) for item in value}
        return value if len(types) == 1 and types <= _SCALARS else json.dumps(value)[:_MAX_TEXT]
    return json.dumps(value)[:_MAX_TEXT] if isinstance(value, dict) else value

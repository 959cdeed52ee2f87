"""Spans as they arrive: OTLP in protobuf or JSON, cut into rows for the store."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]  # ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

_ID_FIELDS: Final = ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id")
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_MAX_NAME: Final = 1024
# SQLite's whole numbers have a sign; that is the year 2262.
_MAX_TIME: Final = 2**63 - 1
# An empty one takes three bytes here, and in memory a hundred times that. Of spans that say something, a body of the
# size that is taken holds fewer.
MAX_OBJECTS: Final = 2_000_000


class MalformedError(ValueError):
    """What arrived is no export request; the message says why."""


class Arrived(NamedTuple):
    """One span.

    Attributes:
        trace: 32 hex digits.
        span: 16 hex digits, as `parent`, which is empty for the root of a trace.
        start: Nanoseconds since the epoch, as `end`, which is never before it.
        error: What it says went wrong; `None` when it went well.
        resource: What made it: OTLP's Resource, encoded.
        data: OTLP's Span, encoded.
    """

    trace: str
    span: str
    parent: str
    name: str
    scope: str
    start: int
    end: int
    error: str | None
    resource: bytes
    data: bytes


class Batch(NamedTuple):
    """The spans of one export request, and how many others in it cannot be spans."""

    spans: list[Arrived]
    refused: int


def from_protobuf(body: bytes) -> Batch:
    """Return the spans of an encoded request.

    Raises:
        MalformedError: It is none.
    """
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise MalformedError("no ExportTraceServiceRequest of OTLP") from error
    return of_request(request)


def from_json(body: bytes) -> Batch:
    """Return the spans of a request in OTLP's JSON.

    Raises:
        MalformedError: It is none.
    """
    if body.count(b"{") + body.count(b"[") > MAX_OBJECTS:
        raise MalformedError(f"more than {MAX_OBJECTS} objects and lists")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError("no JSON") from error
    return from_document(document)


def from_document(document: object) -> Batch:
    """Return the spans of a request in OTLP's JSON, decoded.

    Raises:
        MalformedError: It is none.
    """
    if not isinstance(document, dict):
        raise MalformedError("no JSON object")
    request = ExportTraceServiceRequest()
    try:
        # OTLP writes ids in hexadecimal where protobuf's JSON has base64:
        # https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
        _recode_ids(document)
        ParseDict(document, request, ignore_unknown_fields=True)
    except (ParseError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise MalformedError("no ExportTraceServiceRequest of OTLP in JSON") from error
    return of_request(request)


def of_request(request: ExportTraceServiceRequest) -> Batch:
    """Return the spans of a decoded request."""
    spans: list[Arrived] = []
    refused = 0
    for resource_spans in request.resource_spans:
        resource = resource_spans.resource.SerializeToString(deterministic=True)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope.name[:_MAX_NAME]
            for span in scope_spans.spans:
                if _has_ids(span):
                    spans.append(_arrived(span, scope, resource))
                else:
                    refused += 1
    return Batch(spans, refused)


def _has_ids(span: Span) -> bool:
    return (
        len(span.trace_id) == _TRACE_BYTES
        and len(span.span_id) == _SPAN_BYTES
        and len(span.parent_span_id) in (0, _SPAN_BYTES)
        and any(span.trace_id)
        and any(span.span_id)
    )


def _arrived(span: Span, scope: str, resource: bytes) -> Arrived:
    # 0 says that nobody knows: https://github.com/open-telemetry/opentelemetry-proto (trace.proto)
    start = min(span.start_time_unix_nano or span.end_time_unix_nano or time.time_ns(), _MAX_TIME)
    return Arrived(
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex() if any(span.parent_span_id) else "",
        name=span.name[:_MAX_NAME],
        scope=scope,
        start=start,
        end=max(start, min(span.end_time_unix_nano, _MAX_TIME)),
        error=_error(span),
        resource=resource,
        data=span.SerializeToString(),
    )


def _error(span: Span) -> str | None:
    if span.status.code != Status.STATUS_CODE_ERROR:
        return None
    if span.status.message:
        return span.status.message[:_MAX_NAME]
    kinds = (item.value.string_value for item in span.attributes if item.key == "error.type")
    return next(kinds, "")[:_MAX_NAME] or "error"


def _recode_ids(document: dict[str, Any]) -> None:
    for resource_spans in _each(document, "resourceSpans", "resource_spans"):
        for scope_spans in _each(resource_spans, "scopeSpans", "scope_spans"):
            for span in _each(scope_spans, "spans"):
                for holder in (span, *_each(span, "links")):
                    for field in _ID_FIELDS:
                        if holder.get(field):
                            holder[field] = base64.b64encode(bytes.fromhex(holder[field])).decode()


def _each(holder: dict[str, Any], *names: str) -> Iterator[dict[str, Any]]:
    for name in names:
        yield from holder.get(name) or ()

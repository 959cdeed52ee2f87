"""OTLP JSON, as the Collector's file exporter writes it.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding,
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.json_format import ParseDict, ParseError  # type: ignore[import-untyped]  # ships no types
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ... import wire
from .spans import KINDS, NotReadable, RecordedSpan

RESOURCE_SPANS: Final = "resourceSpans"
# No row looks further into a text, and some are megabytes long.
_MAX_TEXT: Final = 8192
_ID_DIGITS: Final = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_LABEL: Final = (wire.SESSION_ID, wire.SESSION_PATH, wire.SESSION_NAME, wire.SPAN_KIND, wire.REQUEST_ID)
# The enumeration of OTLP; 0 is "unspecified".
_OTLP_KINDS: Final = ("INTERNAL", *KINDS)


def spans_of(request: Mapping[str, Any], where: str) -> Iterator[RecordedSpan]:
    """Yield the spans of one export request.

    Args:
        request: The decoded JSON.
        where: Where it stands, for messages.

    Raises:
        NotReadable: It is no export request of spans.
    """
    for resource_spans in _objects(request, RESOURCE_SPANS, where):
        resource = _attributes(_object(resource_spans, "resource", where), where)
        for scope_spans in _objects(resource_spans, "scopeSpans", where):
            scope = str(_object(scope_spans, "scope", where).get("name", ""))
            for number, span in enumerate(_objects(scope_spans, "spans", where), start=1):
                yield _span(span, scope, resource, f"{where}, span {number} of scope {scope!r:.60}")


def _span(span: Mapping[str, Any], scope: str, resource: Mapping[str, Any], where: str) -> RecordedSpan:
    attributes = _attributes(span, where)
    # We wrote the label, and it must not look like something that the user wrote by hand.
    is_labelled = wire.SESSION_ID in attributes and wire.SESSION_PATH in attributes
    bears: dict[str, Any] = {key: attributes.pop(key) for key in _LABEL if is_labelled and key in attributes}
    start_time, end_time = _time(span, "startTimeUnixNano", where), _time(span, "endTimeUnixNano", where)
    name = str(span.get("name", ""))
    return RecordedSpan(
        trace_id=_id(span, "traceId", where),
        span_id=_id(span, "spanId", where),
        parent_id=_id(span, "parentSpanId", where) if span.get("parentSpanId") else "",
        name=name,
        name_at_start=name,
        kind=_kind(span.get("kind", 0), where),
        scope=scope,
        attributes=attributes,
        attributes_at_start=attributes,
        begins=start_time,
        ends=max(end_time, start_time),
        start_time=start_time,
        end_time=max(end_time, start_time),
        bears=bears,
        resource=resource,
    )


def _objects(holder: Mapping[str, Any], key: str, where: str) -> Iterator[Mapping[str, Any]]:
    entries = holder.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise NotReadable(f"{where}: {key} is no list of objects")
    yield from entries


def _object(holder: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = holder.get(key, {})
    if not isinstance(value, dict):
        raise NotReadable(f"{where}: {key} is no object")
    return value


def _id(span: Mapping[str, Any], key: str, where: str) -> str:
    value = span.get(key)
    if not value:
        raise NotReadable(f"{where}: {key} is missing")
    digits = _ID_DIGITS[key]
    try:
        number = int(value, 16) if isinstance(value, str) and len(value) == digits else 0
    except ValueError:
        number = 0
    if not number:
        raise NotReadable(f"{where}: {key} is not {digits} hex digits: {value!r:.60}")
    return f"{number:0{digits}x}"


def _time(span: Mapping[str, Any], key: str, where: str) -> int:
    try:
        return max(int(span.get(key, 0)), 0)
    except (TypeError, ValueError):
        raise NotReadable(f"{where}: {key} is no number: {span[key]!r:.60}") from None


def _kind(value: object, where: str) -> str:
    if isinstance(value, int) and 0 <= value < len(_OTLP_KINDS):
        return _OTLP_KINDS[value]
    name = str(value).removeprefix("SPAN_KIND_")
    if name not in {*KINDS, "UNSPECIFIED"}:
        raise NotReadable(f"{where}: there is no span kind {value!r:.60}")
    return "INTERNAL" if name == "UNSPECIFIED" else name


def _attributes(holder: Mapping[str, Any], where: str) -> dict[str, Any]:
    attributes = {}
    for entry in _objects(holder, "attributes", where):
        value = _value(entry.get("value"))
        if value is not None:
            attributes[str(entry.get("key", ""))] = value
    return attributes


def _value(value: object) -> Any:
    """Return a value as the SDK takes it: what it does not take, as JSON's text."""
    plain = _plain(value)
    if isinstance(plain, list) and len({type(item) for item in plain}) == 1 and not isinstance(plain[0], list | dict):
        return plain
    return json.dumps(plain)[:_MAX_TEXT] if isinstance(plain, list | dict) else plain


def _plain(value: object) -> Any:
    """Return a value as JSON has it; `None` for one that no type of OTLP fits."""
    if not isinstance(value, dict):
        return None
    for key, read in _TYPES.items():
        if key in value:
            try:
                return read(value[key])
            except (TypeError, ValueError, AttributeError):
                return str(value[key])[:_MAX_TEXT]
    return None


def _list(value: Mapping[str, Any]) -> list[Any]:
    return [_plain(item) for item in value.get("values", ())]


def _mapping(value: Mapping[str, Any]) -> dict[str, Any]:
    return {str(item.get("key")): _plain(item.get("value")) for item in value.get("values", ())}


_TYPES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "stringValue": lambda value: str(value)[:_MAX_TEXT],
    "boolValue": bool,
    "intValue": int,
    "doubleValue": float,
    "bytesValue": lambda value: str(value)[:_MAX_TEXT],
    "arrayValue": _list,
    "kvlistValue": _mapping,
}


_MAX_DEPTH: Final = 32


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """Return attributes as JSON has them."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: AnyValue, depth: int = 0) -> Any:
    """Return one value; what is nested too deeply, or is no text, as text."""
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

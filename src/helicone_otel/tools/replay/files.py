"""Reads spans from a file: OTLP JSON as the Collector's file exporter writes it, or a recording of this project.

https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter. A recording also
says which attributes a span had when it started, and when headers were sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .otlp import (
    LABEL,
    OTLP_KINDS,
    RESOURCE_SPANS,
    DecodedSpan,
    MalformedError,
    as_otlp_value,
    decode_document,
    decoded_fields,
    recorded_span,
    scoped_spans,
    sdk_attributes,
)
from .spans import KINDS, Injection, NotReadable, RecordedSpan, Recording, SpanState, in_order

_MAX_BYTES: Final = 512 * 1024 * 1024
# The Collector writes metrics and logs into the same kind of file.
_OTHER_SIGNALS: Final = ("resourceMetrics", "resourceLogs", "resourceProfiles")


def read(path: Path) -> Recording:
    """Return the spans of a file: OTLP JSON, whole or one export request a line, or a recording.

    Raises:
        NotReadable: There is no such file, or it has other content. The message says what is wrong and where.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise NotReadable(f"it is larger than {_MAX_BYTES // 1024**2} MiB; explain a part of it")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotReadable(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise NotReadable("it is not text in UTF-8") from error
    documents = list(_documents(text))
    if len(documents) == 1 and isinstance(documents[0][1].get("spans"), list):
        return recording_of(documents[0][1])
    spans = [span for where, document in documents for span in _otlp_spans(document, where)]
    if not spans:
        raise NotReadable("there is no span in it")
    return Recording(in_order(spans))


def _documents(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the JSON objects of a file with their lines: one object in all, or one object per line."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        # One object per line looks like one object with something after it.
        if error.msg != "Extra data":
            raise NotReadable(_problem(error, error.lineno)) from error
    except RecursionError as error:
        raise NotReadable("it is nested too deeply") from error
    else:
        yield from _spans_only("line 1", whole)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                document = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise NotReadable(_problem(error, number)) from error
            yield from _spans_only(f"line {number}", document)


def _spans_only(where: str, document: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(document, dict):
        raise NotReadable(f"{where} is not a JSON object")
    if RESOURCE_SPANS in document or isinstance(document.get("spans"), list):
        yield where, document
    elif not any(signal in document for signal in _OTHER_SIGNALS):
        raise NotReadable(
            f"{where} is neither OTLP JSON (there is no {RESOURCE_SPANS} in it) nor a recording (no list of spans)"
        )


def _problem(error: json.JSONDecodeError | RecursionError, line: int) -> str:
    if isinstance(error, RecursionError):
        return f"line {line} is nested too deeply"
    return f"it is not JSON: {error.msg} at line {line}, column {error.colno}"


# --- OTLP JSON ---------------------------------------------------------------------------------------
# The decoder says only that a document is wrong. People who ask about a file need to know what is wrong and where, so
# the fields that matter are checked here first, and everything else is left out.

_ID_DIGITS: Final = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_MAX_TIME: Final = 2**63 - 1


def _otlp_spans(document: Mapping[str, Any], where: str) -> Iterator[RecordedSpan]:
    """Yield the spans of one export request.

    Raises:
        NotReadable: It is not an export request of spans.
    """
    checked = {RESOURCE_SPANS: [_checked_resource(one, where) for one in _objects(document, RESOURCE_SPANS, where)]}
    try:
        request = decode_document(checked)
    except MalformedError as error:
        raise NotReadable(f"{where}: {error}") from error
    for resource_spans in request.resource_spans:
        resource = sdk_attributes(resource_spans.resource.attributes)
        for scope, span in scoped_spans(resource_spans):
            yield recorded_span(DecodedSpan(*decoded_fields(scope, span)), span, resource, left_out=LABEL)


def _checked_resource(resource_spans: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        "resource": {"attributes": _checked_attributes(_object(resource_spans, "resource", where), where)},
        "scopeSpans": [_checked_scope(one, where) for one in _objects(resource_spans, "scopeSpans", where)],
    }


def _checked_scope(scope_spans: Mapping[str, Any], where: str) -> dict[str, Any]:
    scope = _text(_object(scope_spans, "scope", where).get("name", ""))
    spans = enumerate(_objects(scope_spans, "spans", where), start=1)
    return {
        "scope": {"name": scope},
        "spans": [_checked_span(span, f"{where}, span {number} of scope {scope!r:.60}") for number, span in spans],
    }


def _checked_span(span: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        "traceId": _checked_id(span, "traceId", where),
        "spanId": _checked_id(span, "spanId", where),
        "parentSpanId": _checked_id(span, "parentSpanId", where) if span.get("parentSpanId") else "",
        "name": _text(span.get("name", "")),
        "kind": _checked_kind(span.get("kind", 0), where),
        "startTimeUnixNano": _checked_time(span, "startTimeUnixNano", where),
        "endTimeUnixNano": _checked_time(span, "endTimeUnixNano", where),
        "attributes": _checked_attributes(span, where),
    }


def _checked_id(span: Mapping[str, Any], key: str, where: str) -> str:
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


def _checked_time(span: Mapping[str, Any], key: str, where: str) -> int:
    try:
        return min(max(int(span.get(key, 0)), 0), _MAX_TIME)
    except (TypeError, ValueError, OverflowError):
        raise NotReadable(f"{where}: {key} is not a number: {span[key]!r:.60}") from None


def _checked_kind(value: object, where: str) -> int:
    if isinstance(value, int) and 0 <= value < len(OTLP_KINDS):
        return int(value)
    name = str(value).removeprefix("SPAN_KIND_")
    if name == "UNSPECIFIED":
        return 0
    if name not in KINDS:
        raise NotReadable(f"{where}: there is no span kind {value!r:.60}")
    return 1 + KINDS.index(name)


def _checked_attributes(holder: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    entries = _objects(holder, "attributes", where)
    return [{"key": _text(entry.get("key", "")), "value": as_otlp_value(entry.get("value"))} for entry in entries]


def _objects(holder: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    entries = holder.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise NotReadable(f"{where}: {key} is not a list of objects")
    return entries


def _object(holder: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = holder.get(key, {})
    if not isinstance(value, dict):
        raise NotReadable(f"{where}: {key} is not an object")
    return value


def _text(value: object) -> str:
    """Return a text that protobuf accepts: JSON may contain lone surrogates, UTF-8 may not."""
    return str(value).encode("utf-8", "replace").decode()


# --- recordings --------------------------------------------------------------------------------------

_NOTHING: Final[dict[str, Any]] = {}
# What reading a field raises that is missing or has another type.
_INCOMPLETE: Final = (KeyError, TypeError, ValueError, AttributeError)


def recording_of(data: Mapping[str, Any]) -> Recording:
    """Return the spans of a recording, and when headers were sent.

    Raises:
        NotReadable: A field is missing or has another type.
    """
    ends = {str(span.get("span_id")): _last_attributes(span) for span in data["spans"] if isinstance(span, dict)}
    spans = []
    for number, span in enumerate(data["spans"], start=1):
        try:
            spans.append(_recorded_span(span, ends))
        except _INCOMPLETE as error:
            raise NotReadable(f"span {number} is incomplete: {type(error).__name__}: {error}") from error
    try:
        injections = [_injection(injection, ends) for injection in data.get("injections", ())]
    except _INCOMPLETE as error:
        raise NotReadable(f"an injection is incomplete: {type(error).__name__}: {error}") from error
    return Recording(in_order(spans), injections)


def _last_attributes(span: Mapping[str, Any]) -> Mapping[str, Any]:
    return span.get("attributes_at_end") or span.get("attributes_at_start") or _NOTHING


def _recorded_span(span: Mapping[str, Any], ends: Mapping[str, Mapping[str, Any]]) -> RecordedSpan:
    if span["kind"] not in KINDS:
        raise TypeError(f"there is no span kind {span['kind']!r:.60}")
    return RecordedSpan(
        trace_id=_nonzero(span["trace_id"]),
        span_id=_nonzero(span["span_id"]),
        parent_id=_nonzero(span["parent_span_id"]) if span["parent_span_id"] else "",
        name=str(span["name"]),
        name_at_start=str(span["name_at_start"]),
        kind=span["kind"],
        scope=str(span["scope"]["name"]),
        attributes=dict(_last_attributes(span)),
        attributes_at_start=dict(span["attributes_at_start"]),
        begins=int(span["start_seq"]),
        ends=int(span["end_seq"]) if span.get("end_seq") else None,
        start_time=int(span["start_time_unix_nano"]),
        end_time=int(span["end_time_unix_nano"]) if span.get("end_time_unix_nano") else None,
        label=_NOTHING,
        resource=_NOTHING,
        thread=str(span.get("thread", "")),
        above_at_start=_states(span.get("ancestors_at_start", ()), ends),
    )


def _nonzero(value: str) -> str:
    if not int(value, 16):
        raise ValueError("an id is zero")
    return value


def _injection(injection: Mapping[str, Any], ends: Mapping[str, Mapping[str, Any]]) -> Injection:
    return Injection(injection["seq"], injection["current_span_id"], _states(injection["ancestors_at_injection"], ends))


def _states(line: Iterable[Mapping[str, Any]], ends: Mapping[str, Mapping[str, Any]]) -> dict[str, SpanState]:
    """Return what open spans had at a time: the file tells names and keys, and the values are those at their end."""
    states = {}
    for one in line:
        if one.get("ended"):
            continue
        attributes = ends.get(one["span_id"], _NOTHING)
        known = {key: attributes[key] for key in one["attribute_keys_now"] if key in attributes}
        states[one["span_id"]] = SpanState(str(one.get("name", "")), known)
    return states

"""OTLP JSON, as the Collector's file exporter writes it.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding,
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from .. import _wire
from .recorded import KINDS, NotReadable, RecordedSpan

RESOURCE_SPANS: Final = "resourceSpans"
# No row looks further into a text, and some are megabytes long.
_MAX_TEXT: Final = 8192
_ID_DIGITS: Final = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_LABEL: Final = (_wire.SESSION_ID, _wire.SESSION_PATH, _wire.SESSION_NAME, _wire.SPAN_KIND, _wire.REQUEST_ID)
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
    is_labelled = _wire.SESSION_ID in attributes and _wire.SESSION_PATH in attributes
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

"""This project's recordings of real libraries: what spans bore when they started, when headers left, at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .recorded import KINDS, Injection, NotReadable, RecordedSpan, Recording, in_order

_NOTHING: Final[dict[str, Any]] = {}
# What reading something that is not there, or of another type, raises.
_INCOMPLETE: Final = (KeyError, TypeError, ValueError, AttributeError)


def recording_of(data: Mapping[str, Any]) -> Recording:
    """Return the spans of a recording and where headers left.

    Raises:
        NotReadable: Something is missing.
    """
    spans = []
    for number, span in enumerate(data["spans"], start=1):
        try:
            spans.append(_span(span))
        except _INCOMPLETE as error:
            raise NotReadable(f"span {number} is incomplete: {type(error).__name__}: {error}") from error
    ends = {span.span_id: span.attributes for span in spans}
    try:
        injections = [_injection(injection, ends) for injection in data.get("injections", ())]
    except _INCOMPLETE as error:
        raise NotReadable(f"an injection is incomplete: {type(error).__name__}: {error}") from error
    return Recording(in_order(spans), injections)


def _span(span: Mapping[str, Any]) -> RecordedSpan:
    if span["kind"] not in KINDS:
        raise TypeError(f"there is no span kind {span['kind']!r:.60}")
    return RecordedSpan(
        trace_id=_hex(span["trace_id"]),
        span_id=_hex(span["span_id"]),
        parent_id=_hex(span["parent_span_id"]) if span["parent_span_id"] else "",
        name=str(span["name"]),
        name_at_start=str(span["name_at_start"]),
        kind=span["kind"],
        scope=str(span["scope"]["name"]),
        attributes=dict(span.get("attributes_at_end") or span["attributes_at_start"]),
        attributes_at_start=dict(span["attributes_at_start"]),
        begins=int(span["start_seq"]),
        ends=int(span["end_seq"]) if span.get("end_seq") else None,
        start_time=int(span["start_time_unix_nano"]),
        end_time=int(span["end_time_unix_nano"]) if span.get("end_time_unix_nano") else None,
        bears=_NOTHING,
        resource=_NOTHING,
        thread=str(span.get("thread", "")),
    )


def _hex(value: str) -> str:
    if not int(value, 16):
        raise ValueError("an id of zeros")
    return value


def _injection(injection: Mapping[str, Any], ends: Mapping[str, Mapping[str, Any]]) -> Injection:
    known = {}
    for ancestor in injection["ancestors_at_injection"]:
        attributes = ends.get(ancestor["span_id"], {})
        if not ancestor["ended"]:
            names = [name for name in ancestor["attribute_keys_now"] if name in attributes]
            known[ancestor["span_id"]] = {name: attributes[name] for name in names}
    return Injection(injection["seq"], injection["current_span_id"], known)

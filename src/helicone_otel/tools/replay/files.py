"""This project's recordings of real libraries: what spans bore when they started, when headers left, at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .otlp import RESOURCE_SPANS, spans_of
from .spans import KINDS, Injection, NotReadable, RecordedSpan, Recording, in_order

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


_MAX_BYTES: Final = 512 * 1024 * 1024
# The Collector writes metrics and logs into the same kind of file.
_OTHER_SIGNALS: Final = ("resourceMetrics", "resourceLogs", "resourceProfiles")


def read(path: Path) -> Recording:
    """Return what a file holds: OTLP JSON, whole or one request a line, or one of this project's recordings.

    Raises:
        NotReadable: There is no such file, or it holds something else.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise NotReadable(f"it is larger than {_MAX_BYTES // 1024**2} MiB; explain a part of it")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotReadable(error.strerror or type(error).__name__) from error
    except UnicodeDecodeError as error:
        raise NotReadable("it is no text in UTF-8") from error
    documents = list(_documents(text))
    if len(documents) == 1 and isinstance(documents[0][1].get("spans"), list):
        return recording_of(documents[0][1])
    spans = [span for where, document in documents for span in spans_of(document, where)]
    if not spans:
        raise NotReadable("there is no span in it")
    return Recording(in_order(spans))


def _documents(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the JSON objects of a file with where they stand: the one that it is, or one a line."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        # One object a line looks like one object with something after it.
        if error.msg != "Extra data":
            raise NotReadable(_told(error, error.lineno)) from error
    except RecursionError as error:
        raise NotReadable("it is nested too deeply") from error
    else:
        yield from _checked("line 1", whole)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                document = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise NotReadable(_told(error, number)) from error
            yield from _checked(f"line {number}", document)


def _checked(where: str, document: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(document, dict):
        raise NotReadable(f"{where} is no JSON object")
    if RESOURCE_SPANS in document or isinstance(document.get("spans"), list):
        yield where, document
    elif not any(signal in document for signal in _OTHER_SIGNALS):
        raise NotReadable(
            f"{where} is neither OTLP JSON (there is no {RESOURCE_SPANS} in it) nor a recording (no list of spans)"
        )


def _told(error: json.JSONDecodeError | RecursionError, line: int) -> str:
    if isinstance(error, RecursionError):
        return f"line {line} is nested too deeply"
    return f"it is no JSON: {error.msg} at line {line}, column {error.colno}"

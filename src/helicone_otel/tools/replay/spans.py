"""Spans as a file holds them, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from opentelemetry.trace import SpanKind

from ... import wire

KINDS: Final = tuple(kind.name for kind in SpanKind)
_SHOWN: Final = 5
_PROPERTY_PREFIX: Final = wire.PROPERTY_HEADER_PREFIX.lower()
# Helicone-Auth is no session header: were it ever captured, it would not be drawn.
_HEADER_NAMES: Final = {
    name.lower(): name
    for name in (
        wire.SESSION_ID_HEADER,
        wire.SESSION_PATH_HEADER,
        wire.SESSION_NAME_HEADER,
        wire.USER_ID_HEADER,
        wire.REQUEST_ID_HEADER,
    )
}


class NotReadable(ValueError):  # noqa: N818  # a fact about the file, not a fault of ours
    """The file does not hold what it should; the message says what and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpan:
    """One span.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits, as `parent_id`, which is empty for the root of a trace.
        kind: OpenTelemetry's word for its kind.
        attributes_at_start: What it bore when it started; all that it ever bore where the file does not tell.
        begins: Orders what happened: nanoseconds, or a running number, as `ends`.
        ends: `None` if it never ended.
        label: The library's attributes on the span in the file. They are left out when the span is replayed.
        resource: What made it.
        thread: Where it started and ended.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    name_at_start: str
    kind: str
    scope: str
    attributes: Mapping[str, Any]
    attributes_at_start: Mapping[str, Any]
    begins: int
    ends: int | None
    start_time: int
    end_time: int | None
    label: Mapping[str, Any]
    resource: Mapping[str, Any]
    thread: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from all others."""
        return self.trace_id, self.span_id

    @property
    def parent_key(self) -> tuple[str, str]:
        """The key of its parent."""
        return self.trace_id, self.parent_id


class Injection(NamedTuple):
    """Headers left from a span.

    Attributes:
        at: When, in the terms of `RecordedSpan.begins`.
        span_id: From which span.
        known: What that span and those above bore by then, by span id.
    """

    at: int
    span_id: str
    known: Mapping[str, Mapping[str, Any]]


class Recording(NamedTuple):
    """What a file holds: its spans, parents first, and where headers left."""

    spans: Sequence[RecordedSpan]
    injections: Sequence[Injection] = ()


def in_order(spans: Iterable[RecordedSpan]) -> list[RecordedSpan]:
    """Return spans in the order in which they started, each after its parent whatever the clocks say.

    Of spans that come twice (a collector may send a batch again) the last counts.

    Raises:
        NotReadable: Spans are each other's parents.
    """
    by_key = {span.key: span for span in spans}
    ordered: dict[tuple[str, str], RecordedSpan] = {}
    for first in sorted(by_key.values(), key=lambda span: span.begins):
        line: dict[tuple[str, str], RecordedSpan] = {}
        span: RecordedSpan | None = first
        while span is not None and span.key not in ordered:
            if span.key in line:
                raise NotReadable(_cycle(list(line), span.key))
            line[span.key] = span
            span = by_key.get(span.parent_key)
        ordered.update(reversed(line.items()))
    return list(ordered.values())


def _cycle(line: list[tuple[str, str]], key: tuple[str, str]) -> str:
    ids = [span_id for _, span_id in line[line.index(key) :]]
    shown = " → ".join([*ids[:_SHOWN], *(["…"] if len(ids) > _SHOWN else []), ids[0]])
    return f"spans are each other's parents, in trace {key[0]}: {shown}"


def sent_headers(attributes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the Helicone headers that were captured among attributes, session headers first."""
    prefix = wire.REQUEST_HEADER_PREFIX
    captured = {key.removeprefix(prefix): value for key, value in attributes.items() if key.startswith(prefix)}
    named = [(name, captured[key]) for key, name in _HEADER_NAMES.items() if key in captured]
    properties = sorted(key for key in captured if key.startswith(_PROPERTY_PREFIX))
    return named + [(wire.PROPERTY_HEADER_PREFIX + key[len(_PROPERTY_PREFIX) :], captured[key]) for key in properties]

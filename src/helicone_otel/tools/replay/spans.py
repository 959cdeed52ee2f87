"""Recorded spans in the form that is replayed, whatever the format of their file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from opentelemetry.trace import SpanKind

from ... import wire
from ...spans.schema import URL_ATTRIBUTES

KINDS: Final = tuple(kind.name for kind in SpanKind)
_MAX_CYCLE: Final = 5
_PROPERTY_PREFIX: Final = wire.PROPERTY_HEADER_PREFIX.lower()
# Helicone-Auth is left out, so that a key is never drawn.
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


class NotReadable(ValueError):  # noqa: N818  # about the file, not an error of the program
    """A file cannot be read as spans; the message says what is wrong and where."""


class SpanState(NamedTuple):
    """What a span had while it was open; an empty name: the file does not tell."""

    name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpan:
    """One recorded span.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: The parent's span id; empty for the root of a trace.
        name: The name when the span ended.
        name_at_start: The name when the span started.
        kind: OpenTelemetry's span kind, such as `CLIENT`.
        scope: The name of the instrumentation scope.
        attributes: The attributes when the span ended.
        attributes_at_start: The attributes when the span started; all of them if the file does not tell.
        begins: When the span started, relative to other events: nanoseconds or a sequence number.
        ends: When the span ended, in the same unit; `None` if it never ended.
        start_time: Nanoseconds since the epoch.
        end_time: Nanoseconds since the epoch; `None` if the span never ended.
        label: The library's attributes on the span in the file. They are left out when the span is replayed.
        resource: The attributes of the resource. Spans of one resource share one object.
        thread: The thread in which the span started and ended, if the file tells.
        above_at_start: What the open spans above it had when it started, by span id, if the file tells.
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
    above_at_start: Mapping[str, SpanState] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Trace id and span id, which identify a span."""
        return self.trace_id, self.span_id

    @property
    def parent_key(self) -> tuple[str, str]:
        """The key of the parent span."""
        return self.trace_id, self.parent_id


class Injection(NamedTuple):
    """Headers were injected while a span was current.

    Attributes:
        at: The time, in the unit of `RecordedSpan.begins`.
        span_id: The current span.
        known: What that span and the open spans above it had at this time, by span id.
    """

    at: int
    span_id: str
    known: Mapping[str, SpanState]


class Recording(NamedTuple):
    """The spans of a file, parents first, and the injections of headers."""

    spans: Sequence[RecordedSpan]
    injections: Sequence[Injection] = ()


def in_order(spans: Iterable[RecordedSpan]) -> list[RecordedSpan]:
    """Return spans in the order of their starts, but each after its parent, even if clocks disagree.

    If a span comes twice (a collector may send a batch again), the last one is used.

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
                raise NotReadable(_cycle_message(list(line), span.key))
            line[span.key] = span
            span = by_key.get(span.parent_key)
        ordered.update(reversed(line.items()))
    return list(ordered.values())


def _cycle_message(line: list[tuple[str, str]], key: tuple[str, str]) -> str:
    ids = [span_id for _, span_id in line[line.index(key) :]]
    cycle = " → ".join([*ids[:_MAX_CYCLE], *(["…"] if len(ids) > _MAX_CYCLE else []), ids[0]])
    return f"spans are each other's parents, in trace {key[0]}: {cycle}"


def url_of(attributes: Mapping[str, Any]) -> Any:
    """Return the URL that a span of an HTTP client bears, or an empty text."""
    return next((url for key in URL_ATTRIBUTES if (url := attributes.get(key))), "")


def sent_headers(attributes: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the Helicone headers among the captured headers of a span, session headers first."""
    prefix = wire.REQUEST_HEADER_PREFIX
    captured = {key.removeprefix(prefix): value for key, value in attributes.items() if key.startswith(prefix)}
    named = [(name, captured[key]) for key, name in _HEADER_NAMES.items() if key in captured]
    properties = sorted(key for key in captured if key.startswith(_PROPERTY_PREFIX))
    return named + [(wire.PROPERTY_HEADER_PREFIX + key[len(_PROPERTY_PREFIX) :], captured[key]) for key in properties]


# --- which spans are above which ---------------------------------------------------------------------


class Linked(Protocol):
    """A span that names its parent."""

    @property
    def trace_id(self) -> str:
        """32 hex digits."""

    @property
    def span_id(self) -> str:
        """16 hex digits."""

    @property
    def parent_id(self) -> str:
        """The parent's span id; empty for the root of a trace."""


S = TypeVar("S", bound=Linked)


class SpanParents(Generic[S]):
    """Finds the ancestors of a span among the spans that arrived."""

    def __init__(self, spans: Iterable[S]) -> None:
        self._by_id = {(span.trace_id, span.span_id): span for span in spans}

    def line(self, span: S) -> Iterator[S]:
        """Yield the span, its parent, the parent's parent, and so on."""
        seen: set[str] = set()
        current: S | None = span
        while current is not None and current.span_id not in seen:
            seen.add(current.span_id)
            yield current
            current = self._by_id.get((current.trace_id, current.parent_id))

    def innermost(self, spans: Iterable[S]) -> list[S]:
        """Return those of some spans that have none of the others below them."""
        chosen = list(spans)
        outer = {(above.trace_id, above.span_id) for span in chosen for above in list(self.line(span))[1:]}
        return [span for span in chosen if (span.trace_id, span.span_id) not in outer]

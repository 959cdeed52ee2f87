"""How much memory a span takes. The app's thread waits for that: a microsecond, and more from thirty attributes on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import attrgetter
from sys import getsizeof
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from ...tracking.records import attributes_of

# The span itself, with its ids, times and the dict of its attributes.
_OVERHEAD: Final = 2048
# Types of values without items.
_FLAT: Final = frozenset({str, int, float, bool, bytes, type(None)})
_PRIVATE: Final = "_events"
# `span.events` builds a tuple at each call, which takes longer than all else here; see `attributes_of`.
_events_of: Final[Callable[[ReadableSpan], Collection[Any] | None]] = attrgetter(
    _PRIVATE if hasattr(ReadableSpan("probe", resource=Resource.get_empty()), _PRIVATE) else "events"
)


def memory_of(span: ReadableSpan) -> int:
    """Return about how many bytes a span takes."""
    attributes, events = attributes_of(span), _events_of(span)
    size = _OVERHEAD + (_memory_of_values(attributes) if attributes else 0)
    if events:
        size += sum(_OVERHEAD + _memory_of_values(event.attributes or {}) for event in events)
    return size


def _memory_of_values(attributes: Mapping[str, object]) -> int:
    # The SDK's own mapping looks each value up by a method of its own, and has this faster way.
    copy: Callable[[], Mapping[str, object]] | None = getattr(attributes, "copy", None)
    values = (copy() if copy is not None else attributes).values()
    size = sum(map(getsizeof, values))
    if _FLAT.issuperset(map(type, values)):
        return size
    return size + sum(_memory_inside(value) for value in values if type(value) not in _FLAT)


def _memory_inside(value: object) -> int:
    """Return how many bytes the items of a value take; 0 if it has none."""
    if type(value) is tuple and _FLAT.issuperset(map(type, value)):  # nearly always: the SDK makes tuples of lists
        return sum(map(getsizeof, value))
    if isinstance(value, Mapping):
        value = (*value.keys(), *value.values())
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return 0
    return sum(getsizeof(item) + _memory_inside(item) for item in value)

"""How much memory a span takes. The app's thread waits for that: a microsecond for fifteen attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from sys import getsizeof
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from ...tracking.records import attributes_of, copied

# The span itself, with its ids, times and the dict of its attributes.
_OVERHEAD: Final = 2048
# Types of values without items, and of those that are always as small.
_FLAT: Final = frozenset({str, int, float, bool, bytes, type(None)})
_SMALL: Final = frozenset({float, bool, type(None)})
_SMALL_SIZE: Final = getsizeof(0.0)
# `getsizeof` takes twice as long as these.
_size_of_text: Final = str.__sizeof__
_size_of_int: Final = int.__sizeof__
# `span.events` and `span.links` build a tuple at each call, which takes longer than all else here; see `attributes_of`.
_FIELDS: Final = ("name", "status", "events", "links")
_PROBE: Final = ReadableSpan("probe", resource=Resource.get_empty())
_fields_of: Final[Callable[[ReadableSpan], tuple[Any, ...]]] = attrgetter(
    *((f"_{name}" if hasattr(_PROBE, f"_{name}") else name) for name in _FIELDS)
)


def memory_of(span: ReadableSpan) -> int:
    """Return about how many bytes a span takes."""
    attributes = attributes_of(span)
    name, status, events, links = _fields_of(span)
    size = _OVERHEAD + len(name) + (_memory_of(attributes) if attributes is not None else 0)
    if status.description:  # often the text of an exception
        size += getsizeof(status.description)
    if events:
        size += sum(len(event.name) + _memory_beside(event.attributes) for event in events)
    if links:
        size += sum(_memory_beside(link.attributes) for link in links)
    return size


def _memory_beside(attributes: Mapping[str, Any] | None) -> int:
    """Return how many bytes an event or a link with these attributes takes."""
    return _OVERHEAD + (_memory_of(attributes) if attributes else 0)


def _memory_of(attributes: Mapping[str, Any]) -> int:
    attributes = copied(attributes)
    size = len("".join(attributes))
    for value in attributes.values():
        value_type = type(value)
        if value_type is str:
            size += _size_of_text(value)
        elif value_type is int:
            size += _size_of_int(value)
        elif value_type in _SMALL:
            size += _SMALL_SIZE
        else:
            size += getsizeof(value) + _memory_inside(value)
    return size


def _memory_inside(value: object) -> int:
    """Return how many bytes the items of a value take; 0 if it has none."""
    if type(value) is tuple and _FLAT.issuperset(map(type, value)):  # nearly always: the SDK makes tuples of lists
        return sum(map(getsizeof, value))
    if isinstance(value, Mapping):
        value = (*value.keys(), *value.values())
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return 0
    return sum(getsizeof(item) + _memory_inside(item) for item in value)

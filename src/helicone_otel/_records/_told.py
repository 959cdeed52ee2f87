"""What a span tells, fact by fact: the interpreter of the tables in `dialects`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from .._guard import swallow
from ..dialects._contents import DETAILS, EVENTS, SIDES, SOURCES, Happening
from ._content import Content, Where
from ._forms import FORMS
from ._json import number, read, text_of, whole
from ._messages import Message, messages_of
from ._numbered import gathered
from ._pieces import NUMBERS
from ._types import Event, Facts

# Pydantic AI before version 2 of its conventions, and Logfire, keep events in an attribute.
_EVENTS_IN: Final = ("events", "all_messages_events")
_EVENT_NAME: Final = "event.name"
_MAX_EVENTS: Final = 10_000
_MAX_SHAPES: Final = 512


class _Place(NamedTuple):
    """A place of a fact on spans that have the same attributes.

    Attributes:
        key: The attribute, or the beginning of numbered ones.
        form: How it is written.
        keys: The numbered attributes.
    """

    key: str
    form: str
    keys: tuple[str, ...] = ()


class _Shape(NamedTuple):
    """Where the facts stand on spans that have the same attributes, the best places first.

    Attributes:
        places: By the fact.
        scalars: The attributes of those facts that are no content and need no reading.
    """

    places: dict[str, tuple[_Place, ...]]
    scalars: dict[str, tuple[str, ...]]


def _indexed() -> dict[str, tuple[tuple[str, int, str], ...]]:
    """Return, by attribute, of which facts it is a place, how good a one, and how it is written."""
    index: dict[str, tuple[tuple[str, int, str], ...]] = {}
    places = ((source, key) for source in SOURCES for key in source.keys)
    for rank, (source, key) in enumerate(places):
        index[key] = (*index.get(key, ()), (source.fact, rank, source.form))
    return index


_INDEX: Final = _indexed()
_PREFIXES: Final = tuple(key for key in _INDEX if key.endswith("."))


@lru_cache(_MAX_SHAPES)
def _shape_of(attributes: tuple[str, ...]) -> _Shape:
    numbered: dict[str, list[str]] = {}
    for key in attributes:
        if key.startswith(_PREFIXES) and key not in _INDEX:
            numbered.setdefault(next(prefix for prefix in _PREFIXES if key.startswith(prefix)), []).append(key)
    ranked: dict[str, list[tuple[int, _Place]]] = {}
    for key in (*(key for key in attributes if key in _INDEX), *numbered):
        for fact, rank, form in _INDEX[key]:
            ranked.setdefault(fact, []).append((rank, _Place(key, form, tuple(numbered.get(key, ())))))
    places = {fact: tuple(place for _, place in sorted(found)) for fact, found in ranked.items()}
    scalars = {
        fact: tuple(place.key for place in found)
        for fact, found in places.items()
        if fact not in SIDES and all(place.form == "plain" for place in found)
    }
    return _Shape(places, scalars)


# Of an event's attributes, those that are JSON; `content` is what was said, whatever it looks like.
_STRUCTURED: Final = frozenset({"message", "tool_calls", "parts", "function_call", "gen_ai.event.content"})
# What a redaction hook is told of content that has no name of its own.
_KEY_OF: Final = {"messages": "content", "instructions": "content", "answers": "content", "calls": "arguments"}
_ROLES: Final = {"messages": "user", "answers": "assistant", "instructions": "system"}


class Told:
    """The facts of one span, as far as they may leave.

    Args:
        facts: The span.
        kind: Its kind.
        content: Which content may leave.
    """

    def __init__(self, facts: Facts, kind: str, content: Content) -> None:
        self.facts = facts
        self.kind = kind
        self._content = content
        self._events: dict[str, list[tuple[Happening, Event]]] = {}
        self.attributes = facts.attributes
        self._note_events()
        self._places, self._scalars = _shape_of(tuple(self.attributes))

    def all(self, fact: str) -> Iterator[Any]:
        """Yield what the places of a fact hold, the best first; nothing that is empty or may not leave."""
        places = self._places.get(fact)
        if places is None:
            return
        side = SIDES.get(fact)
        if side is not None and not self._content.may_leave(self.kind, side):
            return
        for place in places:
            value = self._value(fact, place)
            if side is not None and self._content.redact is not None:
                value = self._content.redacted(value, Where(self.kind, side, _KEY_OF.get(fact, fact)))
            if value or type(value) in NUMBERS:
                yield value

    def one(self, fact: str) -> Any:
        """Return what the best place of a fact holds, or `None`."""
        return next(self.all(fact), None) if fact in self._places else None

    def text(self, fact: str) -> str:
        """Return a fact as a text, empty if there is none."""
        for value in self._given(fact):
            if type(value) is str:
                if text := value.strip():
                    return text
            elif isinstance(value, str | int | float) and not isinstance(value, bool):
                return text_of(value)
        return ""

    def whole(self, fact: str) -> int | None:
        """Return a fact as a number that is whole and not negative."""
        for value in self._given(fact):
            if (found := whole(value)) is not None:
                return found
        return None

    def number(self, fact: str) -> float | int | None:
        """Return a fact as a finite number."""
        for value in self._given(fact):
            if (found := number(value)) is not None:
                return found
        return None

    def facts_like(self, beginning: str) -> list[str]:
        """Return the facts that have a place on this span and whose names begin like this."""
        return [fact for fact in self._places if fact.startswith(beginning)]

    def _given(self, fact: str) -> Iterable[Any]:
        """Return what the places of a fact hold; most are bare attributes that need no reading."""
        keys = self._scalars.get(fact)
        if keys is None:
            return self.all(fact) if fact in self._places else ()
        return [self.attributes[key] for key in keys]

    def messages(self, fact: str) -> list[Message]:
        """Return messages, from attributes or else from events."""
        found: list[Message] | None = self.one(fact) or self._redacted(fact, self._from_events(fact))
        return found or []

    def happened(self, fact: str) -> list[dict[str, Any]]:
        """Return what the attributes of events tell that stand for a fact."""
        side = SIDES.get(fact)
        if side is not None and not self._content.may_leave(self.kind, side):
            return []
        told = [_attributes_of(event, happening.prefix) for happening, event in self._events.get(fact, ())]
        return told if side is None else (self._redacted(fact, told) or [])

    def time_of(self, fact: str) -> int | None:
        """Return when the first event was that stands for a fact."""
        times = [event.time for _, event in self._events.get(fact, ())]
        return min(times, default=None)

    def redacted(self, fact: str, value: Any) -> Any:
        """Return what is told elsewhere of a fact, as far as it may leave."""
        side = SIDES.get(fact)
        if value and side is not None and not self._content.may_leave(self.kind, side):
            return None
        return self._redacted(fact, value)

    def _redacted(self, fact: str, value: Any) -> Any:
        side = SIDES.get(fact)
        if not value or side is None or self._content.redact is None:
            return value
        return self._content.redacted(value, Where(self.kind, side, _KEY_OF.get(fact, fact)))

    def _note_events(self) -> None:
        events = [*self.facts.events[:_MAX_EVENTS]]
        for key in _EVENTS_IN:
            if key in self.attributes:
                events += _events_in(self.attributes[key])
        for event in events:
            if event.name == DETAILS:
                self.attributes = {**event.attributes, **self.attributes}
            for happening in EVENTS.get(event.name, ()):
                self._events.setdefault(happening.fact, []).append((happening, event))

    def _value(self, fact: str, place: _Place) -> Any:
        try:
            if place.keys:
                value: Any = gathered(place.key, place.keys, self.attributes)
            else:
                value = self.attributes[place.key]
            if place.form == "messages":
                return messages_of(value, _ROLES[fact])
            return FORMS[place.form](value)
        except Exception as error:  # noqa: BLE001  # one fact less, and not the row
            swallow("row_of", error)
            return None

    def _from_events(self, fact: str) -> list[Message]:
        side = SIDES[fact]
        if not self._content.may_leave(self.kind, side):
            return []
        told: list[Message] = []
        for happening, event in self._events.get(fact, ()):
            try:
                told += _said(happening, event)
            except Exception as error:  # noqa: BLE001  # one message less
                swallow("row_of", error)
        return told


def _said(happening: Happening, event: Event) -> list[Message]:
    """Return the messages of an event: those in one of its attributes, or what all of them make."""
    if happening.key:
        return messages_of(event.attributes.get(happening.key), happening.role)
    told = {key: read(value) if key in _STRUCTURED else value for key, value in event.attributes.items()}
    if "message" not in told:
        told.setdefault("role", happening.role)
    return messages_of(told, happening.role)


def _attributes_of(event: Event, prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): read(value) for key, value in event.attributes.items()}


def _events_in(value: object) -> list[Event]:
    """Return the events that an attribute holds."""
    found = read(value)
    listed = found[:_MAX_EVENTS] if isinstance(found, list) else ()
    return [
        Event(str(item.get(_EVENT_NAME, "")), 0, {key: part for key, part in item.items() if key != _EVENT_NAME})
        for item in listed
        if isinstance(item, Mapping)
    ]

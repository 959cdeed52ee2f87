"""What a span tells, fact by fact: the interpreter of the tables in `dialects`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from .._guard import swallow
from ..dialects import DETAILS, EVENTS, SIDES, SOURCES, Happening
from ._content import Content, Where
from ._forms import FORMS
from ._json import number, read, whole
from ._messages import Message, messages_of
from ._numbered import gathered
from ._types import Event, Facts

# Pydantic AI before version 2 of its conventions, and Logfire, keep events in an attribute.
_EVENTS_IN: Final = ("events", "all_messages_events")
_EVENT_NAME: Final = "event.name"
_MAX_EVENTS: Final = 10_000


class _Place(NamedTuple):
    """A place of a fact: the lower the rank, the better."""

    rank: int
    key: str
    form: str


def _indexed() -> dict[str, tuple[tuple[str, _Place], ...]]:
    index: dict[str, tuple[tuple[str, _Place], ...]] = {}
    places = ((source, key) for source in SOURCES for key in source.keys)
    for rank, (source, key) in enumerate(places):
        index[key] = (*index.get(key, ()), (source.fact, _Place(rank, key, source.form)))
    return index


_INDEX: Final = _indexed()
_KEYS: Final = frozenset(_INDEX)
_PREFIXES: Final = tuple(key for key in _INDEX if key.endswith("."))
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
        self._places: dict[str, list[_Place]] = {}
        self._numbered: dict[str, list[str]] = {}
        self._note_places()

    def all(self, fact: str) -> Iterator[Any]:
        """Yield what the places of a fact hold, the best first; nothing that is empty or may not leave."""
        side = SIDES.get(fact)
        if side is not None and not self._content.may_leave(self.kind, side):
            return
        for place in sorted(self._places.get(fact, ())):
            value = self._value(fact, place)
            if side is not None and self._content.redact is not None:
                value = self._content.redacted(value, Where(self.kind, side, _KEY_OF.get(fact, fact)))
            if value is not None and value not in ("", [], {}):
                yield value

    def one(self, fact: str) -> Any:
        """Return what the best place of a fact holds, or `None`."""
        return next(self.all(fact), None)

    def text(self, fact: str) -> str:
        """Return a fact as a text, empty if there is none."""
        for value in self.all(fact):
            if isinstance(value, str | int | float) and not isinstance(value, bool) and (text := str(value).strip()):
                return text
        return ""

    def whole(self, fact: str) -> int | None:
        """Return a fact as a number that is whole and not negative."""
        return next((found for value in self.all(fact) if (found := whole(value)) is not None), None)

    def number(self, fact: str) -> float | int | None:
        """Return a fact as a finite number."""
        return next((found for value in self.all(fact) if (found := number(value)) is not None), None)

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

    def _note_places(self) -> None:
        for key in self.attributes:
            if key in _KEYS:
                found = key
            elif key.startswith(_PREFIXES):
                found = next(prefix for prefix in _PREFIXES if key.startswith(prefix))
                self._numbered.setdefault(found, []).append(key)
                if len(self._numbered[found]) > 1:
                    continue
            else:
                continue
            for fact, place in _INDEX[found]:
                self._places.setdefault(fact, []).append(place)

    def _value(self, fact: str, place: _Place) -> Any:
        try:
            if place.key in self._numbered:
                value: Any = gathered(place.key, self._numbered[place.key], self.attributes)
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
    told = {key: read(value) for key, value in event.attributes.items()}
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

"""What a span tells, fact by fact: the interpreter of the tables in `dialects`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ...failures import swallow
from .content import Content, Where
from .forms import FORMS, NUMBERS
from .jsonread import number, read, text_of, whole
from .messages import Message, messages_of
from .sources import DETAILS, EVENTS, SIDES, SOURCES, EventSource
from .types import Event, FinishedSpan

_MAX_SHAPES: Final = 512
# Spans with more attributes are seldom alike.
_MAX_KEYS: Final = 96
_PARAMETER: Final = "parameter."
_TOKENS: Final = "tokens."


class KeySource(NamedTuple):
    """A place of a fact on spans that have the same attributes.

    Attributes:
        key: The attribute, or the beginning of numbered ones.
        form: How it is written.
        keys: The numbered attributes.
    """

    key: str
    form: str
    keys: tuple[str, ...] = ()


class Shape(NamedTuple):
    """Where the facts stand on spans that have the same attributes, the best places first.

    Attributes:
        key_sources: By the fact.
        scalars: The attributes of those facts that are no content and need no reading.
        parameters: Names of parameters, and the facts that are their values.
        tokens: The facts that are numbers of tokens.
    """

    key_sources: dict[str, tuple[KeySource, ...]]
    scalars: dict[str, tuple[str, ...]]
    parameters: tuple[tuple[str, str], ...]
    tokens: tuple[str, ...]


def _indexed() -> dict[str, tuple[tuple[str, int, str], ...]]:
    """Return, by attribute, of which facts it is a place, how good a one, and how it is written."""
    index: dict[str, tuple[tuple[str, int, str], ...]] = {}
    key_sources = ((source, key) for source in SOURCES for key in source.keys)
    for rank, (source, key) in enumerate(key_sources):
        index[key] = (*index.get(key, ()), (source.fact, rank, source.form))
    return index


_INDEX: Final = _indexed()
_PREFIXES: Final = tuple(key for key in _INDEX if key.endswith("."))


def shape_of(attributes: tuple[str, ...]) -> Shape:
    """Return where the facts stand on spans that have these attributes."""
    return _remembered(attributes) if len(attributes) <= _MAX_KEYS else _remembered.__wrapped__(attributes)


@lru_cache(_MAX_SHAPES)
def _remembered(attributes: tuple[str, ...]) -> Shape:
    numbered: dict[str, list[str]] = {}
    for key in attributes:
        if key.startswith(_PREFIXES) and key not in _INDEX:
            numbered.setdefault(next(prefix for prefix in _PREFIXES if key.startswith(prefix)), []).append(key)
    ranked: dict[str, list[tuple[int, KeySource]]] = {}
    for key in (*(key for key in attributes if key in _INDEX), *numbered):
        for fact, rank, form in _INDEX[key]:
            ranked.setdefault(fact, []).append((rank, KeySource(key, form, tuple(numbered.get(key, ())))))
    key_sources = {fact: tuple(key_source for _, key_source in sorted(found)) for fact, found in ranked.items()}
    scalars = {
        fact: tuple(key_source.key for key_source in found)
        for fact, found in key_sources.items()
        if fact not in SIDES and all(key_source.form == "plain" for key_source in found)
    }
    parameters = tuple((fact.removeprefix(_PARAMETER), fact) for fact in key_sources if fact.startswith(_PARAMETER))
    return Shape(key_sources, scalars, parameters, tuple(fact for fact in key_sources if fact.startswith(_TOKENS)))


_MAX_LEVELS: Final = 12
_MAX_DIGITS: Final = 9
# OpenInference names what a list holds once more at each of its items.
_NAMED_ONCE_MORE: Final = frozenset(
    {"message", "message_content", "tool_call", "document", "embedding", "tool", "image", "prompt", "completion"}
)
# Its instrumentation of Anthropic says with the one that a part is a call, and with the other which.
_PART_AND_CALL: Final = {"message_content", "tool_call"}


def gathered(prefix: str, keys: Iterable[str], attributes: Mapping[str, object]) -> list[Any]:
    """Return the list that attributes hold whose names begin with a prefix."""
    items: dict[str, Any] = {}
    for key in keys:
        levels = key[len(prefix) :].split(".", _MAX_LEVELS)
        if not _is_number(levels[0]):
            continue
        there: Any = items
        for level in levels[:-1]:
            there = there.setdefault(level, {}) if isinstance(there, dict) else None
        if isinstance(there, dict):
            there.setdefault(levels[-1], attributes[key])
    return [_plain(item) for _, item in sorted(items.items(), key=lambda pair: int(pair[0]))]


def _plain(node: Any) -> Any:
    if not isinstance(node, dict):
        return node if isinstance(node, str) else read(node)
    if all(map(_is_number, node)):
        return [_plain(item) for _, item in sorted(node.items(), key=lambda pair: int(pair[0]))]
    if len(node) == 1:
        (name,) = node
        if name in _NAMED_ONCE_MORE:
            return _plain(node[name])
    told = {name: _plain(item) for name, item in node.items()}
    if told.keys() == _PART_AND_CALL and all(isinstance(item, dict) for item in told.values()):
        return {**told["message_content"], **told["tool_call"]}
    return told


def _is_number(level: str) -> bool:
    return level.isdecimal() and level.isascii() and len(level) <= _MAX_DIGITS


# Pydantic AI before version 2 of its conventions, and Logfire, keep events in an attribute.
_EVENTS_IN: Final = ("events", "all_messages_events")
_EVENT_NAME: Final = "event.name"
_MAX_EVENTS: Final = 10_000


# Of an event's attributes, those that are JSON; `content` is what was said, whatever it looks like.
_STRUCTURED: Final = frozenset({"message", "tool_calls", "parts", "function_call", "gen_ai.event.content"})
# What a redaction hook is told of content that has no name of its own.
_KEY_OF: Final = {"messages": "content", "instructions": "content", "answers": "content", "calls": "arguments"}
_ROLES: Final = {"messages": "user", "answers": "assistant", "instructions": "system"}


class SpanFacts:
    """The facts of one span, as far as they may leave.

    Args:
        facts: The span.
        kind: Its kind.
        content: Which content may leave.

    Attributes:
        attributes: The span's.
    """

    def __init__(self, facts: FinishedSpan, kind: str, content: Content) -> None:
        self.facts = facts
        self.kind = kind
        self._content = content
        self._events: dict[str, list[tuple[EventSource, Event]]] = {}
        self.attributes = facts.attributes
        self._note_events()
        self._withheld = content.withheld(kind)
        self._shape = shape_of(tuple(self.attributes))
        self._places = self._shape.key_sources

    @property
    def each(self) -> tuple[SpanFacts, ...]:
        """What each span of the call tells; the one that stands for it comes first."""
        return (self,)

    def knows(self, fact: str) -> bool:
        """Tell whether a fact has a place on the span."""
        return fact in self._places

    def all(self, fact: str) -> Iterator[Any]:
        """Yield what the places of a fact hold, the best first; nothing that is empty or may not leave."""
        for key_source in self._places.get(fact, ()) if SIDES.get(fact) not in self._withheld else ():
            value = self._value(fact, key_source)
            if value or type(value) in NUMBERS:
                yield value

    def one(self, fact: str) -> Any:
        """Return what the best place of a fact holds, or `None`."""
        if fact in self._places and SIDES.get(fact) not in self._withheld:
            for key_source in self._places[fact]:
                value = self._value(fact, key_source)
                if value or type(value) in NUMBERS:
                    return value
        return None

    def text(self, fact: str) -> str:
        """Return a fact as a text, empty if there is none."""
        for value in self.given(fact) if fact in self._places else ():
            if type(value) is str:
                if text := value.strip():
                    return text
            elif isinstance(value, str | int | float) and not isinstance(value, bool):
                return text_of(value)
        return ""

    def whole(self, fact: str) -> int | None:
        """Return a fact as a number that is whole and not negative."""
        for value in self.given(fact) if fact in self._places else ():
            if (found := whole(value)) is not None:
                return found
        return None

    def number(self, fact: str) -> float | int | None:
        """Return a fact as a finite number."""
        for value in self.given(fact) if fact in self._places else ():
            if (found := number(value)) is not None:
                return found
        return None

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that have attributes of their own, as they stand there."""
        scalars = self._shape.scalars
        return {
            name: self.attributes[scalars[fact][0]] if fact in scalars else self.one(fact)
            for name, fact in self._shape.parameters
        }

    def tokens(self) -> dict[str, int | None]:
        """Return how many tokens there were, by the fact, of those that have attributes of their own."""
        return {fact: self.whole(fact) for fact in self._shape.tokens}

    def given(self, fact: str) -> Iterable[Any]:
        """Return what the places of a fact hold; most are bare attributes that need no reading."""
        keys = self._shape.scalars.get(fact)
        if keys is not None:
            return map(self.attributes.__getitem__, keys)
        return self.all(fact) if fact in self._places else ()

    def messages(self, fact: str) -> list[Message]:
        """Return messages, from attributes or else from events."""
        found: list[Message] | None = self.one(fact)
        if not found and fact in self._events and SIDES[fact] not in self._withheld:
            found = self._redacted(fact, self._from_events(fact))
        return found or []

    def happened(self, fact: str) -> list[dict[str, Any]]:
        """Return what the attributes of events tell that stand for a fact."""
        if fact not in self._events or SIDES.get(fact) in self._withheld:
            return []
        told = [_attributes_of(event, happening.prefix) for happening, event in self._events[fact]]
        return self._redacted(fact, told) or []

    def time_of(self, fact: str) -> int | None:
        """Return when the first event was that stands for a fact."""
        return min(event.time for _, event in self._events[fact]) if fact in self._events else None

    def redacted(self, fact: str, value: Any) -> Any:
        """Return what is told elsewhere of a fact, as far as it may leave."""
        return None if SIDES.get(fact) in self._withheld else self._redacted(fact, value)

    def _redacted(self, fact: str, value: Any) -> Any:
        if not value or self._content.redact is None or (side := SIDES.get(fact)) is None:
            return value
        return self._content.redacted(value, Where(self.kind, side, _KEY_OF.get(fact, fact)))

    def _note_events(self) -> None:
        events = list(self.facts.events[:_MAX_EVENTS])
        for key in _EVENTS_IN:
            if key in self.attributes:
                events += _events_in(self.attributes[key])
        for event in events:
            if event.name == DETAILS:
                self.attributes = {**event.attributes, **self.attributes}
            for happening in EVENTS.get(event.name, ()):
                self._events.setdefault(happening.fact, []).append((happening, event))

    def _value(self, fact: str, key_source: KeySource) -> Any:
        try:
            if key_source.keys:
                value: Any = gathered(key_source.key, key_source.keys, self.attributes)
            else:
                value = self.attributes[key_source.key]
            value = messages_of(value, _ROLES[fact]) if key_source.form == "messages" else FORMS[key_source.form](value)
            return self._redacted(fact, value)
        except Exception as error:  # noqa: BLE001  # one fact less, and not the row
            swallow("row_of", error)
            return None

    def _from_events(self, fact: str) -> list[Message]:
        told: list[Message] = []
        for happening, event in self._events.get(fact, ()):
            try:
                told += _said(happening, event)
            except Exception as error:  # noqa: BLE001  # one message less
                swallow("row_of", error)
        return told


def _said(happening: EventSource, event: Event) -> list[Message]:
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


# That a framework failed with an answer does not make a failure of the call.
_OWN: Final = frozenset({"status"})


class MergedFacts(SpanFacts):
    """The facts of a call of which several spans tell."""

    def __init__(self, facts: FinishedSpan, kind: str, content: Content) -> None:
        super().__init__(facts, kind, content)
        self._each = tuple(SpanFacts(one, kind, content) for one in (facts, *facts.wrappers))

    @property
    def each(self) -> tuple[SpanFacts, ...]:
        """What each span of the call tells; the one that stands for it comes first."""
        return self._each

    def knows(self, fact: str) -> bool:
        """Tell whether a fact has a place on one of the spans."""
        return any(told.knows(fact) for told in self._tellers(fact))

    def all(self, fact: str) -> Iterator[Any]:
        """Yield what the places of a fact hold on the first span that tells it."""
        yield from next(filter(None, (list(told.all(fact)) for told in self._tellers(fact))), ())

    def one(self, fact: str) -> Any:
        """Return what the best place of a fact holds, or `None`."""
        found = (told.one(fact) for told in self._tellers(fact))
        return next((value for value in found if value is not None), None)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that have attributes of their own."""
        merged: dict[str, Any] = {}
        for told in reversed(self.each):
            merged |= {name: value for name, value in told.parameters().items() if value is not None}
        return merged

    def messages(self, fact: str) -> list[Message]:
        """Return the messages of the first span that has any."""
        return next(filter(None, (told.messages(fact) for told in self.each)), [])

    def happened(self, fact: str) -> list[dict[str, Any]]:
        """Return what events tell that stand for a fact, of the first span that has any."""
        return next(filter(None, (told.happened(fact) for told in self.each)), [])

    def time_of(self, fact: str) -> int | None:
        """Return when the first event was that stands for a fact, on the first span that has one."""
        return next((time for told in self.each if (time := told.time_of(fact)) is not None), None)

    def given(self, fact: str) -> Iterable[Any]:
        """Return what the places of a fact hold on the first span that tells it."""
        return self.all(fact)

    def text(self, fact: str) -> str:
        """Return a fact as a text, empty if there is none."""
        return next(filter(None, (told.text(fact) for told in self._tellers(fact))), "")

    def whole(self, fact: str) -> int | None:
        """Return a fact as a number that is whole and not negative."""
        return next((found for told in self._tellers(fact) if (found := told.whole(fact)) is not None), None)

    def number(self, fact: str) -> float | int | None:
        """Return a fact as a finite number."""
        return next((found for told in self._tellers(fact) if (found := told.number(fact)) is not None), None)

    def _tellers(self, fact: str) -> tuple[SpanFacts, ...]:
        return self.each[:1] if fact in _OWN else self.each

"""Reads the facts of a call from its spans, by the tables in `sources`.

A fact is a model's name, a number of tokens, the messages. `SpanFacts` reads one span, and `MergedFacts` all spans of
one call. Both leave out content that may not leave the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ...failures import swallow
from .content import Content, Where
from .forms import FORMS
from .jsonread import NUMBERS, number, read, text_of, whole
from .messages import Message, messages_of
from .sources import DETAILS, EVENTS, SIDES, SOURCES, EventSource
from .types import Event, FinishedSpan

# Who wrote messages that name no role.
_ROLES: Final = {"messages": "user", "answers": "assistant", "instructions": "system"}
# The key that a redaction hook gets for content that has no key of its own.
_HOOK_KEYS: Final = {"messages": "content", "instructions": "content", "answers": "content", "calls": "arguments"}
# Attributes that hold events as JSON: of Pydantic AI before version 2 of its conventions, and of Logfire.
_EVENTS_IN: Final = ("events", "all_messages_events")
_EVENT_NAME: Final = "event.name"
_MAX_EVENTS: Final = 10_000
# Attributes of events that hold JSON. `content` is not one of them: it is text, even if it looks like JSON.
_JSON_IN_EVENTS: Final = frozenset({"message", "tool_calls", "parts", "function_call", "gen_ai.event.content"})
# Facts that wrappers do not have: a framework may fail although the call succeeded.
_NOT_FROM_WRAPPERS: Final = frozenset({"status"})

_PARAMETER: Final = "parameter."
_TOKENS: Final = "tokens."
_MAX_LAYOUTS: Final = 512
# Spans with more attributes, or longer names of them, seldom have the same ones, so their layouts are not kept.
_MAX_KEYS: Final = 96
_MAX_LENGTH: Final = 64 * _MAX_KEYS

_MAX_LEVELS: Final = 12
_MAX_DIGITS: Final = 9
# OpenInference repeats the name of a list at each of its items: `llm.input_messages.0.message.role`.
_ITEM_NAMES: Final = frozenset(
    {"message", "message_content", "tool_call", "document", "embedding", "tool", "image", "prompt", "completion"}
)
# OpenInference for Anthropic has two objects for one tool call: one says that a part is a call, the other which.
_PART_AND_CALL: Final = {"message_content", "tool_call"}


class SpanFacts:
    """The facts of one span, without content that may not leave.

    Args:
        span: The span.
        kind: Its kind.
        content: Which content may leave.

    Attributes:
        attributes: The attributes of the span, and of an event with details, if it has one.
    """

    def __init__(self, span: FinishedSpan, kind: str, content: Content) -> None:
        self.span = span
        self.kind = kind
        self._content = content
        self._events: dict[str, list[tuple[EventSource, Event]]] = {}
        self.attributes = span.attributes
        self._add_events()
        is_logged = kind in content.inputs and kind in content.outputs
        self._withheld = () if is_logged else content.withheld(kind)
        self._layout = layout_of(tuple(self.attributes))
        self._sources = self._layout.sources

    @property
    def by_span(self) -> tuple[SpanFacts, ...]:
        """The facts of each span of the call; those of the span that stands for the call come first."""
        return (self,)

    def has(self, fact: str) -> bool:
        """Tell whether the span has an attribute for a fact."""
        return fact in self._sources

    def all(self, fact: str) -> Iterator[Any]:
        """Yield the values of a fact, the one of the best source first, without those that are empty or withheld."""
        for source in self._sources.get(fact, ()) if SIDES.get(fact) not in self._withheld else ():
            value = self._value(fact, source)
            if value or type(value) in NUMBERS:
                yield value

    def one(self, fact: str) -> Any:
        """Return the value of a fact from its best source, or `None`."""
        if fact in self._sources and SIDES.get(fact) not in self._withheld:
            for source in self._sources[fact]:
                value = self._value(fact, source)
                if value or type(value) in NUMBERS:
                    return value
        return None

    def raw(self, fact: str) -> Iterable[Any]:
        """Return the values of a fact. Scalars, the usual case, are returned as they are, without a reader."""
        keys = self._layout.scalars.get(fact)
        if keys is not None:
            return map(self.attributes.__getitem__, keys)
        return self.all(fact) if fact in self._sources else ()

    def text(self, fact: str) -> str:
        """Return a fact as a text; empty if there is none."""
        for value in self.raw(fact) if fact in self._sources else ():
            if type(value) is str:
                if text := value.strip():
                    return text
            elif isinstance(value, str | int | float) and not isinstance(value, bool):
                return text_of(value)
        return ""

    def whole(self, fact: str) -> int | None:
        """Return a fact as a whole number that is not negative."""
        for value in self.raw(fact) if fact in self._sources else ():
            if (found := whole(value)) is not None:
                return found
        return None

    def number(self, fact: str) -> float | int | None:
        """Return a fact as a finite number."""
        for value in self.raw(fact) if fact in self._sources else ():
            if (found := number(value)) is not None:
                return found
        return None

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that have attributes of their own, by OpenAI's names."""
        scalars = self._layout.scalars
        return {
            name: self.attributes[scalars[fact][0]] if fact in scalars else self.one(fact)
            for name, fact in self._layout.parameters
        }

    def tokens(self) -> dict[str, int | None]:
        """Return the numbers of tokens that have attributes of their own, by fact."""
        return {fact: self.whole(fact) for fact in self._layout.tokens}

    def messages(self, fact: str) -> list[Message]:
        """Return messages from attributes, or else from events."""
        found: list[Message] | None = self.one(fact)
        if not found and fact in self._events and SIDES[fact] not in self._withheld:
            found = self._redacted(fact, self._messages_from_events(fact))
        return found or []

    def event_attributes(self, fact: str) -> list[dict[str, Any]]:
        """Return the attributes of each event that is a source of a fact."""
        if fact not in self._events or SIDES.get(fact) in self._withheld:
            return []
        found = [
            {key.removeprefix(source.prefix): read(value) for key, value in event.attributes.items()}
            for source, event in self._events[fact]
        ]
        return self._redacted(fact, found) or []

    def first_event_time(self, fact: str) -> int | None:
        """Return the time of the first event that is a source of a fact, in nanoseconds since the epoch."""
        return min(event.time for _, event in self._events[fact]) if fact in self._events else None

    def redacted(self, fact: str, value: Any) -> Any:
        """Return the value of a fact that was read elsewhere, redacted; `None` if it may not leave."""
        return None if SIDES.get(fact) in self._withheld else self._redacted(fact, value)

    def _redacted(self, fact: str, value: Any) -> Any:
        if not value or self._content.redact is None or (side := SIDES.get(fact)) is None:
            return value
        return self._content.redacted(value, Where(self.kind, side, _HOOK_KEYS.get(fact, fact)))

    def _value(self, fact: str, source: KeySource) -> Any:
        try:
            if source.keys:
                value: Any = numbered_list(source.key, source.keys, self.attributes)
            else:
                value = self.attributes[source.key]
            value = FORMS[source.form](value)
            if fact in _ROLES:
                value = messages_of(value, _ROLES[fact])
            return self._redacted(fact, value)
        except Exception as error:  # noqa: BLE001  # the row then lacks one fact
            swallow("row_of", error)
            return None

    def _add_events(self) -> None:
        events = list(self.span.events[:_MAX_EVENTS])
        for key in _EVENTS_IN:
            if key in self.attributes:
                events += _events_in(self.attributes[key])
        for event in events:
            if event.name == DETAILS:
                self.attributes = {**event.attributes, **self.attributes}
            for source in EVENTS.get(event.name, ()):
                self._events.setdefault(source.fact, []).append((source, event))

    def _messages_from_events(self, fact: str) -> list[Message]:
        messages: list[Message] = []
        for source, event in self._events.get(fact, ()):
            try:
                messages += _messages_of_event(source, event)
            except Exception as error:  # noqa: BLE001  # the row then lacks one message
                swallow("row_of", error)
        return messages


class MergedFacts(SpanFacts):
    """The facts of a call that has several spans. Each fact is read from the first span that has it."""

    def __init__(self, span: FinishedSpan, kind: str, content: Content) -> None:
        super().__init__(span, kind, content)
        self._by_span = tuple(SpanFacts(one, kind, content) for one in (span, *span.wrappers))

    @property
    def by_span(self) -> tuple[SpanFacts, ...]:
        """The facts of each span of the call; those of the span that stands for the call come first."""
        return self._by_span

    def has(self, fact: str) -> bool:
        """Tell whether one of the spans has an attribute for a fact."""
        return any(facts.has(fact) for facts in self._with(fact))

    def all(self, fact: str) -> Iterator[Any]:
        """Yield the values of a fact on the first span that has any."""
        yield from next(filter(None, (list(facts.all(fact)) for facts in self._with(fact))), ())

    def one(self, fact: str) -> Any:
        """Return the value of a fact from its best source, or `None`."""
        found = (facts.one(fact) for facts in self._with(fact))
        return next((value for value in found if value is not None), None)

    def raw(self, fact: str) -> Iterable[Any]:
        """Return the values of a fact on the first span that has any."""
        return self.all(fact)

    def text(self, fact: str) -> str:
        """Return a fact as a text; empty if there is none."""
        return next(filter(None, (facts.text(fact) for facts in self._with(fact))), "")

    def whole(self, fact: str) -> int | None:
        """Return a fact as a whole number that is not negative."""
        return next((found for facts in self._with(fact) if (found := facts.whole(fact)) is not None), None)

    def number(self, fact: str) -> float | int | None:
        """Return a fact as a finite number."""
        return next((found for facts in self._with(fact) if (found := facts.number(fact)) is not None), None)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that have attributes of their own, by OpenAI's names."""
        merged: dict[str, Any] = {}
        for facts in reversed(self.by_span):
            merged |= {name: value for name, value in facts.parameters().items() if value is not None}
        return merged

    def messages(self, fact: str) -> list[Message]:
        """Return the messages of the first span that has any."""
        return next(filter(None, (facts.messages(fact) for facts in self.by_span)), [])

    def event_attributes(self, fact: str) -> list[dict[str, Any]]:
        """Return the attributes of each event that is a source of a fact, of the first span that has any."""
        return next(filter(None, (facts.event_attributes(fact) for facts in self.by_span)), [])

    def first_event_time(self, fact: str) -> int | None:
        """Return the time of the first event that is a source of a fact, on the first span that has one."""
        times = (facts.first_event_time(fact) for facts in self.by_span)
        return next((time for time in times if time is not None), None)

    def _with(self, fact: str) -> tuple[SpanFacts, ...]:
        """Return the facts of the spans that a fact may be read from."""
        return self.by_span[:1] if fact in _NOT_FROM_WRAPPERS else self.by_span


# --- events ---------------------------------------------------------------------------------------


def _messages_of_event(source: EventSource, event: Event) -> list[Message]:
    """Return the messages of an event: those in one of its attributes, or the one that all its attributes make."""
    if source.key:
        return messages_of(event.attributes.get(source.key), source.role)
    message = {key: read(value) if key in _JSON_IN_EVENTS else value for key, value in event.attributes.items()}
    if "message" not in message:
        message.setdefault("role", source.role)
    return messages_of(message, source.role)


def _events_in(value: object) -> list[Event]:
    """Return the events that an attribute holds as JSON."""
    found = read(value)
    items = found[:_MAX_EVENTS] if isinstance(found, list) else ()
    return [
        Event(str(item.get(_EVENT_NAME, "")), 0, {key: part for key, part in item.items() if key != _EVENT_NAME})
        for item in items
        if isinstance(item, Mapping)
    ]


# --- which attributes hold which fact -------------------------------------------------------------


class KeySource(NamedTuple):
    """An attribute that holds a fact.

    Attributes:
        key: The attribute, or the prefix of numbered ones.
        form: How its value is written; a name in `FORMS`.
        keys: The numbered attributes with that prefix.
    """

    key: str
    form: str
    keys: tuple[str, ...] = ()


class Layout(NamedTuple):
    """Which attributes hold which facts, on all spans that have the same attributes.

    Attributes:
        sources: By fact, the attributes that hold it, the best first.
        scalars: The same for facts that need no reader and are no content.
        parameters: The names of parameters, and the facts that hold their values.
        tokens: The facts that are numbers of tokens.
    """

    sources: dict[str, tuple[KeySource, ...]]
    scalars: dict[str, tuple[str, ...]]
    parameters: tuple[tuple[str, str], ...]
    tokens: tuple[str, ...]


def layout_of(keys: tuple[str, ...]) -> Layout:
    """Return the layout of spans that have these attributes."""
    return (_cached_layout if may_be_kept(keys) else _cached_layout.__wrapped__)(keys)


def may_be_kept(keys: tuple[str, ...]) -> bool:
    """Tell whether the attributes of a span are few and short enough to remember what follows from their names."""
    return len(keys) <= _MAX_KEYS and sum(map(len, keys)) <= _MAX_LENGTH


@lru_cache(_MAX_LAYOUTS)
def _cached_layout(keys: tuple[str, ...]) -> Layout:
    numbered: dict[str, list[str]] = {}
    for key in keys:
        if key.startswith(_PREFIXES) and key not in _INDEX:
            numbered.setdefault(next(prefix for prefix in _PREFIXES if key.startswith(prefix)), []).append(key)
    ranked: dict[str, list[tuple[int, KeySource]]] = {}
    for key in (*(key for key in keys if key in _INDEX), *numbered):
        for fact, rank, form in _INDEX[key]:
            ranked.setdefault(fact, []).append((rank, KeySource(key, form, tuple(numbered.get(key, ())))))
    sources = {fact: tuple(source for _, source in sorted(found)) for fact, found in ranked.items()}
    scalars = {
        fact: tuple(source.key for source in found)
        for fact, found in sources.items()
        if fact not in SIDES and all(source.form == "plain" for source in found)
    }
    parameters = tuple((fact.removeprefix(_PARAMETER), fact) for fact in sources if fact.startswith(_PARAMETER))
    return Layout(sources, scalars, parameters, tuple(fact for fact in sources if fact.startswith(_TOKENS)))


def _index() -> dict[str, tuple[tuple[str, int, str], ...]]:
    """Return, by attribute, the facts that it may hold: each with the rank of this source, and the form."""
    index: dict[str, tuple[tuple[str, int, str], ...]] = {}
    pairs = ((source, key) for source in SOURCES for key in source.keys)
    for rank, (source, key) in enumerate(pairs):
        index[key] = (*index.get(key, ()), (source.fact, rank, source.form))
    return index


_INDEX: Final = _index()
_PREFIXES: Final = tuple(key for key in _INDEX if key.endswith("."))


# --- numbered attributes: `gen_ai.prompt.0.role` ----------------------------------------------------


def numbered_list(prefix: str, keys: Iterable[str], attributes: Mapping[str, object]) -> list[Any]:
    """Return the list in numbered attributes such as `gen_ai.prompt.0.role` and `gen_ai.prompt.0.content`."""
    items: dict[str, Any] = {}
    for key in keys:
        levels = key[len(prefix) :].split(".", _MAX_LEVELS)
        if not _is_number(levels[0]):
            continue
        node: Any = items
        for level in levels[:-1]:
            node = node.setdefault(level, {}) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.setdefault(levels[-1], attributes[key])
    return [_plain(item) for _, item in sorted(items.items(), key=lambda pair: int(pair[0]))]


def _plain(node: Any) -> Any:
    """Return the lists and objects of a tree whose keys are numbers and names."""
    if not isinstance(node, dict):
        return node if isinstance(node, str) else read(node)
    if all(map(_is_number, node)):
        return [_plain(item) for _, item in sorted(node.items(), key=lambda pair: int(pair[0]))]
    if len(node) == 1:
        (name,) = node
        if name in _ITEM_NAMES:
            return _plain(node[name])
    members = {name: _plain(item) for name, item in node.items()}
    if members.keys() == _PART_AND_CALL and all(isinstance(item, dict) for item in members.values()):
        return {**members["message_content"], **members["tool_call"]}
    return members


def _is_number(level: str) -> bool:
    return level.isdecimal() and level.isascii() and len(level) <= _MAX_DIGITS


def facts_of(span: FinishedSpan, kind: str, content: Content) -> SpanFacts:
    """Return the facts of a call: those of its span, and what that lacks from its wrappers."""
    return MergedFacts(span, kind, content) if span.wrappers else SpanFacts(span, kind, content)

"""What is this span? The schema of the dialects, and the one interpreter of their tables.

A *dialect* is one family's convention for telling kinds, names and conversation ids, written as
rows. `Vocabulary.read` finds the first row that fits a span. Nothing here knows OpenTelemetry:
a span is its scope's name, its own name and kind, and a mapping of attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple, cast, get_args

from . import _wire
from ._names import clean_name, fit_template

Kind = Literal["workflow", "agent", "task", "tool", "llm", "embedding", "vector_db", "rerank", "guardrail"]
SpanKind = Literal["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]

KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
# A call stands *at* the path of the step it serves; every other kind is a step of the path.
CALL_KINDS: Final[Mapping[str, str]] = {"llm": "chat", "embedding": "embeddings"}
# The kinds of which one span is one row in Helicone.
REQUEST_KINDS: Final[frozenset[str]] = KINDS - {"workflow", "agent", "task"}

_MAX_SCOPES = 1024
_MAX_NAMES = 512


class Row(NamedTuple):
    """One fact of a dialect: spans that look like this are of that kind.

    Attributes:
        kind: What such a span is; `None` for plumbing that must not be taken for a step.
        attribute: A key that the span must have; empty: any span.
        values: Accepted values of `attribute`, lower-case; empty: any value.
        names: Span names, exact or with a `*` at either end; empty: any name.
        span_kinds: OpenTelemetry's span kinds; empty: any.
        segment: The step's name where the convention has none of its own.
        named_by: Attributes that hold the step's own name, the best first.
        templates: Else its name is what stands for `*` in the first of these that the span's name
            fits (`execute_tool *`), else the cleaned span name.
        request: A span of this row can be the one that stands for a real call.
        detached: Such a span is never the current one, so the call that it wraps is not below it
            but beside it: another scope's call of the same kind that began and ended inside it.
    """

    kind: Kind | None
    attribute: str = ""
    values: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    span_kinds: tuple[SpanKind, ...] = ()
    segment: str = ""
    named_by: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    request: bool = True
    detached: bool = False

    def fits(self, name: str, span_kind: str) -> bool:
        """Tell whether a span that has this row's attribute looks like it otherwise too."""
        if self.span_kinds and span_kind not in self.span_kinds:
            return False
        return not self.names or any(fit_template(template, name) is not None for template in self.names)


class Dialect(NamedTuple):
    """One family's convention.

    Attributes:
        name: As `explain` prints it.
        scopes: Instrumentation scopes, exact or with a final `*`; empty: rows hold for every scope.
        rows: The first that fits decides, so the special ones come first.
        session_ids: Attributes in which the family keeps a conversation's id, the best first.
        user_ids: Attributes in which the family keeps the end user's id.
        takes_headers: False for scopes whose carriers are no HTTP headers (MCP's `_meta`).
        bare_carriers: The SDK injects into an empty `dict` and then overwrites the request's
            headers with it, so what the caller set cannot be seen there.
    """

    name: str
    scopes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    session_ids: tuple[str, ...] = ()
    user_ids: tuple[str, ...] = ()
    takes_headers: bool = True
    bare_carriers: bool = False


class Reading(NamedTuple):
    """What a span is, as far as it has shown itself.

    Attributes:
        kind: Its kind, if it is anything to us.
        segment: The segment that it contributes to the path, if any.
        dialect: Whose table decided.
        row: Which row.
        recognised: A dialect knows it as part of an LLM app; it is not merely the app's own.
    """

    kind: Kind | None = None
    segment: str | None = None
    dialect: str = ""
    row: Row | None = None
    recognised: bool = False


APPLICATION: Final = "application"
BY_HAND: Final = "by hand"
NOTHING: Final = Reading()

# https://opentelemetry.io/docs/specs/semconv/http/http-spans/, now and before.
URL_ATTRIBUTES: Final = ("url.full", "http.url")
_FOREIGN: Final = (_wire.OTEL_SESSION_ID, _wire.OTEL_CONVERSATION_ID, _wire.OTEL_USER_ID)
_OURS: Final = (_wire.SPAN_KIND, _wire.SESSION_ID, _wire.SESSION_PATH, _wire.SESSION_NAME)


_NO_ROW: Final = Row(kind=None)
_ANY: Final = "*"  # in the index: a row that takes any value
_Ranked = tuple[int, str, Row]  # precedence, dialect's name, row


class Scope:
    """What the dialects say about one instrumentation scope, indexed for reading its spans."""

    __slots__ = (
        "_by_name",
        "_by_value",
        "_named",
        "application",
        "bare_carriers",
        "detached",
        "known",
        "name",
        "takes_headers",
    )

    def __init__(self, name: str, dialects: Sequence[Dialect], application: bool) -> None:
        self.name = name
        own = [dialect for dialect in dialects if dialect.scopes and is_listed(name, dialect.scopes)]
        shared = [dialect for dialect in dialects if not dialect.scopes]
        self.known = bool(own)
        self.application = application and not own
        self.takes_headers = all(dialect.takes_headers for dialect in own)
        self.bare_carriers = any(dialect.bare_carriers for dialect in own)
        self.detached = any(row.detached for dialect in own for row in dialect.rows)
        self._by_value: dict[str, dict[str, list[_Ranked]]] = {}
        self._named: list[_Ranked] = []
        self._by_name: dict[tuple[str, str], _Ranked | None] = {}
        ranked = enumerate((dialect, row) for dialect in own + shared for row in dialect.rows)
        for rank, (dialect, row) in ranked:
            entry = (rank, dialect.name, row)
            if not row.attribute:
                self._named.append(entry)
                continue
            for value in row.values or {_ANY}:
                self._by_value.setdefault(row.attribute, {}).setdefault(value, []).append(entry)

    def candidates(self, key: str, value: object) -> Iterable[_Ranked]:
        """Return the rows that speak of an attribute with this value."""
        rows = self._by_value.get(key)
        if rows is None:
            return ()
        exact = rows.get(value.lower(), ()) if isinstance(value, str) else ()
        return (*exact, *rows.get(_ANY, ()))

    def by_name(self, name: str, span_kind: str) -> _Ranked | None:
        """Return the first row without an attribute that fits; remembered, names being few."""
        key = (name, span_kind)
        if key in self._by_name:
            return self._by_name[key]
        if len(self._by_name) >= _MAX_NAMES:
            self._by_name.clear()
        found = next((entry for entry in self._named if entry[2].fits(name, span_kind)), None)
        self._by_name[key] = found
        return found


class Vocabulary:
    """All dialects of a process, with the attribute names that the user configured.

    Args:
        dialects: In order of precedence where two families describe the same span.
        libraries: Scopes of instrumentation libraries, exact or with a final `*`; an INTERNAL span
            of any other scope is the application's own.
        session_ids: Attributes the user configured, before those of the dialects.
        user_ids: The same for the end user's id.
        properties: Attributes the user configured to become properties of the session.
        application_spans: Whether the application's own spans count as tasks.
    """

    def __init__(
        self,
        dialects: Sequence[Dialect],
        libraries: tuple[str, ...] = (),
        session_ids: Sequence[str] = (),
        user_ids: Sequence[str] = (),
        properties: Sequence[str] = (),
        application_spans: bool = True,
    ) -> None:
        self._dialects = tuple(dialects)
        self._libraries = libraries
        self._application_spans = application_spans
        self.session_ids = _unique(session_ids, *(dialect.session_ids for dialect in dialects))
        self.user_ids = _unique(user_ids, *(dialect.user_ids for dialect in dialects))
        configured = frozenset((*session_ids, *user_ids, *properties))
        self.belongings = frozenset((*self.user_ids, *properties))
        ids = (*self.session_ids, *self.belongings)
        # What speaks of sessions and users without the user having said that it does.
        self.claims = frozenset((*self.session_ids, *self.user_ids, *_OURS)) - configured
        rows = [row for dialect in dialects for row in dialect.rows]
        self._attributes = frozenset(key for row in rows for key in (row.attribute, *row.named_by) if key).union(
            ids, _OURS, URL_ATTRIBUTES, _FOREIGN
        )
        # Values of these tell one span from the next, so spans that bear them are not remembered alike.
        self._telling = frozenset((*ids, *_OURS, *URL_ATTRIBUTES, *_FOREIGN))
        # Whether spans are around whose calls are beside them, not below.
        self.has_detached = False
        self._scopes: dict[str, Scope] = {}
        self.known_scope = self._scopes.get

    def facts(self, attributes: Mapping[str, object]) -> dict[str, object]:
        """Return the attributes that any table speaks of: one pass, whatever else a span carries."""
        return {key: attributes[key] for key in self._attributes.intersection(attributes)}

    def are_common(self, facts: Mapping[str, object]) -> bool:
        """Tell whether many spans bear just these: no ids, no addresses."""
        return self._telling.isdisjoint(facts)

    def speaks_of(self, attributes: Mapping[str, object]) -> bool:
        """Tell whether any table speaks of one of these attributes."""
        return not self._attributes.isdisjoint(attributes)

    def scope(self, name: str) -> Scope:
        """Return what is known of a scope."""
        scope = self._scopes.get(name)
        if scope is None:
            if len(self._scopes) >= _MAX_SCOPES:
                self._scopes.clear()
            application = self._application_spans and not is_listed(name, self._libraries)
            scope = self._scopes[name] = Scope(name, self._dialects, application)
            self.has_detached = self.has_detached or scope.detached
        return scope

    def read(self, scope: Scope, name: str, span_kind: str, attributes: Mapping[str, object]) -> Reading:
        """Say what a span is.

        What the user wrote on the span by hand (`helicone.span.kind`) wins over every dialect.

        Args:
            scope: Its instrumentation scope.
            name: Its name as it is now.
            span_kind: OpenTelemetry's word for its kind.
            attributes: At least what `facts` keeps of its attributes.
        """
        best = scope.by_name(name, span_kind)
        for key, value in attributes.items():
            for entry in scope.candidates(key, value):
                if (best is None or entry[0] < best[0]) and entry[2].fits(name, span_kind):
                    best = entry
        by_hand = attributes.get(_wire.SPAN_KIND)
        if by_hand is not None and by_hand in KINDS:
            return _reading(cast("Kind", by_hand), BY_HAND, best[2] if best else _NO_ROW, name, attributes)
        if best is not None:
            return _reading(best[2].kind, best[1], best[2], name, attributes)
        if scope.application and span_kind == "INTERNAL":
            return _application_task(name)
        return NOTHING


@lru_cache(maxsize=_MAX_NAMES)
def _application_task(name: str) -> Reading:
    return Reading("task", clean_name(name) or "task", APPLICATION)


def _reading(kind: Kind | None, dialect: str, row: Row, name: str, attributes: Mapping[str, object]) -> Reading:
    segment = None
    if kind is not None and kind not in CALL_KINDS:
        segment = _own_name(row, attributes) or row.segment or _name_from_span(row, name) or kind
    return Reading(kind, segment, dialect, row, recognised=kind is not None)


def _own_name(row: Row, attributes: Mapping[str, object]) -> str:
    # Names that people gave stay as they are (`search_v2`, `question_1`).
    for key in row.named_by:
        value = attributes.get(key)
        if isinstance(value, str) and (segment := _wire.wire_segment(value)):
            return segment
    return ""


def _name_from_span(row: Row, name: str) -> str:
    for template in row.templates:
        rest = fit_template(template, name)
        if rest:
            return clean_name(rest)
    return clean_name(name)


def first_text(attributes: Mapping[str, object], keys: Iterable[str]) -> str | None:
    """Return the first non-empty text or whole number among attributes, as text."""
    for key in keys:
        value = attributes.get(key)
        # OpenTelemetry captures HTTP headers as lists of strings.
        if isinstance(value, list | tuple) and len(value) == 1:
            value = value[0]
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value
    return None


def is_listed(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a scope stands in a list of names, exact or with a final `*`."""
    return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for group in groups for key in group))

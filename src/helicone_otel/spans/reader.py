"""The interpreter of the dialects: it says what a span is.

`SpanReader` holds all dialects. For each instrumentation scope it makes one `ScopeRules`, an index of the rows that
can fit the scope's spans, so that reading a span costs a few look-ups and not a walk through all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final, cast

from .. import wire
from .names import clean_name, fit_template, is_made_up
from .schema import (
    APPLICATION,
    BY_HAND,
    CALL_KINDS,
    KINDS,
    NOTHING,
    URL_ATTRIBUTES,
    Classification,
    Dialect,
    Kind,
    Row,
)

_MAX_SCOPES: Final = 1024
_MAX_NAMES: Final = 512
_MAX_NAME: Final = 512
# A word of a convention is short; a text that is not is none, and is not copied to be compared.
_MAX_WORD: Final = 64

_FOREIGN: Final = (wire.OTEL_SESSION_ID, wire.OTEL_CONVERSATION_ID, wire.OTEL_USER_ID)
_OURS: Final = (wire.SPAN_KIND, wire.SESSION_ID, wire.SESSION_PATH, wire.SESSION_NAME)
_NO_ROW: Final = Row(kind=None)
_ANY: Final = "*"  # in the index: a row that takes any value
_Ranked = tuple[int, str, Row]  # precedence, dialect's name, row


class SpanReader:
    """All dialects of a process, with the attribute names that the user configured.

    Args:
        dialects: In order of precedence where two families describe the same span.
        libraries: Scopes of instrumentation libraries, exact or with a final `*`; an INTERNAL span
            of any other scope is the application's own.
        session_ids: Attributes the user configured, before those of the dialects.
        user_ids: The same for the end user's id.
        properties: Attributes the user configured to become properties of the session.
        application_spans: Whether the application's own spans count as tasks.

    Attributes:
        dialects: As given.
        session_ids: Attributes that hold a conversation's id, the best first; `user_ids` likewise.
        details: Attributes that name the user, or become properties.
        claims: What speaks of sessions and users without the user having said that it does.
        response_ids: Those that hold the id of a provider's answer; `providers`, `models` and `statements`
            likewise what else two spans of one call agree about.
        grouped_by: By dialects' names, the attributes by which their backends group spans.
        has_not_current: Spans are around whose calls are beside them, not below.
        framework_spans: Where to ask for the current spans of families whose spans are around.
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
        self.dialects = tuple(dialects)
        self._libraries = libraries
        self._application_spans = application_spans
        self.session_ids = _unique(session_ids, *(dialect.session_ids for dialect in dialects))
        self.user_ids = _unique(user_ids, *(dialect.user_ids for dialect in dialects))
        self.details = frozenset((*self.user_ids, *properties))
        configured = frozenset((*session_ids, *user_ids, *properties))
        self.claims = frozenset((*self.session_ids, *self.user_ids, *_OURS)) - configured
        self.response_ids = _unique(*(dialect.response_ids for dialect in dialects))
        self.providers = _unique(*(dialect.providers for dialect in dialects))
        self.grouped_by = {dialect.name: dialect.grouped_by for dialect in dialects if dialect.grouped_by}
        self.models = _unique(*(dialect.models for dialect in dialects))
        self.statements = _unique(*(dialect.statements for dialect in dialects))
        # Values of these tell one span from the next, so spans that bear them are not remembered alike.
        self._telling = frozenset((*self.session_ids, *self.details, *_OURS, *URL_ATTRIBUTES, *_FOREIGN))
        self.has_not_current = False
        self.framework_spans: tuple[str, ...] = ()
        self._scopes: dict[str, ScopeRules] = {}
        self.known_scope = self._scopes.get

    def are_common(self, facts: Mapping[str, object]) -> bool:
        """Tell whether many spans bear just these: no ids, no addresses."""
        return self._telling.isdisjoint(facts)

    def scope(self, name: str) -> ScopeRules:
        """Return what is known of a scope."""
        scope = self._scopes.get(name)
        if scope is None:
            if len(self._scopes) >= _MAX_SCOPES:
                self._scopes.clear()
            application = self._application_spans and not is_listed(name, self._libraries)
            scope = self._scopes[name] = ScopeRules(name, self.dialects, application, self._telling)
            self.has_not_current = self.has_not_current or scope.not_current
            self.framework_spans = _unique(self.framework_spans, scope.framework_spans)
        return scope

    def read(self, scope: ScopeRules, name: str, span_kind: str, attributes: Mapping[str, object]) -> Classification:
        """Say what a span is.

        What the user wrote on the span by hand (`helicone.span.kind`) wins over every dialect.

        Args:
            scope: Its instrumentation scope.
            name: Its name as it is now.
            span_kind: OpenTelemetry's word for its kind.
            attributes: At least what `ScopeRules.facts` keeps of its attributes.
        """
        name = name[:_MAX_NAME]
        best = scope.by_name(name, span_kind)
        for key, value in attributes.items():
            for entry in scope.candidates(key, value):
                if (best is None or entry[0] < best[0]) and entry[2].fits(name, span_kind, value):
                    best = entry
        by_hand = attributes.get(wire.SPAN_KIND)
        if isinstance(by_hand, str) and by_hand in KINDS:
            return _classification(cast("Kind", by_hand), BY_HAND, best[2] if best else _NO_ROW, name, attributes)
        if best is not None:
            return _classification(best[2].kind, best[1], best[2], name, attributes)
        if scope.application and span_kind == "INTERNAL":
            return _application_task(name)
        return NOTHING


class ScopeRules:
    """What the dialects say about one instrumentation scope, indexed for reading its spans.

    Attributes:
        named: Some dialect speaks of it.
        known: What it makes are spans of an LLM app.
        application: Its INTERNAL spans are the application's own steps.
        takes_headers: What is injected while its spans are current are HTTP headers.
        bare_carriers: It injects into carriers in which the caller's headers cannot be seen.
        not_current: Some of its spans are never current while what they wrap is going on.
        framework_spans: Where to ask for its current span, which is never the Context's.
        attributes: All that any table has to say about its spans hangs on these.
    """

    __slots__ = (
        "_by_name",
        "_by_value",
        "_named",
        "application",
        "attributes",
        "bare_carriers",
        "framework_spans",
        "known",
        "name",
        "named",
        "not_current",
        "takes_headers",
    )

    def __init__(self, name: str, dialects: Sequence[Dialect], application: bool, telling: frozenset[str]) -> None:
        self.name = name
        own = [dialect for dialect in dialects if dialect.scopes and is_listed(name, dialect.scopes)]
        shared = [dialect for dialect in dialects if not dialect.scopes]
        ranked = sorted(own + shared, key=lambda dialect: not dialect.foremost)
        rows = [(dialect.name, row) for dialect in ranked for row in dialect.rows]
        rows += [(dialect.name, row) for dialect in ranked for row in dialect.guesses]
        self.named = bool(own)
        self.known = any(not dialect.everyday for dialect in own)
        self.application = application and not own
        self.takes_headers = all(dialect.takes_headers for dialect in own)
        self.bare_carriers = any(dialect.bare_carriers for dialect in own)
        self.framework_spans = tuple(dialect.current for dialect in own if dialect.current)
        self.not_current = any(row.not_current for dialect in own for row in chain(dialect.rows, dialect.guesses))
        self.attributes = telling.union(
            key for _, row in rows for key in (row.attribute, *row.named_by, *row.operations) if key
        )
        self._by_value: dict[str, dict[str, list[_Ranked]]] = {}
        self._named: list[_Ranked] = []
        self._by_name: dict[tuple[str, str], _Ranked | None] = {}
        for rank, (dialect_name, row) in enumerate(rows):
            entry = (rank, dialect_name, row)
            if not row.attribute:
                self._named.append(entry)
                continue
            for value in row.values or {_ANY}:
                self._by_value.setdefault(row.attribute, {}).setdefault(value, []).append(entry)

    def facts(self, attributes: Mapping[str, object]) -> dict[str, object]:
        """Return the attributes that any table speaks of: one pass, whatever else a span carries."""
        return {key: attributes[key] for key in self.attributes.intersection(attributes)}

    def candidates(self, key: str, value: object) -> Iterable[_Ranked]:
        """Return the rows that speak of an attribute with this value."""
        rows = self._by_value.get(key)
        if rows is None:
            return ()
        exact = rows.get(value.lower(), ()) if isinstance(value, str) and len(value) <= _MAX_WORD else ()
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


@lru_cache(maxsize=_MAX_NAMES)
def _application_task(name: str) -> Classification:
    return Classification("task", clean_name(name) or "task", APPLICATION)


def _classification(
    kind: Kind | None, dialect: str, row: Row, name: str, attributes: Mapping[str, object]
) -> Classification:
    segment = None
    if kind is not None and kind not in CALL_KINDS:
        segment = _own_name(row, attributes) or row.segment or _name_from_span(row, name) or kind
    return Classification(kind, segment, dialect, row, recognised=kind is not None)


def _own_name(row: Row, attributes: Mapping[str, object]) -> str:
    # Names that people gave stay as they are (`search_v2`, `question_1`).
    for key in row.named_by:
        value = attributes.get(key)
        if not isinstance(value, str):
            continue
        # Frameworks fill in what nobody named (`WorkflowBuilder-<uuid>`).
        if segment := clean_name(value) if is_made_up(value) else wire.wire_segment(value):
            return segment
    for key in row.operations:
        value = attributes.get(key)
        if isinstance(value, str) and (segment := wire.wire_segment(value)):
            return segment.lower()
    return ""


def _name_from_span(row: Row, name: str) -> str:
    rests = (fit_template(template, name) for template in row.templates)
    name = next((rest for rest in rests if rest), name)
    if row.verb:
        return clean_name(name.strip().partition(" ")[0]).lower()
    return clean_name(name)


def is_listed(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether a scope stands in a list of names, exact or with a final `*`."""
    return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for group in groups for key in group))

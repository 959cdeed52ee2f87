"""The interpreter of the dialects: it says what a span is.

`SpanReader` holds all dialects. For each instrumentation scope it makes one `ScopeRules`, an index of the rows that
can fit the scope's spans, so that reading a span costs a few look-ups and not a walk through all rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import lru_cache
from itertools import chain
from typing import Final, cast

from .. import wire
from ..caches import Generations
from ..wire import CALL_KINDS, KINDS, Kind
from .names import clean_name, fit_template, fits_any, is_made_up, is_uuid, without_enclosing
from .routes import INBOUND_SCOPES
from .schema import APPLICATION, BY_HAND, NOTHING, URL_ATTRIBUTES, Classification, Dialect, Row

_MAX_TEXT: Final = 4096
_MAX_SCOPES: Final = 1024
_MAX_NAMES: Final = 512
# Of how many spans without a session it is remembered whether they are recognised: about 1 MB.
_MAX_ANSWERS: Final = 512
# What is remembered has short values, and no whole prompts and documents.
_MAX_SHORT: Final = 256
_MAX_MEMBERS: Final = 8
_MAX_NAME: Final = 512
# Kinds of spans that may be between the steps. All others do something of their own.
_BETWEEN: Final = frozenset({"workflow", "task"})
# The values that rows compare are short. A longer text equals none of them, so it is not copied to lower case.
_MAX_VALUE: Final = 64

_NO_ROW: Final = Row(kind=None)
_ANY_VALUE: Final = "*"  # the key of the index for rows that accept any value
_RankedRow = tuple[int, str, Row]  # the row's rank (0 comes first), its dialect's name, the row


class SpanReader:
    """All dialects of a process, with the attributes that the user configured.

    Args:
        dialects: In order of precedence: if rows of two dialects fit a span, the earlier dialect decides.
        libraries: Scopes of instrumentation libraries, exact or with a final `*`. An INTERNAL span of any other scope
            is the application's own.
        session_ids: Attributes that the user configured to hold a session's id. They come before the dialects'.
        user_ids: Attributes that the user configured to hold the end user's id. They come before the dialects'.
        properties: Attributes that the user configured to become properties of the session.
        application_spans: Whether the application's own spans count as tasks.
        plumbing: Whether what is between the steps (`Dialect.plumbing`, `.class_names`) adds segments, too.

    Attributes:
        dialects: The dialects, in order of precedence.
        session_ids: Attributes that hold a conversation's id, the best first.
        user_ids: Attributes that hold the end user's id, the best first.
        made_up_ids: Those of them in which some family writes ids of its own, without those that the user configured.
        details: Attributes that hold the user or become properties.
        claims: Attributes that name a session or a user, without those that the user configured.
        response_ids: Attributes that hold the id of the provider's answer.
        providers: Attributes that hold the provider's name.
        models: Attributes that hold the model's name.
        statements: Attributes that hold the text of a query.
        api_bases: Attributes that tell the address of the API that was called.
        grouped_by: By the name of a dialect, the attribute by which its backend groups spans.
        has_not_current: Whether some scope seen so far has a row with `not_current`.
        late: The scopes seen so far that make their spans when a call is over.
        framework_spans: `Dialect.current` of all scopes seen so far.
        scopes: The rules of the scopes seen so far, by their names.
    """

    def __init__(
        self,
        dialects: Sequence[Dialect],
        libraries: tuple[str, ...] = (),
        session_ids: Sequence[str] = (),
        user_ids: Sequence[str] = (),
        properties: Sequence[str] = (),
        application_spans: bool = True,
        plumbing: bool = False,
    ) -> None:
        self.dialects = tuple(dialects)
        self._libraries = libraries
        self._application_spans = application_spans
        self._plumbing = plumbing
        self.session_ids = _unique(session_ids, *(dialect.session_ids for dialect in dialects))
        self.user_ids = _unique(user_ids, *(dialect.user_ids for dialect in dialects))
        self.made_up_ids = frozenset(key for dialect in dialects for key in dialect.made_up_ids) - {*session_ids}
        self.details = frozenset((*self.user_ids, *properties))
        configured = frozenset((*session_ids, *user_ids, *properties))
        self.claims = frozenset((*self.session_ids, *self.user_ids, *wire.LABEL)) - configured
        self.response_ids = _unique(*(dialect.response_ids for dialect in dialects))
        self.providers = _unique(*(dialect.providers for dialect in dialects))
        self.grouped_by = {dialect.name: dialect.grouped_by for dialect in dialects if dialect.grouped_by}
        self.models = _unique(*(dialect.models for dialect in dialects))
        self.api_bases = _unique(*(dialect.api_bases for dialect in dialects))
        self.statements = _unique(*(dialect.statements for dialect in dialects))
        # The values of these differ from span to span, so a span that has one of them shares no cached template.
        self._distinguishing = frozenset(
            (*self.session_ids, *self.details, *wire.LABEL, *URL_ATTRIBUTES, *wire.OTEL_IDS)
        )
        self._recognised: Generations[tuple[object, ...], bool] = Generations(_MAX_ANSWERS)
        self.has_not_current = False
        self.late: tuple[ScopeRules, ...] = ()
        self.framework_spans: tuple[str, ...] = ()
        self.scopes: dict[str, ScopeRules] = {}
        # The rules of a scope that no dialect lists, by whether it is the application's.
        self._unlisted: dict[bool, ScopeRules] = {}

    def are_common(self, facts: Mapping[str, object]) -> bool:
        """Return whether many spans can have just these attributes: none of them is an id, a label or a URL."""
        return self._distinguishing.isdisjoint(facts)

    def recognises(self, scope: ScopeRules, name: str, span_kind: str, facts: Mapping[str, object]) -> bool:
        """Tell whether `read` recognises a span. The answers are cached, because the queries of an app repeat.

        Args:
            scope: The rules of the span's instrumentation scope.
            name: The span's name.
            span_kind: The span's OpenTelemetry kind.
            facts: What `ScopeRules.facts` returns for it, `are_common`.
        """
        values = (name, *facts.values())
        key = (scope, span_kind, *facts, *values)
        try:
            known = self._recognised.young.get(key)
        except TypeError:  # a value that cannot be hashed
            return self.read(scope, name, span_kind, facts).recognised
        if known is None:
            known = self._recognised.old.get(key)
        if known is None:
            known = self.read(scope, name, span_kind, facts).recognised
            if are_short(values):
                self._recognised.put(key, known)
        return known

    def scope(self, name: str) -> ScopeRules:
        """Return the rules of an instrumentation scope."""
        scope = self.scopes.get(name)
        if scope is None:
            if len(self.scopes) >= _MAX_SCOPES:
                self.scopes.clear()
                self.late = ()
            scope = self.scopes[name] = self._new_scope(name)
            self.has_not_current = self.has_not_current or bool(scope.not_current)
            if scope.late:
                self.late = (*self.late, scope)
            self.framework_spans = _unique(self.framework_spans, scope.framework_spans)
        return scope

    def _new_scope(self, name: str) -> ScopeRules:
        """Make the rules of a scope; those of all scopes that no dialect lists have one index.

        An app may name a scope after anything, and the index is what takes time and memory.
        """
        application = self._application_spans and not is_listed(name, self._libraries)
        is_listed_by_dialect = any(dialect.scopes and is_listed(name, dialect.scopes) for dialect in self.dialects)
        unlisted = None if is_listed_by_dialect else self._unlisted.get(application)
        if unlisted is not None:
            return unlisted.named_like(name)
        scope = ScopeRules(name, self.dialects, application, self._distinguishing)
        scope.has_plumbing = scope.has_plumbing and not self._plumbing
        scope.made_up_ids &= self.made_up_ids
        if not is_listed_by_dialect:
            self._unlisted[application] = scope
        return scope

    def read(self, scope: ScopeRules, name: str, span_kind: str, attributes: Mapping[str, object]) -> Classification:
        """Classify a span.

        A kind that the user wrote on the span (`helicone.span.kind`) wins over every dialect.

        Args:
            scope: The rules of the span's instrumentation scope.
            name: The span's current name.
            span_kind: The span's OpenTelemetry kind.
            attributes: At least those of the span's attributes that `ScopeRules.facts` returns.
        """
        name = name[:_MAX_NAME]
        best = scope.by_name(name, span_kind)
        for key, value in attributes.items():
            for candidate in scope.candidates(key, value):
                rank, _, row = candidate
                if (best is None or rank < best[0]) and _fits(row, name, span_kind, value):
                    best = candidate
        by_hand = attributes.get(wire.SPAN_KIND)
        if isinstance(by_hand, str) and by_hand in KINDS:
            return _classification(cast("Kind", by_hand), BY_HAND, best[2] if best else _NO_ROW, name, attributes)
        if best is not None:
            _, dialect, row = best
            read = _classification(row.kind, dialect, row, name, attributes)
            return read._replace(segment=None) if scope.has_plumbing and scope.is_plumbing(read, attributes) else read
        if scope.application and span_kind == "INTERNAL":
            return _application_task(name)
        return NOTHING


class ScopeRules:
    """The rows that can fit spans of one instrumentation scope, indexed by attribute and value.

    Args:
        name: The scope's name.
        dialects: All dialects, in order of precedence.
        application: Whether the scope is no instrumentation library.
        distinguishing: Attributes whose values differ from span to span.

    Attributes:
        name: The scope's name.
        named: Whether a dialect lists the scope.
        known: Whether the scope's spans belong to an LLM app: a dialect lists it that is not `everyday`.
        application: Whether the scope's INTERNAL spans are the application's own steps.
        takes_headers: Whether the carriers that get injected under its spans are HTTP headers.
        bare_carriers: Whether it injects into carriers that do not show the caller's own headers.
        not_current: The kinds of its rows that have `not_current`.
        late: Whether it makes its spans when a call is over.
        framework_spans: `Dialect.current` of its dialects.
        has_plumbing: Whether its dialects name plumbing, which adds no segments.
        made_up_ids: Attributes in which its dialects write ids of their own.
        inbound: Whether work comes in by its INTERNAL spans, too; see `INBOUND_SCOPES`.
        attributes: All attributes that can matter for its spans.
    """

    __slots__ = (
        "_by_name",
        "_by_value",
        "_class_names",
        "_given_names",
        "_guesses",
        "_plumbing",
        "_without_attribute",
        "application",
        "attributes",
        "bare_carriers",
        "framework_spans",
        "has_plumbing",
        "inbound",
        "known",
        "late",
        "made_up_ids",
        "name",
        "named",
        "not_current",
        "takes_headers",
    )

    def __init__(
        self, name: str, dialects: Sequence[Dialect], application: bool, distinguishing: frozenset[str]
    ) -> None:
        self.name = name
        own = [dialect for dialect in dialects if dialect.scopes and is_listed(name, dialect.scopes)]
        shared = [dialect for dialect in dialects if not dialect.scopes]
        ranked = sorted(own + shared, key=lambda dialect: not dialect.foremost)
        self.application = application and not own
        rows = [(dialect.name, row) for dialect in ranked for row in dialect.rows]
        rows += [(dialect.name, row) for dialect in ranked for row in dialect.guesses]
        self.named = bool(own)
        self.known = any(not dialect.everyday for dialect in own)
        self.takes_headers = all(dialect.takes_headers for dialect in own)
        self.bare_carriers = any(dialect.bare_carriers for dialect in own)
        self.late = any(dialect.late for dialect in own)
        self.framework_spans = tuple(dialect.current for dialect in own if dialect.current)
        self.inbound = is_listed(name, INBOUND_SCOPES)
        self.not_current = frozenset(
            row.kind for dialect in own for row in chain(dialect.rows, dialect.guesses) if row.not_current
        )
        self._guesses = frozenset(id(row) for dialect in own for row in dialect.guesses)
        self._plumbing = "|".join(dialect.plumbing for dialect in own if dialect.plumbing)
        self._class_names = "|".join(dialect.class_names for dialect in own if dialect.class_names)
        self._given_names = tuple(name.partition(":")[::2] for dialect in own for name in dialect.given_names)
        self.has_plumbing = bool(self._plumbing or self._class_names)
        self.made_up_ids = frozenset(key for dialect in own for key in dialect.made_up_ids)
        self.attributes = distinguishing.union(
            (key for key, _ in self._given_names),
            (key for _, row in rows for key in (row.attribute, *row.named_by, *row.operations) if key),
        )
        self._by_value: dict[str, dict[str, list[_RankedRow]]] = {}
        self._without_attribute: list[_RankedRow] = []
        self._by_name: dict[tuple[str, str], _RankedRow | None] = {}
        for rank, (dialect_name, row) in enumerate(rows):
            if row.application and not self.application:
                continue
            entry = (rank, dialect_name, row)
            if not row.attribute:
                self._without_attribute.append(entry)
                continue
            for value in row.values or {_ANY_VALUE}:
                self._by_value.setdefault(row.attribute, {}).setdefault(value, []).append(entry)

    def named_like(self, name: str) -> ScopeRules:
        """Return the rules of a scope with another name, for which the same dialects are made."""
        other = copy(self)
        other.name, other.inbound = name, is_listed(name, INBOUND_SCOPES)
        other._by_name = {}  # noqa: SLF001  # another object of this class
        return other

    def may_change(self, classification: Classification) -> bool:
        """Tell whether a span that has not ended may turn out to be of another kind: it has none, or it is guessed."""
        return classification.kind is None or id(classification.row) in self._guesses

    def facts(self, attributes: Mapping[str, object]) -> dict[str, object]:
        """Return those attributes of a span that can matter, however many others it has."""
        return {key: attributes[key] for key in self.attributes.intersection(attributes)}

    def is_plumbing(self, read: Classification, attributes: Mapping[str, object]) -> bool:
        """Return whether a span is between the steps of the app, and the app gave it no name."""
        name = read.segment
        if name is None or read.kind not in _BETWEEN:
            return False
        if not re.fullmatch(self._class_names, name):
            return re.fullmatch(self._plumbing, name) is not None
        return not any(_gives(attributes.get(key), member, name) for key, member in self._given_names)

    def made_up(self, facts: Mapping[str, object]) -> dict[str, object]:
        """Return those attributes of a span that hold an id which the family has made up: a UUID."""
        found = {key: facts[key] for key in self.made_up_ids.intersection(facts)}
        return {key: value for key, value in found.items() if isinstance(value, str) and is_uuid(value)}

    def candidates(self, key: str, value: object) -> Iterable[_RankedRow]:
        """Return the rows that name an attribute and accept this value of it."""
        rows = self._by_value.get(key)
        if rows is None:
            return ()
        exact = rows.get(value.lower(), ()) if isinstance(value, str) and len(value) <= _MAX_VALUE else ()
        return (*exact, *rows.get(_ANY_VALUE, ()))

    def by_name(self, name: str, span_kind: str) -> _RankedRow | None:
        """Return the first row without an attribute that fits a span's name. The answers are cached."""
        key = (name, span_kind)
        if key in self._by_name:
            return self._by_name[key]
        if len(self._by_name) >= _MAX_NAMES:
            self._by_name.clear()
        found = next((entry for entry in self._without_attribute if _fits(entry[2], name, span_kind)), None)
        self._by_name[key] = found
        return found


def are_short(values: Iterable[object]) -> bool:
    """Tell whether values are short enough, and plain enough, to be remembered as what spans have in common."""
    for value in values:
        if isinstance(value, str):
            if len(value) > _MAX_SHORT:
                return False
        elif isinstance(value, tuple):
            if len(value) > _MAX_MEMBERS or not are_short(value):
                return False
        elif not isinstance(value, int | float):
            return False
    return True


def _gives(value: object, member: str, name: str) -> bool:
    """Return whether an attribute, plain or as JSON, or a member of the JSON in it says that the app gave this name."""
    if not isinstance(value, str):
        return False
    if not member:
        return value in (name, f'"{name}"')
    text = value[:_MAX_TEXT]
    return f'"{member}": "{name}"' in text or f'"{member}":"{name}"' in text


@lru_cache(maxsize=_MAX_NAMES)
def _application_task(name: str) -> Classification:
    return Classification("task", clean_name(name) or "task", APPLICATION)


def _classification(
    kind: Kind | None, dialect: str, row: Row, name: str, attributes: Mapping[str, object]
) -> Classification:
    segment = None
    if kind is not None and kind not in CALL_KINDS:
        segment = _segment_from_attributes(row, attributes) or row.segment or _segment_from_name(row, name) or kind
    return Classification(kind, segment, dialect, row, recognised=kind is not None or row.app)


def _segment_from_attributes(row: Row, attributes: Mapping[str, object]) -> str:
    for key in row.named_by:
        value = attributes.get(key)
        if isinstance(value, str) and (segment := _own_name(value)):
            return segment
    for key in row.operations:
        value = attributes.get(key)
        if isinstance(value, str) and (segment := wire.wire_segment(value)):
            return segment.lower()
    return ""


def _segment_from_name(row: Row, name: str) -> str:
    own = next((match for template in row.templates if (match := fit_template(template, name))), "")
    if row.verb:
        return clean_name((own or name).strip().partition(" ")[0]).lower()
    return _own_name(own) or clean_name(name)


def _own_name(name: str) -> str:
    # Names that people gave stay as they are (`search_v2`, `question_1`). Names with a UUID are cleaned, because
    # frameworks make them up (`WorkflowBuilder-<uuid>`).
    return clean_name(name) if is_made_up(name) else wire.wire_segment(without_enclosing(name))


def is_listed(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a scope's name is in a list of patterns, exact or with a final `*`."""
    return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for group in groups for key in group))


def _fits(row: Row, name: str, span_kind: str, value: object = None) -> bool:
    """Return whether a span fits all columns of a row but `attribute` and `values`, which the caller has compared.

    Args:
        row: The row.
        name: The span's name.
        span_kind: The span's OpenTelemetry kind.
        value: The value of `attribute` on the span.
    """
    if row.span_kinds and span_kind not in row.span_kinds:
        return False
    if row.names and not fits_any(row.names, name):
        return False
    if not row.matching:
        return True
    if not isinstance(value, str):
        return False
    text = value[:_MAX_TEXT]
    if row.containing:
        lowered = text.lower()
        if not any(part in lowered for part in row.containing):
            return False
    return re.search(row.matching, text) is not None  # `re` compiles a pattern at its first use and keeps it

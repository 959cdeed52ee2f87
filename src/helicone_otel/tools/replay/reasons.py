"""What a span is, and which table said so: the answer of `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ... import wire
from ...spans.names import fit_template
from ...spans.reader import ScopeRules, SpanReader
from ...spans.schema import APPLICATION, BY_HAND, REQUEST_KINDS, URL_ATTRIBUTES, Classification, Dialect, Row
from ...tracking.requests import may_be_request
from ...tracking.resolver import GATEWAY
from .player import Replayed
from .spans import RecordedSpan

_MAX_TEXT: Final = 80
_WITHOUT_TABLE: Final = {
    BY_HAND: f"{wire.SPAN_KIND} was set by hand",
    APPLICATION: "an INTERNAL span of the application's own: its scope is no instrumentation library's",
    GATEWAY: "a request to a Helicone gateway with no LLM span above it: {}",
}
_EMPTY_ROW: Final = Row(kind=None)


@dataclass(frozen=True, slots=True)
class Explained:
    """One span, and why it is what it is.

    Attributes:
        recorded: As it stood in the file.
        kind: What it is; `None`: nothing to us.
        kind_at_start: What it was when it started, as far as the file tells.
        segment: What it contributes to the path.
        path: Where it stands; `None`: no session holds there.
        session_id: Whose it is.
        request: It is one row in Helicone.
        dialect: Whose table decided; empty: none.
        row: The number of the row that decided, from 1; `None`: no row did.
        facts: What that row asks for.
        why: The reason, in words.
    """

    recorded: RecordedSpan
    kind: str | None
    kind_at_start: str | None
    segment: str | None
    path: str | None
    session_id: str | None
    request: bool
    dialect: str
    row: int | None
    facts: Mapping[str, Any]
    why: str

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        span = self.recorded
        return {
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "parent_span_id": span.parent_id or None,
            "name": span.name,
            "scope": span.scope,
            "span_kind": span.kind,
            "kind": self.kind,
            "kind_at_start": self.kind_at_start,
            "segment": self.segment,
            "path": self.path,
            "session_id": self.session_id,
            "request": self.request,
            "dialect": self.dialect or None,
            "row": self.row,
            "facts": dict(self.facts),
            "why": self.why,
            "file_says": dict(span.label),
        }


class Reasons:
    """Says why.

    Args:
        reader: With which the spans were read.
    """

    def __init__(self, reader: SpanReader) -> None:
        self._reader = reader
        self._dialects = {dialect.name: dialect for dialect in reader.dialects}

    def explain(self, replayed: Replayed) -> Explained:
        """Say what a span that was played again is, and why."""
        recorded, record = replayed.recorded, replayed.record
        label = replayed.final.attributes or {}
        scope = self._reader.scope(recorded.scope)
        facts = scope.facts(recorded.attributes)
        classification = record.classification if record is not None else Classification()
        # Nothing is remembered of it, or so little that our own label looks like the user's.
        if not classification.dialect or (
            classification.dialect == BY_HAND and wire.SPAN_KIND not in recorded.attributes
        ):
            classification = self._reader.read(scope, recorded.name, recorded.kind, facts)
        dialect = self._dialects.get(classification.dialect)
        path, session_id = label.get(wire.SESSION_PATH), label.get(wire.SESSION_ID)
        # The id of its row is on no span that never ended, and on none whose row a gateway named.
        would_be = record is not None and may_be_request(classification) and not record.wraps
        request = wire.REQUEST_ID in label or would_be
        because = [self._because(classification, scope, recorded, facts)]
        if not request and classification.kind in REQUEST_KINDS:
            because.append(_no_request(classification))
        return Explained(
            recorded,
            kind=classification.kind,
            kind_at_start=replayed.at_start.kind,
            segment=classification.segment,
            path=str(path) if path else None,
            session_id=str(session_id) if session_id else None,
            request=request,
            dialect=classification.dialect,
            row=_number(dialect, classification.row),
            facts=_told(classification.row),
            why="; ".join(because),
        )

    def _because(
        self, classification: Classification, scope: ScopeRules, span: RecordedSpan, facts: Mapping[str, Any]
    ) -> str:
        if classification.dialect in _WITHOUT_TABLE:
            return _WITHOUT_TABLE[classification.dialect].format(_address(facts))
        if classification.row is not None:
            guess = "; a guess, until the span says more" if _is_guess(self._dialects, classification) else ""
            plumbing = "; such spans are plumbing" if classification.kind is None else ""
            return f"{_matched(classification.row, span)}{guess}{plumbing}"
        if scope.named:
            return f"no row fits, though a dialect knows the scope {span.scope}"
        unknown = f"no row fits, and no dialect knows the scope {span.scope!r}"
        return unknown if span.kind == "INTERNAL" else f"{unknown}; a {span.kind} span is no step of the application's"


def _address(facts: Mapping[str, Any]) -> str:
    url = next((str(facts[key]) for key in URL_ATTRIBUTES if key in facts), "")
    return url.partition("?")[0][:_MAX_TEXT]


def _no_request(classification: Classification) -> str:
    if classification.row is not None and (classification.row.duplicate or not classification.row.request):
        return "no request: another span of the same call stands for it"
    return "no request: it wraps the span that stands for the call"


def _is_guess(dialects: Mapping[str, Dialect], classification: Classification) -> bool:
    dialect = dialects.get(classification.dialect)
    return dialect is not None and any(row is classification.row for row in dialect.guesses)


def _number(dialect: Dialect | None, wanted: Row | None) -> int | None:
    if dialect is None:
        return None
    rows = (*dialect.rows, *dialect.guesses)
    return next((number for number, row in enumerate(rows, start=1) if row is wanted), None)


def _told(row: Row | None) -> dict[str, Any]:
    """Return the fields of a row that are not as they are by default."""
    if row is None:
        return {}
    defaults = _EMPTY_ROW._asdict()
    facts = {key: value for key, value in row._asdict().items() if value != defaults[key]}
    return {key: sorted(value) if isinstance(value, frozenset | tuple) else value for key, value in facts.items()}


def _matched(row: Row, span: RecordedSpan) -> str:
    parts = []
    if row.attribute:
        value = span.attributes.get(row.attribute)
        shown = f"matches {row.matching}" if row.matching else f"is {value!s:.{_MAX_TEXT}}"
        parts.append(f"{row.attribute} {shown}" if row.values or row.matching else f"it has {row.attribute}")
    if row.names:
        fitting = next((template for template in row.names if fit_template(template, span.name) is not None), "")
        parts.append(f"its name fits {fitting}")
    if row.span_kinds:
        parts.append(f"its kind is {span.kind}")
    return ", ".join(parts) or "any span of its scope"

"""What the library says of replayed spans, and why: which row of which dialect decided, or why none did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ... import wire
from ...spans.names import fit_template
from ...spans.reader import ScopeRules, SpanReader
from ...spans.schema import APPLICATION, BY_HAND, URL_ATTRIBUTES, Classification, Dialect, Row
from ...tracking.registry import Registry
from ...tracking.requests import may_be_request
from ...tracking.resolver import GATEWAY
from ...wire import CALL_KINDS, REQUEST_KINDS
from .player import Replay, Replayed
from .spans import RecordedSpan, Recording

_MAX_TEXT: Final = 80
_WITHOUT_ROW: Final = {
    BY_HAND: f"{wire.SPAN_KIND} was set by hand",
    APPLICATION: "an INTERNAL span of the application: its scope is not an instrumentation library",
    GATEWAY: "a request to a Helicone gateway with no LLM span above it: {}",
}
_EMPTY_ROW: Final = Row(kind=None)


@dataclass(frozen=True, slots=True)
class Explained:
    """A span with its label, and the reason for it.

    Attributes:
        recorded: The span as it was recorded.
        kind: The kind; `None` if the span has none.
        kind_at_start: The kind when the span started, as far as the file tells.
        segment: The segment that the span adds to the path.
        path: The path; `None` if the span belongs to no session.
        session_id: The session's id; `None` if the span belongs to no session.
        request: Whether the span is a request, which is one row in Helicone.
        dialect: The dialect that decided; empty if none did.
        row: The number of the row that decided, from 1; `None` if no row did.
        facts: The conditions and results of that row.
        why: The reason, as text.
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
        """Return the fields as JSON's types."""
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
    """Explains replayed spans.

    Args:
        reader: The reader that classified the spans.
    """

    def __init__(self, reader: SpanReader) -> None:
        self._reader = reader
        self._dialects = {dialect.name: dialect for dialect in reader.dialects}

    def explain(self, replayed: Replayed) -> Explained:
        """Return a replayed span with the reason for its label."""
        recorded, record = replayed.recorded, replayed.record
        label = replayed.final.attributes or {}
        scope = self._reader.scope(recorded.scope)
        facts = scope.facts(recorded.attributes)
        classification = record.classification if record is not None else Classification()
        # There is no record of the span, or the record takes our own label for the user's.
        if not classification.dialect or (
            classification.dialect == BY_HAND and wire.SPAN_KIND not in recorded.attributes
        ):
            classification = self._reader.read(scope, recorded.name, recorded.kind, facts)
        dialect = self._dialects.get(classification.dialect)
        path, session_id = label.get(wire.SESSION_PATH), label.get(wire.SESSION_ID)
        # A span that never ended has no request id on it, and neither has one whose row a gateway makes.
        can_be_request = record is not None and may_be_request(classification) and not record.wraps
        request = wire.REQUEST_ID in label or can_be_request
        reasons = [self._reason(classification, scope, recorded, facts)]
        if not request and classification.kind in REQUEST_KINDS:
            reasons.append(_why_no_request(classification))
        return Explained(
            recorded,
            kind=classification.kind,
            kind_at_start=replayed.at_start.kind,
            segment=classification.segment,
            path=str(path) if path else None,
            session_id=str(session_id) if session_id else None,
            request=request,
            dialect=classification.dialect,
            row=_row_number(dialect, classification.row),
            facts=_nondefault_fields(classification.row),
            why="; ".join(reasons),
        )

    def _reason(
        self, classification: Classification, scope: ScopeRules, span: RecordedSpan, facts: Mapping[str, Any]
    ) -> str:
        if classification.dialect in _WITHOUT_ROW:
            return _WITHOUT_ROW[classification.dialect].format(_url(facts))
        if classification.row is not None:
            guess = (
                "; this is a guess until the span has more attributes"
                if _is_guess(self._dialects, classification)
                else ""
            )
            no_kind = "; such spans have no kind" if classification.kind is None else ""
            no_step = "; between the steps, so it adds no segment" if _is_between(classification) else ""
            return f"{_matched(classification.row, span)}{guess}{no_kind}{no_step}"
        if scope.named:
            return f"no row fits, though a dialect knows the scope {span.scope}"
        unknown = f"no row fits, and no dialect knows the scope {span.scope!r}"
        return unknown if span.kind == "INTERNAL" else f"{unknown}; a {span.kind} span is no step of the application's"


def _url(facts: Mapping[str, Any]) -> str:
    url = next((str(facts[key]) for key in URL_ATTRIBUTES if key in facts), "")
    return url.partition("?")[0][:_MAX_TEXT]


def _why_no_request(classification: Classification) -> str:
    row = classification.row
    if row is not None and (row.duplicate or row.served or not row.request):
        return "no request: another span of the same call is the request"
    return "no request: it wraps the span that is the request"


def _is_between(classification: Classification) -> bool:
    kind = classification.kind
    return kind is not None and kind not in CALL_KINDS and classification.segment is None


def _is_guess(dialects: Mapping[str, Dialect], classification: Classification) -> bool:
    dialect = dialects.get(classification.dialect)
    return dialect is not None and any(row is classification.row for row in dialect.guesses)


def _row_number(dialect: Dialect | None, wanted: Row | None) -> int | None:
    if dialect is None:
        return None
    rows = (*dialect.rows, *dialect.guesses)
    return next((number for number, row in enumerate(rows, start=1) if row is wanted), None)


def _nondefault_fields(row: Row | None) -> dict[str, Any]:
    """Return the fields of a row that differ from their defaults."""
    if row is None:
        return {}
    defaults = _EMPTY_ROW._asdict()
    facts = {key: value for key, value in row._asdict().items() if value != defaults[key]}
    return {key: sorted(value) if isinstance(value, frozenset | tuple) else value for key, value in facts.items()}


def _matched(row: Row, span: RecordedSpan) -> str:
    parts = []
    if row.attribute:
        value = span.attributes.get(row.attribute)
        condition = f"matches {row.matching}" if row.matching else f"is {value!s:.{_MAX_TEXT}}"
        parts.append(f"{row.attribute} {condition}" if row.values or row.matching else f"it has {row.attribute}")
    if row.names:
        fitting = next((template for template in row.names if fit_template(template, span.name) is not None), "")
        parts.append(f"its name fits {fitting}")
    if row.span_kinds:
        parts.append(f"its kind is {span.kind}")
    return ", ".join(parts) or "any span of its scope"


# --- outcomes ------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """The label of one replayed span.

    Attributes:
        recorded: The span.
        kind_at_start: Its kind when it started.
        kind: Its kind when it had ended.
        path: Its path when it had ended; `/` if it belongs to no session.
        path_in_headers: The path in the first headers that left while it was current; `None` if no headers left.
        request: Whether it is a request.
        session_id: Its session; `None` if it belongs to no session.
    """

    recorded: RecordedSpan
    kind_at_start: str | None
    kind: str | None
    path: str
    path_in_headers: str | None
    request: bool
    session_id: str | None


def outcomes(recording: Recording, registry: Registry) -> Iterator[Outcome]:
    """Replay a recording and yield what the library says of each span.

    Args:
        recording: The spans.
        registry: Labels the spans. It must be new.
    """
    reasons = Reasons(registry.reader)
    injecting = {injection.span_id for injection in recording.injections}
    for replayed in Replay(recording, registry).run():
        recorded, label = replayed.recorded, replayed.final.attributes or {}
        in_headers = (replayed.path_at_injection or "/") if recorded.span_id in injecting else None
        kind, session_id = label.get(wire.SPAN_KIND), label.get(wire.SESSION_ID)
        yield Outcome(
            recorded,
            replayed.at_start.kind,
            str(kind) if kind else None,
            str(label.get(wire.SESSION_PATH, "/")),
            in_headers,
            reasons.explain(replayed).request,
            str(session_id) if session_id else None,
        )

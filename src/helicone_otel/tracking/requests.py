"""Which span stands for a call? The innermost one: one call is one row in Helicone."""

from __future__ import annotations

import time
import uuid
import weakref
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from ..spans.reader import ScopeRules, SpanReader
from ..spans.schema import Classification
from ..wire import CALL_KINDS, NAMESPACE, REQUEST_KINDS
from .call_details import CallDetails, content_of
from .records import MAX_DEPTH, Record, SpanRecord, attributes_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Calls inside of these belong to a run of its own: a tool may run an agent whose tools run.
_BOUNDARIES: Final = frozenset({"agent", "workflow"})
_NOTHING: Final[Mapping[str, int]] = {}
_NO_ATTRIBUTES: Final[Mapping[str, object]] = {}
_MAX_CALLS: Final = 2048
_MAX_TEXT: Final = 1024
# Among so many calls, alike and at the same time, the content decides.
_MAX_ALIKE: Final = 8
_RESPONSE, _PROVIDER, _MODEL, _STATEMENT = "response", "provider", "model", "statement"


def request_id(span: ReadableSpan) -> str:
    """Return the id of the row that a span becomes: the same whenever it is asked for."""
    context = span.get_span_context()
    name = f"{context.trace_id:032x}{context.span_id:016x}" if context else ""
    return str(uuid.uuid5(NAMESPACE, name))


# --- calls inside of spans --------------------------------------------------------------------


def may_be_request(classification: Classification) -> bool:
    """Tell whether a span of this classification can stand for a call."""
    row = classification.row
    return classification.kind in REQUEST_KINDS and (
        row is None or (row.request and not row.served and not row.duplicate)
    )


def call_of(classification: Classification) -> str | None:
    """Return the kind of call that a span of this classification can stand for."""
    return classification.kind if may_be_request(classification) else None


def is_boundary(record: Record) -> bool:
    """Tell whether calls inside of this are no calls of what encloses it."""
    return record.classification.kind in _BOUNDARIES


def report_calls(calls: Mapping[str, int], reporter: int, enclosing: Record | None) -> None:
    """Report to what encloses a span which calls were made in it.

    A span reports what was reported to it when it ends: only then is it known for sure what it is.

    Args:
        calls: By kind, the id of the one call's span; 0: there were several.
        reporter: The span's id.
        enclosing: The record of what encloses it.
    """
    for _ in range(MAX_DEPTH):
        if enclosing is None or not enclosing.note_calls(calls, reporter):
            return
        if isinstance(enclosing, SpanRecord) and not enclosing.ended:
            return
        # It has ended, or it is a context frame or a claim, which have no end: go on to what encloses it.
        if is_boundary(enclosing):
            return
        enclosing = enclosing.parent


def _calls_made(record: Record, span_id: int) -> Mapping[str, int]:
    """Return the calls that a span which has ended stands for or encloses."""
    inside = _NOTHING if is_boundary(record) else record.inside
    kind = call_of(record.classification)
    return inside if kind is None or kind in inside else {**inside, kind: record.matched or span_id}


def _stands_alone(record: Record, span: ReadableSpan) -> bool:
    """Tell whether a span that only repeats another one stands for the call: the other one is not there."""
    row, above = record.classification.row, record.parent
    if row is None:
        return False
    if row.served:
        return not _is_called_by(record, span)
    return row.duplicate and (above is None or above.scope is not record.scope)


def _is_called_by(record: Record, span: ReadableSpan) -> bool:
    """Tell whether the client's side of a call is known, of which a span is the server's side."""
    for above in record.line():
        if above is not record:
            if above.classification.kind == record.classification.kind:
                return True
            if is_boundary(above):
                return False
    return record.parent is None and span.parent is not None and span.parent.is_remote


# --- calls beside each other ------------------------------------------------------------------
#
# Some instrumentations never make their spans current, so the spans of the SDK that they call are not inside of theirs.
# They are matched when they end: by the id of the provider's answer, or else by what they say of the call and by time.


class EndedCall:
    """A call of the recent past, and what the spans say that have told of it.

    Args:
        record: The record of the span that stands for it; a plain `Record` if it has none.
        span_id: The span's id.
        begin: When the span started, in nanoseconds since the epoch.
        end: When it ended.
        details: What it says.

    Attributes:
        scopes: The scopes whose span has told of it. One call has one span of a scope, or they are inside each other.
        ambiguous: A span was matched with it that may be of another call, alike and at the same time.
    """

    __slots__ = ("_content", "_spans", "ambiguous", "begin", "details", "end", "record", "scopes", "span_id")

    def __init__(self, record: Record, span_id: int, begin: int, end: int, details: CallDetails) -> None:
        self.record = record
        self.span_id = span_id
        self.begin = begin
        self.end = end
        self.details = details
        self.scopes: set[ScopeRules] = {record.scope} if record.scope is not None else set()
        self.ambiguous = False
        self._spans: list[weakref.ref[ReadableSpan]] = []
        self._content: frozenset[int] | None = None

    def add(self, scope: ScopeRules | None, details: CallDetails, span: ReadableSpan) -> None:
        """Note that one more span has told of it."""
        if scope is not None:
            self.scopes.add(scope)
        self.details = self.details.joined(details)
        self.remember(span)

    def remember(self, span: ReadableSpan) -> None:
        """Remember a span for its content, as long as somebody else keeps it."""
        self._spans.append(weakref.ref(span))
        self._content = None

    def content(self) -> frozenset[int]:
        """Return the words at the ends of the texts that its spans contain, in hashes."""
        if self._content is None:
            spans = (span for ref in self._spans if (span := ref()) is not None)
            self._content = frozenset().union(*map(content_of, spans))
        return self._content

    def parent(self) -> Record | None:
        """Return what encloses the call and all spans around it that tell of it alone."""
        kind, record = self.record.classification.kind, self.record
        for _ in range(MAX_DEPTH):
            above = record.parent
            if above is None or above.classification.kind != kind or above.inside.get(kind or "") != self.span_id:
                return above
            record = above
        return None


class RecentCalls:
    """The calls that have ended last, in the order in which they began.

    Args:
        reader: Knows which attributes hold ids of answers, providers, models and statements.
    """

    def __init__(self, reader: SpanReader) -> None:
        self._roles = {
            **dict.fromkeys(reader.response_ids, _RESPONSE),
            **dict.fromkeys(reader.providers, _PROVIDER),
            **dict.fromkeys(reader.models, _MODEL),
            **dict.fromkeys(reader.statements, _STATEMENT),
        }
        self._keys = frozenset(self._roles)
        # Each with when it began, and a number, so that two are never compared.
        self._calls: list[tuple[int, int, EndedCall]] = []
        self._numbers = count()
        self._by_span: dict[int, EndedCall] = {}
        self._by_answer: dict[str, EndedCall] = {}

    def details_of(self, kind: str | None, span: ReadableSpan) -> CallDetails:
        """Return what a span of some kind says about the call that it describes."""
        attributes = attributes_of(span) or _NO_ATTRIBUTES
        texts: dict[str, list[str]] = {}
        for key in self._keys.intersection(attributes):
            value = attributes[key]
            if isinstance(value, str) and value:
                texts.setdefault(self._roles[key], []).append(value[:_MAX_TEXT].strip())
        about = texts.get(_MODEL if kind in CALL_KINDS else _STATEMENT, ())
        (response_id,) = texts.get(_RESPONSE, (None,))[:1]
        return CallDetails(response_id, tuple(texts.get(_PROVIDER, ())), tuple(about))

    def known_of(self, span_id: int) -> EndedCall | None:
        """Return a call by the id of the span that stands for it."""
        return self._by_span.get(span_id)

    def add(self, call: EndedCall) -> None:
        """Remember a call that has ended."""
        insort(self._calls, (call.begin, next(self._numbers), call))
        if call.span_id:
            self._by_span[call.span_id] = call
        self._note_answer(call)
        while len(self._calls) > _MAX_CALLS:
            _, _, oldest = self._calls.pop(0)
            if self._by_span.get(oldest.span_id) is oldest:
                self._by_span.pop(oldest.span_id, None)
            answer = oldest.details.response_id or ""
            if self._by_answer.get(answer) is oldest:
                self._by_answer.pop(answer, None)

    def tell(self, call: EndedCall, told: EndedCall, span: ReadableSpan) -> None:
        """Note that a span has told of a call, beside it or around it.

        Args:
            call: The call.
            told: The call as the span tells of it.
            span: The span.
        """
        call.add(told.record.scope, told.details, span)
        self._note_answer(call)

    def _note_answer(self, call: EndedCall) -> None:
        if call.details.response_id is not None:
            self._by_answer[call.details.response_id] = call

    def match(self, told: EndedCall, span: ReadableSpan, not_current: bool) -> EndedCall | None:
        """Return the call of which a span tells that has ended; `None`: no other span has.

        Args:
            told: The call as the span tells of it. It is marked as ambiguous if another call may be meant.
            span: The span.
            not_current: Whether the span was never current, so that the call's own span may be beside it.
        """
        answer = told.details.response_id
        call = self._by_answer.get(answer) if answer is not None else None
        if call is not None and _may_have_told(told, call) and (not_current or told.begin <= call.end):
            return call
        if not not_current:
            return None
        alike = list(islice(self._alike(told), _MAX_ALIKE))
        if len(alike) < 2:  # noqa: PLR2004
            told.ambiguous = any(one.ambiguous for one in alike)
            return alike[0] if alike else None
        if (meant := _by_content(span, alike)) is not None:
            return meant
        for one in (told, *alike):
            one.ambiguous = True
        return alike[0]

    def _alike(self, told: EndedCall) -> Iterator[EndedCall]:
        """Yield the calls that a span may tell of, by what it says and by time.

        The one that began first comes first: it fits into fewer of the wrappers that have not ended yet, so that in the
        end each call has its wrapper.
        """
        start = bisect_left(self._calls, (told.begin, 0))
        verdicts: dict[tuple[bool, CallDetails], bool] = {}  # many calls say the same
        for _, _, call in self._calls[start:]:
            if call.begin > told.end:
                return
            if call.end > told.end or not _may_have_told(told, call):
                continue
            key = (call.record.classification.row is None, call.details)
            if (says_same := verdicts.get(key)) is None:
                says_same = verdicts[key] = _says_same(told, call)
            if says_same and _is_around(told, call):
                yield call


def _may_have_told(told: EndedCall, call: EndedCall) -> bool:
    return told.record.classification.kind == call.record.classification.kind and told.record.scope not in call.scopes


def _says_same(told: EndedCall, call: EndedCall) -> bool:
    if call.record.classification.row is None:
        return True  # the span of a request to a gateway knows nothing but where it goes
    if not told.details.texts and told.record.classification.kind not in CALL_KINDS:
        return told.details.may_come_to(call.details)  # a retriever's span may have no query
    return told.details.name_same(call.details)


def _is_around(told: EndedCall, call: EndedCall) -> bool:
    """Tell whether a call is below something that encloses the span that tells of it as well."""
    if told.record.parent is None and told.record.scope is not None and told.record.scope.late:
        return True  # what tells late may do so in a thread that has lost the Context
    parent = call.parent()
    return parent is None or any(parent is above for above in told.record.line())


def _by_content(span: ReadableSpan, calls: Iterable[EndedCall]) -> EndedCall | None:
    """Return the call whose content differs less from that of a span than any other; `None`: that is not certain."""
    content = content_of(span)
    ranked = sorted(((len(content ^ call.content()), call) for call in calls), key=itemgetter(0))
    (least, best), (second, _) = ranked[:2]
    return best if least < second else None


class Calls:
    """Decides which of the spans of a call stands for it.

    Args:
        reader: Knows which attributes hold ids of answers, providers, models and statements.
    """

    def __init__(self, reader: SpanReader) -> None:
        self._reader = reader
        self.recent = RecentCalls(reader)

    def finalize(self, record: SpanRecord, span: ReadableSpan) -> None:
        """Decide, when a span ends, whether it is the one that stands for its call."""
        ids = span.get_span_context()
        span_id = ids.span_id if ids is not None else 0
        if may_be_request(record.classification) or _stands_alone(record, span):
            if not record.wraps:
                self._match(record, span_id, span)
            elif self._reader.has_not_current and (call := self.recent.known_of(record.tells_of)) is not None:
                self.recent.tell(call, self._told(record, span_id, span), span)
            record.request = not record.wraps
        calls = _calls_made(record, span_id)
        if calls:
            report_calls(calls, span_id, record.parent)

    def note_without_span(self, enclosing: Record, row_id: str | None) -> Record:
        """Note a call that left for a gateway from inside a span, without a span of its own; return its record."""
        call, now = Record(enclosing, None, enclosing.trace_id), time.time_ns()
        call.classification = Classification("llm", recognised=True)
        call.by_gateway, call.row_id = True, row_id
        self.recent.add(EndedCall(call, 0, now, now, CallDetails()))
        return call

    def _match(self, record: SpanRecord, span_id: int, span: ReadableSpan) -> None:
        """Match a span with the call beside it of which it tells, if another span has told of that."""
        row, told = record.classification.row, self._told(record, span_id, span)
        call = self.recent.match(told, span, row is not None and row.not_current)
        if call is None:
            told.remember(span)
            self.recent.add(told)
            return
        self.recent.tell(call, told, span)
        if record.parent is None:
            record.parent = call.parent()  # it belongs where its call was made
        if isinstance(call.record, SpanRecord):
            record.matched, record.ambiguous = call.span_id, told.ambiguous
        else:  # no other span describes that call
            record.by_gateway, record.row_id = True, call.record.row_id

    def _told(self, record: SpanRecord, span_id: int, span: ReadableSpan) -> EndedCall:
        details = self.recent.details_of(record.classification.kind, span)
        return EndedCall(record, span_id, span.start_time or 0, span.end_time or 0, details)

"""Which span stands for a call? The innermost one: one call is one row in Helicone."""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ..spans.kinds import CALL_KINDS, REQUEST_KINDS
from ..spans.providers import providers_in
from ..spans.reader import SpanReader
from ..spans.schema import Classification
from ..wire import NAMESPACE
from .records import MAX_DEPTH, Record, SpanRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Calls inside of these belong to a run of its own: a tool may run an agent whose tools run.
_BOUNDARIES: Final = frozenset({"agent", "workflow"})
_NOTHING: Final[Mapping[str, int]] = {}
_NO_ATTRIBUTES: Final[dict[str, object]] = {}
_MAX_CALLS: Final = 256
_MAX_TEXT: Final = 1024
_RESPONSE, _PROVIDER, _MODEL, _STATEMENT = "response", "provider", "model", "statement"
# What may follow a model's name in the name of one of its versions: `-2024-07-18`, `-001`, `@latest`, `:v2`.
_VERSION: Final = r"(?:[-@:]v?[0-9][0-9a-z.:-]*|[-@:]latest)\Z"
# What may follow a query in the text that reaches the driver: a comment, the final semicolon.
_COMMENT: Final = r"[\s;]*(?:/\*|\Z)"


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


class _EndedCall(NamedTuple):
    """A call of the recent past, and what its span says about it.

    Attributes:
        record: The record of its span; a plain `Record` if it has none.
        span_id: The span's id.
        begin: When it started, in nanoseconds since the epoch.
        end: When it ended.
        response_id: The provider's id of the answer.
        providers: Names of the provider.
        texts: The models of an LLM call or embedding; the query of anything else.
    """

    record: Record
    span_id: int
    begin: int
    end: int
    response_id: str | None
    providers: tuple[str, ...]
    texts: tuple[str, ...]


class Calls:
    """Decides which of the spans of a call stands for it.

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
        self._recent: deque[_EndedCall] = deque(maxlen=_MAX_CALLS)

    def finalize(self, record: SpanRecord, span: ReadableSpan) -> None:
        """Decide, when a span ends, whether it is the one that stands for its call."""
        ids = span.get_span_context()
        span_id = ids.span_id if ids is not None else 0
        if may_be_request(record.classification) or _stands_alone(record, span):
            if not record.wraps:
                self._match(record, span_id, span)
            record.request = not record.wraps
        calls = _calls_made(record, span_id)
        if calls:
            report_calls(calls, span_id, record.parent)

    def note_without_span(self, enclosing: Record, row_id: str | None) -> Record:
        """Note a call that left for a gateway from inside a span, without a span of its own; return its record."""
        call, now = Record(enclosing, None, enclosing.trace_id), time.time_ns()
        call.classification = Classification("llm", recognised=True)
        call.by_gateway, call.row_id = True, row_id
        self._recent.append(_EndedCall(call, 0, now, now, None, (), ()))
        return call

    def _match(self, record: SpanRecord, span_id: int, span: ReadableSpan) -> None:
        """Match a span that is never current with the call beside it that it wraps."""
        row, call = record.classification.row, self._describe(record, span_id, span)
        wrapped = self._claim(call) if row is not None and row.not_current else None
        if wrapped is None:
            self._recent.append(call)
        elif isinstance(wrapped.record, SpanRecord):
            record.matched = wrapped.span_id
        else:  # no other span describes that call
            record.by_gateway, record.row_id = True, wrapped.record.row_id

    def _describe(self, record: SpanRecord, span_id: int, span: ReadableSpan) -> _EndedCall:
        attributes = span.attributes or _NO_ATTRIBUTES
        texts: dict[str, list[str]] = {}
        for key in self._keys.intersection(attributes):
            value = attributes[key]
            if isinstance(value, str) and value:
                texts.setdefault(self._roles[key], []).append(value[:_MAX_TEXT].strip())
        about = texts.get(_MODEL if record.classification.kind in CALL_KINDS else _STATEMENT, ())
        (response_id,) = texts.get(_RESPONSE, (None,))[:1]
        begin, end = span.start_time or 0, span.end_time or 0
        return _EndedCall(record, span_id, begin, end, response_id, tuple(texts.get(_PROVIDER, ())), tuple(about))

    def _claim(self, wrapper: _EndedCall) -> _EndedCall | None:
        """Return the call that a wrapper wraps, and keep it from other wrappers."""
        fitting = self._fitting(wrapper)
        if not fitting:
            return None
        # Calls run in parallel under the same instrumentations: each wrapper takes one, if not its own.
        call = fitting[0]
        with contextlib.suppress(ValueError):
            self._recent.remove(call)
        if len(fitting) > 1:
            for one in fitting:
                one.record.ambiguous = True
        wrapper.record.ambiguous = call.record.ambiguous and not _have_same_answer(wrapper, call)
        return call

    def _fitting(self, wrapper: _EndedCall) -> list[_EndedCall]:
        """Return the calls that a wrapper may wrap, the last first; only one where the answer's id says which."""
        found: list[_EndedCall] = []
        for call in reversed(tuple(self._recent)):
            if found and call.end < wrapper.begin:
                break  # and so did those before it
            if _may_be_same(wrapper, call):
                if _have_same_answer(wrapper, call):
                    return [call]
                found.append(call)
        return found


def _may_be_same(wrapper: _EndedCall, call: _EndedCall) -> bool:
    if (
        call.record.classification.kind != wrapper.record.classification.kind
        or call.record.scope is wrapper.record.scope
    ):
        return False
    if wrapper.response_id is not None and call.response_id is not None:
        return wrapper.response_id == call.response_id
    return _encloses(wrapper, call) and _agree(wrapper, call)


def _have_same_answer(wrapper: _EndedCall, call: _EndedCall) -> bool:
    return wrapper.response_id is not None and wrapper.response_id == call.response_id


def _encloses(wrapper: _EndedCall, call: _EndedCall) -> bool:
    """Tell whether a call lies within a wrapper's time, and is below something that encloses the wrapper as well."""
    if not (wrapper.begin <= call.begin and call.end <= wrapper.end):
        return False
    parent = call.record.parent
    return parent is None or any(parent is above for above in wrapper.record.line())


def _agree(wrapper: _EndedCall, call: _EndedCall) -> bool:
    """Tell whether two spans name the same provider, and the same model or query."""
    if call.record.classification.row is None:
        return True  # the span of a request to a gateway: it knows nothing but where it goes
    theirs, ours = providers_in(wrapper.providers), providers_in(call.providers)
    if theirs and ours and theirs.isdisjoint(ours):
        return False
    if not wrapper.texts and wrapper.record.classification.kind not in CALL_KINDS:
        return True  # a retriever's span may have no query
    return any(_texts_agree(_bare(one), _bare(other)) for one in wrapper.texts for other in call.texts)


def _texts_agree(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    if not longer.startswith(shorter):
        return False
    rest = longer[len(shorter) :]
    return not rest or re.match(_VERSION, rest) is not None or re.match(_COMMENT, rest) is not None


def _bare(text: str) -> str:
    # Routers put a provider before the model: `openai/gpt-4o`.
    return text.lower() if " " in text else text.lower().rpartition("/")[2]

"""Which spans that are still open may turn out to tell of a call that has ended?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

from ..spans.reader import ScopeRules
from .call_details import CallDetails
from .records import Entry, SpanRecord, scope_of
from .requests import RecentCalls, may_be_request

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Later than any span starts, in nanoseconds since the epoch.
_NEVER: Final = 1 << 63


class OpenSpans:
    """What may still be told of calls by the spans that are open at one moment.

    However many spans are open, they say little that differs: those that say the same are kept as one.

    Args:
        records: The records of the spans that are open.
        calls: Knows what spans say about calls.
    """

    def __init__(self, records: Iterable[SpanRecord], calls: RecentCalls) -> None:
        self._calls = calls
        # By kind, scope and what the spans say: when the first of them started. They are never current, so they stand
        # beside the calls that they wrap.
        self._beside: dict[tuple[str | None, ScopeRules, CallDetails], int] = {}
        # The ids of the spans of calls of which spans tell that are just being handed on.
        self._told: set[int] = set()
        # The ids of all records that enclose a span which may show only later that it is a call.
        self._around: set[int] = set()
        for record in records:
            self._add(record)

    def _add(self, record: SpanRecord) -> None:
        classification, scope, span = record.classification, record.scope, record.span
        if span is None:
            self._told.add(record.tells_of)
            return
        if scope is None:
            return
        may_change = scope.may_change(classification)
        if may_change and scope.known and record.parent is not None:
            self._around.update(map(id, record.parent.line()))
        for kind in scope.not_current:
            if may_change or (kind == classification.kind and may_be_request(classification)):
                key = (kind, scope, self._calls.details_of(kind, span))
                self._beside[key] = min(self._beside.get(key, _NEVER), record.start_time or 0)

    def may_tell_of(self, span_id: int, span: ReadableSpan, entry: Entry, heard: Collection[ScopeRules]) -> bool:
        """Tell whether an open span may turn out to be of the same call as a span that has ended.

        Args:
            span_id: The id of the span that has ended.
            span: The span.
            entry: What is remembered of it.
            heard: The scopes whose span of this call has ended, too. They have no other.
        """
        if id(entry) in self._around or span_id in self._told:
            return True
        if not self._beside:
            return False
        kind = entry.classification.kind
        own = scope_of(entry)
        call, end = self._calls.known_of(span_id), span.end_time or 0
        details = call.details if call is not None else self._calls.details_of(kind, span)
        return any(
            other == kind and scope is not own and scope not in heard and start <= end and told.may_come_to(details)
            for (other, scope, told), start in self._beside.items()
        )

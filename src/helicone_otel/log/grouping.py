"""Groups the spans of one call: the span that becomes the row, and its wrappers.

The span that stands for a call often has little content. The messages are on the instrumentation's span around
it, or beside it, which ends a moment later. The call waits for that span.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..failures import swallow
from ..otel.exporter import FinalizedSpan
from ..spans.schema import NOTHING, Classification
from ..tracking.on_end import Outcome
from ..tracking.records import Entry, Leaf, LeafRecord, Record, SpanRecord
from ..tracking.registry import Registry
from ..tracking.requests import is_boundary

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# A wrapper of such a call may have a name of its own. A tool of another name is another tool.
_KINDS_WITH_OTHER_NAMES: Final = frozenset({"llm", "embedding", "vector_db", "rerank"})


class CallGroup(NamedTuple):
    """A span that may become a row, and its wrappers.

    Attributes:
        span: The span.
        entry: What the registry remembers of it, if anything.
        wrappers: The other spans of the same call, the innermost first.
    """

    span: ReadableSpan
    entry: Entry | None
    wrappers: Sequence[ReadableSpan]

    def outcome(self, registry: Registry) -> Outcome | None:
        """Return the span's attributes and whether it is logged. This is the one decision of what becomes a row.

        Args:
            registry: Knows what a span is.

        Returns:
            The outcome; `None` if the span has no label.
        """
        if isinstance(self.span, FinalizedSpan):  # decided when the copy was made, which has the label
            return Outcome({}, {}, logged=self.span.logged)
        return registry.ends.outcome_later(self.entry, self.span) if self.entry is not None else None


class _WaitingSpan(NamedTuple):
    span: ReadableSpan
    entry: Entry | None
    since: float


class CallGrouper:
    """Keeps the span of a call until its wrappers have ended.

    Args:
        registry: Knows which spans are wrappers, and of which calls.
        limit: How many calls wait at most, and wrappers whose calls have not come. Beyond that the oldest leave.
    """

    def __init__(self, registry: Registry, limit: int) -> None:
        self._registry = registry
        self.limit = limit
        self._calls: dict[int, _WaitingSpan] = {}
        # By the id of the call's span.
        self._wrappers: dict[int, list[_WaitingSpan]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def spans(self) -> Iterator[ReadableSpan]:
        """Yield all spans that are kept."""
        yield from (call.span for call in self._calls.values())
        for wrappers in self._wrappers.values():
            yield from (wrapper.span for wrapper in wrappers)

    def seconds_to_next(self, max_wait: float) -> float:
        """Return in how many seconds the oldest call has waited for `max_wait` seconds; `max_wait` if none waits."""
        oldest = next(iter(self._calls.values()), None)
        return max_wait if oldest is None else min(max(oldest.since + max_wait - time.monotonic(), 0.01), max_wait)

    def take(self, ended: Iterable[tuple[ReadableSpan, SpanRecord | Leaf | None]], max_wait: float) -> list[CallGroup]:
        """Add spans that have ended, and return the calls that wait for nothing more.

        Args:
            ended: The spans, each with its entry in the registry.
            max_wait: How many seconds a call waits at most.
        """
        now = time.monotonic()
        for span, entry in ended:
            try:
                self._add(span, entry, now)
            except Exception as error:  # noqa: BLE001  # the next spans must be logged all the same
                swallow("log", error)
        excess = len(self._calls) - self.limit
        due = [
            span_id
            for position, (span_id, call) in enumerate(self._calls.items())
            if position < excess
            or now - call.since >= max_wait
            or call.entry is None
            or not self._waits_for_wrapper(span_id, call.entry)
        ]
        groups = [self._pop_group(span_id) for span_id in due]
        self._drop_lone_wrappers(now, max_wait)
        return groups

    def _add(self, span: ReadableSpan, remembered: SpanRecord | Leaf | None, now: float) -> None:
        ids = span.get_span_context()
        if ids is None:
            return
        # Since the entry was made, the span may have turned out to be a wrapper.
        known = LeafRecord._make(remembered) if isinstance(remembered, tuple) else remembered
        entry = self._registry.ends.ended(ids.span_id, span) or known
        if not isinstance(entry, SpanRecord) or not entry.wraps:
            self._calls[ids.span_id] = _WaitingSpan(span, entry, now)
        elif call_id := entry.tells_of:
            self._wrappers.setdefault(call_id, []).append(_WaitingSpan(span, entry, now))

    def _pop_group(self, span_id: int) -> CallGroup:
        call = self._calls.pop(span_id)
        wrappers = self._wrappers.pop(span_id, ())
        return CallGroup(call.span, call.entry, [one.span for one in wrappers if _is_same_step(one.entry, call.entry)])

    def _waits_for_wrapper(self, span_id: int, entry: Entry) -> bool:
        """Tell whether a wrapper of a call has not ended, or has not been added yet."""
        added = [wrapper.entry for wrapper in self._wrappers.get(span_id, ())]
        if not added and self._registry.ends.has_not_current:
            return True  # a wrapper beside the call is recognised when it ends
        kind = _classification_of(entry).kind
        parent = entry.parent
        for record in parent.line() if parent is not None else ():
            # A span with several calls inside wraps none of them, and neither do the spans around it.
            if is_boundary(record) or record.inside.get(kind or "") == 0:
                return False
            if not record.ended and _may_wrap(record, kind):
                return True
            if record.tells_of == span_id and record not in added:
                return True
        return False

    def _drop_lone_wrappers(self, now: float, max_wait: float) -> None:
        """Drop wrappers whose calls do not come."""
        lone = [call_id for call_id in self._wrappers if call_id not in self._calls]
        excess = len(lone) - self.limit
        for position, call_id in enumerate(lone):
            if position < excess or now - self._wrappers[call_id][-1].since >= max_wait:
                del self._wrappers[call_id]


def _may_wrap(record: Record, kind: str | None) -> bool:
    """Tell whether a span that has not ended may be a wrapper of a call; some show their kind only at their end."""
    own = record.classification.kind
    return own == kind or (own is None and record.scope is not None and record.scope.known)


def _is_same_step(wrapper: Entry | None, call: Entry | None) -> bool:
    if call is None:  # the registry has forgotten it
        return False
    one, other = _classification_of(wrapper), _classification_of(call)
    return one.kind in _KINDS_WITH_OTHER_NAMES or one.segment == other.segment


def _classification_of(entry: Entry | None) -> Classification:
    return NOTHING if entry is None else entry.classification

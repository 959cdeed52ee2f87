"""Groups the spans of one call: the span that becomes the row, and its wrappers.

The span that stands for a call often has little content. The messages are on the instrumentation's span around
it, or beside it, which ends a moment later. The call waits for that span, and for no other.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ..failures import swallow, warn_once
from ..otel.exporter import FinalizedSpan
from ..spans.schema import NOTHING, Classification
from ..tracking.on_end import Outcome
from ..tracking.open_spans import OpenSpans
from ..tracking.records import Entry, Leaf, LeafRecord, Record, SpanRecord, scope_of
from ..tracking.registry import Registry
from ..tracking.requests import is_boundary

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Seconds after which calls that wait are looked at again: a span that turns out not to wrap them says nothing. The
# pause grows with how long they have waited.
_FIRST_LOOK: Final = 0.02
# How many calls are remembered as having left.
_MAX_LEFT: Final = 4096
_LATE: Final = "A span that tells of a call was dropped: it ended after the call's row had left."
_ALONE: Final = "A span that tells of a call was dropped: the call has not ended in five minutes, or too many wait."
# Seconds for which a wrapper waits whose call has not ended.
_LONGEST_ALONE: Final = 300.0
# A wrapper of such a call may have a name of its own. A tool of another name is another tool.
_KINDS_WITH_OTHER_NAMES: Final = frozenset({"llm", "embedding", "vector_db", "rerank"})


# A span that has ended, with its entry in the registry, and how many bytes it takes.
EndedSpan: TypeAlias = "tuple[ReadableSpan, SpanRecord | Leaf | None, int]"
_Source: TypeAlias = Callable[[], Iterable[EndedSpan]]


class CallGroup(NamedTuple):
    """A span that may become a row, and its wrappers.

    Attributes:
        span: The span.
        entry: What the registry remembers of it, if anything.
        wrappers: The other spans of the same call, the innermost first.
        size: How many bytes all of them take.
    """

    span: ReadableSpan
    entry: Entry | None
    wrappers: Sequence[ReadableSpan]
    size: int

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
    size: int


class CallGrouper:
    """Keeps the span of a call until its wrappers have ended.

    Args:
        registry: Knows which spans are wrappers, and of which calls.
        limit: How many calls wait at most, and wrappers whose calls have not come. Beyond that the oldest leave.

    Attributes:
        bytes: How many bytes the spans take that wait.
    """

    def __init__(self, registry: Registry, limit: int) -> None:
        self._registry = registry
        self.limit = limit
        self._calls: dict[int, _WaitingSpan] = {}
        # By the id of the call's span.
        self._wrappers: dict[int, list[_WaitingSpan]] = {}
        # The ids of the spans of calls that have left, and of those for which no wrapper is kept any more.
        self._left: deque[int] = deque(maxlen=_MAX_LEFT)
        self._given_up: deque[int] = deque(maxlen=_MAX_LEFT)
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._calls)

    def seconds_to_next(self, max_wait: float) -> float | None:
        """Return in how many seconds to look again at what waits, for `max_wait` seconds at most; `None`: nothing."""
        if not self._calls:
            return max_wait or None if self._wrappers else None
        now = time.monotonic()
        oldest, youngest = next(iter(self._calls.values())), next(reversed(self._calls.values()))
        look = max(now - youngest.since, _FIRST_LOOK)
        return max(min(oldest.since + max_wait - now, look), 0.001)

    def take(self, ended: Iterable[EndedSpan], max_wait: float, more: _Source | None = None) -> list[CallGroup]:
        """Add spans that have ended, and return the calls that wait for nothing more.

        Args:
            ended: The spans, each with its entry in the registry.
            max_wait: How many seconds a call waits at most.
            more: Returns the spans that have ended since, for what is no longer open by then must be among them.
                Calls that the app's processors have still in hand then wait as well.
        """
        now = time.monotonic()
        self._add_all(ended, now)
        self._move_wrappers()
        excess = len(self._calls) - self.limit
        over = {
            span_id
            for position, (span_id, call) in enumerate(self._calls.items())
            if position < excess or now - call.since >= max_wait or call.entry is None
        }
        due = over | self._complete(self._calls.keys() - over, more or tuple, now)
        if more is not None:
            due = {span_id for span_id in due if self._is_handed_on(span_id)}
        groups = [self._pop_group(span_id) for span_id in list(self._calls) if span_id in due]
        self._drop_lone_wrappers(now)
        return groups

    def _is_handed_on(self, span_id: int) -> bool:
        """Tell whether no processor may still redact the spans of a call."""
        is_handed_on = self._registry.ends.is_handed_on
        wrappers = (wrapper.span.get_span_context() for wrapper in self._wrappers.get(span_id, ()))
        return is_handed_on(span_id) and all(ids is None or is_handed_on(ids.span_id) for ids in wrappers)

    def _complete(self, waiting: AbstractSet[int], more: _Source, now: float) -> set[int]:
        """Return which of the calls that wait cannot be told more of."""
        if not waiting:
            return set()
        open_spans = self._registry.ends.open_spans()
        self._add_all(more(), now)  # in this order no span is missed that ends just now
        self._move_wrappers()
        return {
            span_id
            for span_id in waiting & self._calls.keys()
            if (entry := (call := self._calls[span_id]).entry) is not None
            and not self._may_be_told_of(span_id, call.span, entry, open_spans)
        }

    def _may_be_told_of(self, span_id: int, span: ReadableSpan, entry: Entry, open_spans: OpenSpans | None) -> bool:
        wrappers = [wrapper.entry for wrapper in self._wrappers.get(span_id, ())]
        heard = {scope for one in (entry, *wrappers) if one is not None and (scope := scope_of(one)) is not None}
        return (
            self._waits_for_wrapper(span_id, entry, wrappers)
            or self._registry.ends.may_be_told_late(entry, heard)
            or (open_spans is not None and open_spans.may_tell_of(span_id, span, entry, heard))
        )

    def _add_all(self, ended: Iterable[EndedSpan], now: float) -> None:
        for span, entry, size in ended:
            try:
                self._add(span, entry, now, size)
            except Exception as error:  # noqa: BLE001  # the next spans must be logged all the same
                swallow("log", error)

    def _add(self, span: ReadableSpan, remembered: SpanRecord | Leaf | None, now: float, size: int) -> None:
        ids = span.get_span_context()
        if ids is None:
            return
        # Since the entry was made, the span may have turned out to be a wrapper.
        known = LeafRecord._make(remembered) if isinstance(remembered, tuple) else remembered
        entry = self._registry.ends.ended(ids.span_id, span) or known
        waiting = _WaitingSpan(span, entry, now, size)
        self.bytes += size
        if isinstance(entry, SpanRecord) and entry.wraps:
            self._add_wrapper(entry.tells_of, waiting)
            return
        if (before := self._calls.pop(ids.span_id, None)) is not None:  # ids repeat
            self.bytes -= before.size
        self._calls[ids.span_id] = waiting

    def _add_wrapper(self, call_id: int, wrapper: _WaitingSpan) -> None:
        is_late = call_id not in self._calls and call_id in self._left
        if call_id and not is_late:
            self._wrappers.setdefault(call_id, []).append(wrapper)
            return
        self.bytes -= wrapper.size
        if is_late:
            warn_once(_LATE)

    def _move_wrappers(self) -> None:
        """Move those among the calls that have turned out to wrap another one: a stream may end after what wraps it."""
        for span_id, one in tuple(self._calls.items()):
            entry = self._registry.ends.ended(span_id, one.span) or one.entry
            if isinstance(entry, SpanRecord) and entry.wraps:
                del self._calls[span_id]
                self._add_wrapper(entry.tells_of, one._replace(entry=entry))

    def _pop_group(self, span_id: int) -> CallGroup:
        call = self._calls.pop(span_id)
        self._left.append(span_id)
        wrappers = self._wrappers.pop(span_id, ())
        size = call.size + sum(one.size for one in wrappers)
        self.bytes -= size
        told = [one.span for one in wrappers if is_same_step(one.entry, call.entry)]
        return CallGroup(call.span, call.entry, told, size)

    def _waits_for_wrapper(self, span_id: int, entry: Entry, added: Collection[Entry | None]) -> bool:
        """Tell whether a wrapper around a call has not ended, or has not been added yet."""
        kind = _classification_of(entry).kind
        parent = entry.parent
        for record in parent.line() if parent is not None else ():
            # A span with several calls inside wraps none of them, and neither do the spans around it.
            if is_boundary(record) or record.inside.get(kind or "") == 0:
                return False
            if not record.ended and _may_wrap(record, kind):
                return True
            if record.tells_of == span_id and record not in added and span_id not in self._given_up:
                return True
        return False

    def _drop_lone_wrappers(self, now: float) -> None:
        """Drop wrappers whose calls do not come. A call that is a stream may end long after what wraps it."""
        lone = self._lone_wrappers()
        excess = len(lone) - self.limit
        for position, call_id in enumerate(lone):
            if position < excess or now - self._wrappers[call_id][-1].since >= _LONGEST_ALONE:
                self._give_up(call_id)

    def drop_lone_wrappers(self) -> None:
        """Drop all wrappers whose calls have not come: there is no room for them."""
        for call_id in self._lone_wrappers():
            self._give_up(call_id)

    def _lone_wrappers(self) -> list[int]:
        return [call_id for call_id in self._wrappers if call_id not in self._calls]

    def _give_up(self, call_id: int) -> None:
        self.bytes -= sum(one.size for one in self._wrappers.pop(call_id))
        self._given_up.append(call_id)
        warn_once(_ALONE)


def _may_wrap(record: Record, kind: str | None) -> bool:
    """Tell whether a span that has not ended may be a wrapper of a call; some show their kind only at their end."""
    own = record.classification.kind
    return own == kind or (own is None and record.scope is not None and record.scope.known)


def is_same_step(wrapper: Entry | None, call: Entry | None) -> bool:
    """Tell whether a wrapper is of the same step as its call, so that what it tells belongs to the call's row."""
    if call is None:  # the registry has forgotten it
        return False
    one, other = _classification_of(wrapper), _classification_of(call)
    return one.kind in _KINDS_WITH_OTHER_NAMES or one.segment == other.segment


def _classification_of(entry: Entry | None) -> Classification:
    return NOTHING if entry is None else entry.classification

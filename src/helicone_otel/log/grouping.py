"""Brings together the spans that tell of one call: the one that its row is made of, and its wrappers.

The span of the request often says least. Messages stand on the instrumentation's span around it, or beside it,
which ends a moment later: until then the request is held back.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ..failures import swallow
from ..spans.schema import Classification
from ..tracking.records import Entry, Record, SpanRecord
from ..tracking.registry import Registry
from ..tracking.requests import is_boundary

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Around these kinds of calls a wrapper may have a name of its own; a tool of another name is another tool.
_NAMELESS: Final = frozenset({"llm", "embedding", "vector_db", "rerank"})


class CallGroup(NamedTuple):
    """A span that may become a row.

    Attributes:
        span: The span.
        entry: What is remembered of it.
        wrappers: The spans that tell of the same call, the innermost first.
    """

    span: ReadableSpan
    entry: Entry
    wrappers: Sequence[ReadableSpan]


class _Held(NamedTuple):
    span: ReadableSpan
    entry: Entry
    since: float


class CallGrouper:
    """Holds spans back until their wrappers have ended.

    Args:
        registry: Knows which spans those are.
        limit: So many calls, and wrappers whose calls have not come, are held at most; then the oldest go.
    """

    def __init__(self, registry: Registry, limit: int) -> None:
        self._registry = registry
        self.limit = limit
        self._calls: dict[int, _Held] = {}
        # By the id of the call's span.
        self._wrappers: dict[int, list[_Held]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def wait(self, patience: float) -> float:
        """Return for how many seconds there is nothing to do: until what was held first has been so for long enough."""
        oldest = next(iter(self._calls.values()), None)
        return patience if oldest is None else min(max(oldest.since + patience - time.monotonic(), 0.01), patience)

    def take(self, ended: Iterable[tuple[ReadableSpan, Entry]], patience: float) -> list[CallGroup]:
        """Take spans that have ended, and return those for which there is nothing more to wait for.

        Args:
            ended: The spans, with what is remembered of them.
            patience: Seconds for which a span is held at most.
        """
        now = time.monotonic()
        for span, entry in ended:
            try:
                self._sort(span, entry, now)
            except Exception as error:  # noqa: BLE001  # the spans after it are to be logged all the same
                swallow("log", error)
        first = max(len(self._calls) - self.limit, 0)
        due = [
            span_id
            for key_source, (span_id, held) in enumerate(self._calls.items())
            if key_source < first or now - held.since >= patience or not self._may_be_told_more(span_id, held.entry)
        ]
        ready = [self._join(span_id) for span_id in due]
        self._forget_wrappers(now, patience)
        return ready

    def _sort(self, span: ReadableSpan, entry: Entry, now: float) -> None:
        ids = span.get_span_context()
        if ids is None or not ids.trace_flags.sampled:
            return
        # It may have turned out a wrapper by now.
        entry = self._registry.ended(ids.span_id) or entry
        if not isinstance(entry, SpanRecord) or not entry.wraps:
            self._calls[ids.span_id] = _Held(span, entry, now)
        elif call := entry.tells_of:
            self._wrappers.setdefault(call, []).append(_Held(span, entry, now))

    def _join(self, span_id: int) -> CallGroup:
        held = self._calls.pop(span_id)
        wrappers = self._wrappers.pop(span_id, ())
        return CallGroup(held.span, held.entry, [one.span for one in wrappers if _is_same_step(one.entry, held.entry)])

    def _may_be_told_more(self, span_id: int, entry: Entry) -> bool:
        """Tell whether a wrapper of a call has not ended, or has not come here yet."""
        here = [held.entry for held in self._wrappers.get(span_id, ())]
        if not here and self._registry.reader.has_not_current:
            return True  # one beside it shows itself at its end
        kind = _reading_of(entry).kind
        above = entry.parent
        for record in above.line() if above is not None else ():
            if is_boundary(record):
                return False
            if record.inside.get(kind or "") == 0:
                return False  # several calls in it, and so in what encloses it
            if not record.ended and _may_wrap(record, kind):
                return True
            if record.tells_of == span_id and record not in here:
                return True
        return False

    def _forget_wrappers(self, now: float, patience: float) -> None:
        """Forget wrappers whose calls do not come."""
        alone = [call for call in self._wrappers if call not in self._calls]
        for key_source, call in enumerate(alone, self.limit - len(alone)):
            if key_source < 0 or now - self._wrappers[call][-1].since >= patience:
                del self._wrappers[call]


def wrappers_among(registry: Registry, spans: Iterable[ReadableSpan]) -> dict[int, list[ReadableSpan]]:
    """Return, by the ids of calls' spans, those of some spans that ended which wrap the calls."""
    found: dict[int, list[ReadableSpan]] = {}
    for span in spans:
        ids = span.get_span_context()
        entry = registry.ended(ids.span_id) if ids is not None else None
        if not isinstance(entry, SpanRecord) or not (call := entry.tells_of):
            continue
        of = registry.ended(call)
        if of is not None and _is_same_step(entry, of):
            found.setdefault(call, []).append(span)
    return found


def _may_wrap(record: Record, kind: str | None) -> bool:
    """Tell whether a span that has not ended may turn out to wrap a call; some show only then what they are."""
    own = record.classification.kind
    return own == kind or (own is None and record.scope is not None and record.scope.known)


def _is_same_step(wrapper: Entry, call: Entry) -> bool:
    one, other = _reading_of(wrapper), _reading_of(call)
    return one.kind in _NAMELESS or one.segment == other.segment


def _reading_of(entry: Entry) -> Classification:
    return entry.classification

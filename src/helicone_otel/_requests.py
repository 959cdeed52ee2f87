"""Which span stands for a real call? The innermost: one call, one row in Helicone."""

from __future__ import annotations

import uuid
from collections import deque
from typing import TYPE_CHECKING, Final

from ._record import MAX_DEPTH, Record
from ._spans import CALL_KINDS, REQUEST_KINDS

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Ids of rows are UUIDv5, so that a row that is sent twice stays one row; Helicone replaces
# ids of versions above 5.
_NAMESPACE: Final = uuid.UUID("c48d0953-a864-57a6-8a83-c99d75b28a03")
# The only kinds that a detached wrapper, which is never current around its call, stands for.
_WRAPPED_KINDS: Final = frozenset(CALL_KINDS)
# A tool that runs an agent whose tools run is a run of its own.
_BOUNDARIES: Final = frozenset({"agent", "workflow"})


class Calls:
    """The calls of the recent past, for wrappers that are never current around the call they wrap."""

    def __init__(self) -> None:
        self._recent: deque[tuple[Record, int, int]] = deque(maxlen=256)

    def settle(self, record: Record, span: ReadableSpan) -> bool:
        """Decide, when a span ends, whether it is the one that stands for its call."""
        reading = record.reading
        if reading.kind not in REQUEST_KINDS or (reading.row is not None and not reading.row.request):
            return False
        begin, end = span.start_time or 0, span.end_time or 0
        if reading.row is not None and reading.row.detached and not record.wraps:
            record.wraps = self._claim(record, begin, end)
        if record.wraps:
            return False
        if reading.kind in _WRAPPED_KINDS:
            self._recent.append((record, begin, end))
        self._tell_wrappers(record)
        return True

    def _claim(self, record: Record, begin: int, end: int) -> bool:
        # Calls run in parallel under the same instrumentations: each wrapper takes one.
        for other, other_begin, other_end in reversed(self._recent):
            if (
                not other.claimed
                and other.reading.kind == record.reading.kind
                and other.scope is not record.scope
                and other.parent is record.parent
                and begin <= other_begin
                and other_end <= end
            ):
                other.claimed = True
                return True
        return False

    def _tell_wrappers(self, record: Record) -> None:
        kind, above = record.reading.kind, record.parent
        for _ in range(MAX_DEPTH):
            if above is None or above.reading.kind in _BOUNDARIES:
                return
            if above.reading.kind == kind:
                above.wraps = True
            above = above.parent


def request_id(span: ReadableSpan) -> str:
    """Return the id of the row that a span becomes: the same whenever it is asked for."""
    context = span.get_span_context()
    name = f"{context.trace_id:032x}{context.span_id:016x}" if context else ""
    return str(uuid.uuid5(_NAMESPACE, name))

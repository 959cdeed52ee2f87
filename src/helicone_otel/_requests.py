"""Which span stands for a real call? The innermost: one call, one row in Helicone."""

from __future__ import annotations

import contextlib
import uuid
from collections import deque
from typing import TYPE_CHECKING, Final

from ._record import MAX_DEPTH, Record
from ._spans import CALL_KINDS, REQUEST_KINDS, Reading, Scope

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

# Ids of rows are UUIDv5, so that a row that is sent twice stays one row; Helicone replaces
# ids of versions above 5.
_NAMESPACE: Final = uuid.UUID("c48d0953-a864-57a6-8a83-c99d75b28a03")
# The only kinds that a detached wrapper, which is never current around its call, stands for.
_WRAPPED_KINDS: Final = frozenset(CALL_KINDS)
# Kind, scope, what encloses it, begin and end in nanoseconds.
_Call = tuple[str | None, Scope | None, Record | None, int, int]
# A tool that runs an agent whose tools run is a run of its own.
_BOUNDARIES: Final = frozenset({"agent", "workflow"})


class Calls:
    """The calls of the recent past, for wrappers that are never current around the call they wrap."""

    def __init__(self) -> None:
        self._recent: deque[_Call] = deque(maxlen=256)

    def settle(self, record: Record, span: ReadableSpan) -> bool:
        """Decide, when a span ends, whether it is the one that stands for its call."""
        reading = record.reading
        if not may_be_request(reading):
            return False
        if not record.wraps and reading.row is not None and reading.row.detached:
            record.wraps = self._claim(record, span)
        if record.wraps:
            return False
        if reading.kind in _WRAPPED_KINDS:
            self._recent.append((reading.kind, record.scope, record.parent, span.start_time or 0, span.end_time or 0))
        tell_wrappers(reading, record.parent)
        return True

    def _claim(self, record: Record, span: ReadableSpan) -> bool:
        begin, end = span.start_time or 0, span.end_time or 0
        for call in reversed(tuple(self._recent)):
            kind, scope, parent, call_begin, call_end = call
            if (
                kind == record.reading.kind
                and scope is not record.scope
                and parent is record.parent
                and begin <= call_begin
                and call_end <= end
            ):
                # Calls run in parallel under the same instrumentations: each wrapper takes one.
                with contextlib.suppress(ValueError, IndexError):
                    self._recent.remove(call)
                return True
        return False


def tell_wrappers(reading: Reading, above: Record | None) -> None:
    """Tell the spans around one that stands for its call that they only wrap it."""
    for _ in range(MAX_DEPTH):
        if above is None or above.reading.kind in _BOUNDARIES:
            return
        if above.reading.kind == reading.kind:
            above.wraps = True
        above = above.parent


def may_be_request(reading: Reading) -> bool:
    """Tell whether a span that is read like this can stand for a real call."""
    return reading.kind in REQUEST_KINDS and (reading.row is None or reading.row.request)


def request_id(span: ReadableSpan) -> str:
    """Return the id of the row that a span becomes: the same whenever it is asked for."""
    context = span.get_span_context()
    name = f"{context.trace_id:032x}{context.span_id:016x}" if context else ""
    return str(uuid.uuid5(_NAMESPACE, name))

"""Records of what other SDKs opened: they enclose what starts inside, as places that code opened do.

A scope in the Context holds against whatever was opened before it; its path goes on, because it says
whose the work is and not what it does. A run of a framework only replaces an id that was made up: a
sub-agent with a conversation of its own stays in its caller's session.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from ..caches import Recent
from ..failures import swallow
from ..sessions.foreign import SessionClaim
from ..sessions.model import Session, SessionDetails
from ..spans.reader import SpanReader
from .derived import SessionFactory
from .records import SpanRecord, SpanStore

_MAX_OUTERMOST: Final = 1024
# A worker may open a scope for each conversation, in one span that lives as long as it does.
_MAX_WITHIN: Final = 64


class ForeignSessions:
    """Makes the records of scopes and runs, one for all that starts in them.

    Args:
        sessions: Knows sessions by their ids.
        find_node: Finds where a record stands.
    """

    def __init__(self, sessions: SessionFactory, find_node: Callable[[SpanRecord], None]) -> None:
        self._sessions = sessions
        self._find_stand = find_node
        self._outermost: Recent[SessionClaim, SpanRecord] = Recent(_MAX_OUTERMOST)

    def innermost(
        self,
        encloses: SpanRecord | None,
        claim: SessionClaim | None,
        run: SessionClaim | None,
        trace_id: int,
        span: ReadableSpan | None,
    ) -> SpanRecord | None:
        """Return the record of what encloses a span that starts, or headers that leave.

        Args:
            encloses: The record of what does so as far as spans and our own places tell.
            claim: What the Context says.
            run: What the run of a framework says.
            trace_id: Of the trace in which that is.
            span: The span that starts, if one does.
        """
        if claim is not None:
            encloses = self.scope(encloses, claim, trace_id, span)
        if run is None or (encloses is not None and encloses.node is not None and encloses.node.chosen):
            return encloses
        return self._run(encloses, run, trace_id, span)

    def scope(
        self, encloses: SpanRecord | None, claim: SessionClaim, trace_id: int, span: ReadableSpan | None
    ) -> SpanRecord:
        """Return the record of the scope that a Context tells of, or what encloses it if that is as new."""
        known = self._outermost.get(claim) if encloses is None else (encloses.foreign_sessions or {}).get(claim)
        if known is None:
            known = self._opened(encloses, claim, trace_id, span)
            self._remember(encloses, claim, known, span)
        elif known.node is None:
            self._find_stand(known)
        return known

    def _opened(
        self, encloses: SpanRecord | None, claim: SessionClaim, trace_id: int, span: ReadableSpan | None
    ) -> SpanRecord:
        before = [above.claim for above in encloses.line() if above.claim is not None] if encloses is not None else []
        session_id = claim.session_id if all(claim.session_id != older.session_id for older in before) else None
        user_id = claim.user_id if all(claim.user_id != older.user_id for older in before) else None
        if encloses is not None and not session_id and not user_id:
            return encloses
        # A session is the same for all traces in it; a user alone belongs to whatever trace begins there.
        record = _record(encloses, claim, 0 if session_id else trace_id)
        record.rooted = record.rooted or session_id is not None
        record.details = SessionDetails(user_id, {}) if user_id else None
        self._find_stand(record)
        # In a session that has this id already it keeps its name.
        if session_id and (record.node is None or record.node.session.id != session_id):
            record.own, record.opened = self._session(claim, span), True
            self._find_stand(record)
        return record

    def _run(
        self, encloses: SpanRecord | None, run: SessionClaim, trace_id: int, span: ReadableSpan | None
    ) -> SpanRecord:
        known = (encloses.foreign_sessions or {}).get(run) if encloses is not None else None
        if known is None:
            if encloses is not None and any(above.claim == run for above in encloses.line()):
                return encloses
            known = _record(encloses, run, trace_id)
            known.own = self._session(run, span)
            # Where nothing is around it, there is nothing that it could tear apart.
            known.opened = encloses is None and span is None
            if encloses is not None:
                self._remember(encloses, run, known, span)
        if known.node is None:  # nothing had been recognised in its trace
            self._find_stand(known)
        return known

    def _session(self, claim: SessionClaim, span: ReadableSpan | None) -> Session:
        session = self._sessions.chosen(claim.session_id or "", span)
        return SessionDetails(claim.user_id, {}).added_to(session)

    def _remember(
        self, encloses: SpanRecord | None, claim: SessionClaim, record: SpanRecord, span: ReadableSpan | None
    ) -> None:
        node = record.node
        if span is None and node is not None and not node.session.wire_name:
            return  # a span may know its name
        if encloses is None:
            if record.rooted:
                self._outermost.put(claim, record)
            return
        if encloses.foreign_sessions is None or len(encloses.foreign_sessions) >= _MAX_WITHIN:
            encloses.foreign_sessions = {}
        encloses.foreign_sessions[claim] = record


def _record(encloses: SpanRecord | None, claim: SessionClaim, trace_id: int) -> SpanRecord:
    frame = encloses.frame if encloses is not None else None
    record = SpanRecord(None, encloses, None, frame, encloses.trace_id if encloses is not None else trace_id)
    record.claim, record.others, record.size = claim, True, 0
    record.rooted = encloses is not None
    return record


_SEPARATOR: Final = ":"


class FrameworkSpans:
    """Finds the span inside which something is going on, where the Context does not know."""

    def __init__(self, reader: SpanReader, span_store: SpanStore) -> None:
        self._reader = reader
        self._span_store = span_store

    def innermost(self, record: SpanRecord | None) -> SpanRecord | None:
        """Return the record of the span of a framework that is current to it, if the Context's is around that.

        Args:
            record: The record of the Context's current span, if it is remembered.

        Returns:
            Else what was given.
        """
        for frame in self._reader.framework_spans:
            found = self._ask(frame)
            if found is not None and (record is None or any(above is record for above in found.line())):
                return found
        return record

    def _ask(self, frame: str) -> SpanRecord | None:
        module, _, function = frame.partition(_SEPARATOR)
        ask = getattr(sys.modules.get(module), function, None)
        if ask is None:
            return None
        try:
            span = ask()
        except Exception as error:  # noqa: BLE001  # theirs to fail, ours to go on without
            swallow(frame, error)
            return None
        # A run that is over encloses nothing.
        if not isinstance(span, ReadableSpan) or span.end_time is not None:
            return None
        return self._span_store.record_at(span)  # type: ignore[arg-type]  # the SDK's spans are both

"""What other SDKs put between a span and its parent: sessions that they claim, and spans that are never current.

A claim in the Context holds against whatever was opened before it. The path goes on, because a claim says whose
the work is and not what it does. The run of a framework only replaces a provisional session: a sub-agent with a
conversation of its own stays in the session of its caller.
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
from .records import ClaimRecord, Record, SpanRecord, SpanStore

_MAX_OUTERMOST: Final = 1024
# A worker may open a scope for each conversation, in one span that lives as long as the worker.
_MAX_WITHIN: Final = 64
_SEPARATOR: Final = ":"


class ForeignSessions:
    """Makes the records of claims, one for all spans that start under the same claim.

    Args:
        sessions: Makes sessions from ids.
        find_node: Finds the path node of a record.
    """

    def __init__(self, sessions: SessionFactory, find_node: Callable[[Record], None]) -> None:
        self._sessions = sessions
        self._find_node = find_node
        self._outermost: Recent[SessionClaim, ClaimRecord] = Recent(_MAX_OUTERMOST)

    def innermost(
        self,
        enclosing: Record | None,
        claim: SessionClaim | None,
        run: SessionClaim | None,
        trace_id: int,
        span: ReadableSpan | None,
    ) -> Record | None:
        """Return the record of what encloses a span that starts, or headers that leave, with claims.

        Args:
            enclosing: The record of what encloses it, by spans and context frames alone.
            claim: What the Context claims.
            run: What the run of a framework claims.
            trace_id: The trace in which that is.
            span: The span that starts, if one does.
        """
        if claim is not None:
            enclosing = self.claim_record(enclosing, claim, trace_id, span)
        if run is None or (enclosing is not None and enclosing.node is not None and enclosing.node.chosen):
            return enclosing
        return self._run_record(enclosing, run, trace_id, span)

    def claim_record(
        self, enclosing: Record | None, claim: SessionClaim, trace_id: int, span: ReadableSpan | None
    ) -> Record:
        """Return the record of what a Context claims, or of what encloses it if that claims the same."""
        known: Record | None
        known = self._outermost.get(claim) if enclosing is None else (enclosing.claims_inside or {}).get(claim)
        if known is None:
            known = self._new_claim_record(enclosing, claim, trace_id, span)
            self._remember(enclosing, claim, known, span)
        elif known.node is None:
            self._find_node(known)
        return known

    def _new_claim_record(
        self, enclosing: Record | None, claim: SessionClaim, trace_id: int, span: ReadableSpan | None
    ) -> Record:
        before = [above.claim for above in enclosing.line() if above.claim is not None] if enclosing is not None else []
        session_id = claim.session_id if all(claim.session_id != older.session_id for older in before) else None
        user_id = claim.user_id if all(claim.user_id != older.user_id for older in before) else None
        if enclosing is not None and not session_id and not user_id:
            return enclosing
        # A session is the same for all traces in it; a user alone belongs to each trace that begins there.
        record = _record(enclosing, claim, 0 if session_id else trace_id)
        record.is_shared = record.is_shared or session_id is not None
        record.details = SessionDetails(user_id, {}) if user_id else None
        self._find_node(record)
        # A session that has this id already keeps its name.
        if session_id and (record.node is None or record.node.session.id != session_id):
            record.own_session, record.is_explicit = self._session(claim, span), True
            self._find_node(record)
        return record

    def _run_record(
        self, enclosing: Record | None, run: SessionClaim, trace_id: int, span: ReadableSpan | None
    ) -> Record:
        known = (enclosing.claims_inside or {}).get(run) if enclosing is not None else None
        if known is None:
            if enclosing is not None and any(above.claim == run for above in enclosing.line()):
                return enclosing
            known = _record(enclosing, run, trace_id)
            known.own_session = self._session(run, span)
            # Where nothing encloses it, there is no session that it could tear apart.
            known.is_explicit = enclosing is None and span is None
            if enclosing is not None:
                self._remember(enclosing, run, known, span)
        if known.node is None:  # nothing had been recognised in its trace
            self._find_node(known)
        return known

    def _session(self, claim: SessionClaim, span: ReadableSpan | None) -> Session:
        session = self._sessions.chosen(claim.session_id or "", span)
        return SessionDetails(claim.user_id, {}).added_to(session)

    def _remember(
        self, enclosing: Record | None, claim: SessionClaim, record: Record, span: ReadableSpan | None
    ) -> None:
        node = record.node
        if span is None and node is not None and not node.session.wire_name:
            return  # a span that asks later may have a name for it
        if enclosing is None:
            if record.is_shared and isinstance(record, ClaimRecord):
                self._outermost.put(claim, record)
            return
        if enclosing.claims_inside is None or len(enclosing.claims_inside) >= _MAX_WITHIN:
            enclosing.claims_inside = {}
        enclosing.claims_inside[claim] = record


def _record(enclosing: Record | None, claim: SessionClaim, trace_id: int) -> ClaimRecord:
    return ClaimRecord(claim, enclosing, enclosing.trace_id if enclosing is not None else trace_id)


class FrameworkSpans:
    """Finds the span of a framework that encloses the current work, where the framework never makes it current.

    Args:
        reader: Knows where to ask for it.
        span_store: Has the records of spans.
    """

    def __init__(self, reader: SpanReader, span_store: SpanStore) -> None:
        self._reader = reader
        self._span_store = span_store

    def innermost(self, record: Record | None) -> Record | None:
        """Return the record of a framework's span, if the Context's current span encloses that one.

        Args:
            record: The record of the Context's current span, if it is remembered.

        Returns:
            Otherwise the record that was given.
        """
        for where in self._reader.framework_spans:
            found = self._ask(where)
            if found is not None and (record is None or any(above is record for above in found.line())):
                return found
        return record

    def _ask(self, where: str) -> SpanRecord | None:
        module, _, function = where.partition(_SEPARATOR)
        ask = getattr(sys.modules.get(module), function, None)
        if ask is None:
            return None
        try:
            span = ask()
        except Exception as error:  # noqa: BLE001  # a failure of the framework's: go on without it
            swallow(where, error)
            return None
        # A run that is over encloses nothing.
        if not isinstance(span, ReadableSpan) or span.end_time is not None:
            return None
        return self._span_store.record_at(span)  # type: ignore[arg-type]  # the SDK's spans are both

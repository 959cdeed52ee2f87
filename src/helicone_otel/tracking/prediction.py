"""Predicts the session of a root span before it exists, for the sampler."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from opentelemetry.context import Context, get_current
from opentelemetry.trace import SpanKind

from .. import wire
from ..sessions.context import ContextFrame, current_frame
from ..sessions.foreign import IMPORTED, claim_in, claim_of_run, find_imported_sdks
from ..spans.names import is_uuid
from .derived import SET_BY_HAND, by_hand
from .records import ENTRY_SPAN_KINDS
from .resolver import Resolver, is_newer


def predicted_session_id(
    resolver: Resolver,
    trace_id: int,
    kind: SpanKind | None = None,
    attributes: Mapping[str, object] | None = None,
    context: Context | None = None,
) -> str:
    """Return the session id, in wire form, that a root span will get.

    The order is the resolver's, as far as it can be known before the span exists. Where nobody has chosen
    an id, it is the provisional one of the trace, whether or not the trace turns out to belong to an LLM app.

    Args:
        resolver: Knows the sessions so far.
        trace_id: The id of the new trace.
        kind: The root span's kind.
        attributes: The attributes that the span starts with.
        context: Where it starts: `None` stands for the current Context.
    """
    find_imported_sdks()  # this may be the first span of all
    if kind in ENTRY_SPAN_KINDS:
        resolver.untrusted.note(trace_id, context)
    names = (*SET_BY_HAND, *resolver.reader.session_ids)
    facts = {key: attributes[key] for key in names if key in attributes} if attributes else {}
    facts = resolver.untrusted.removed_from(facts, trace_id)
    if chosen := by_hand(facts).get(wire.SESSION_ID):
        return wire.wire_text(wire.valid_text(chosen))
    if enclosing := _enclosing_id(resolver, trace_id, context):
        return enclosing
    if IMPORTED and (run := claim_of_run()) is not None and run.session_id:
        return wire.wire_text(run.session_id)
    process = resolver.sessions.of_process(None)
    # The scope is not known yet, so an id that a framework may have made up counts as one.
    weak = {key for key in resolver.reader.made_up_ids if is_uuid(str(facts.get(key, "")))} if process else set()
    if named := resolver.sessions.id_on({key: value for key, value in facts.items() if key not in weak}):
        return wire.wire_text(wire.valid_text(named))
    return process.wire_id if process is not None else str(uuid.UUID(int=trace_id))


def _enclosing_id(resolver: Resolver, trace_id: int, context: Context | None) -> str | None:
    """Return the id of the session in which a root span starts: a claim's, a context frame's, a framework span's."""
    frame = current_frame(context)
    claim = claim_in(get_current() if context is None else context) if IMPORTED else None
    if claim is not None and claim.session_id and claim.session_id not in _claimed_ids(frame):
        return wire.wire_text(claim.session_id)
    enclosing = resolver.framework_spans.innermost(None) if context is None else None
    if frame is not None and (enclosing is None or is_newer(frame, enclosing)):
        if frame.session is not None:
            return frame.session.wire_id
        enclosing = resolver.record_of(frame, trace_id, None)
    return enclosing.node.session.wire_id if enclosing is not None and enclosing.node is not None else None


def _claimed_ids(frame: ContextFrame | None) -> set[str | None]:
    """Return the session ids that other SDKs claimed where a context frame, and those around it, were opened."""
    claimed: set[str | None] = set()
    while frame is not None:
        claimed.add(frame.claim.session_id if frame.claim is not None else None)
        frame = frame.outer
    return claimed

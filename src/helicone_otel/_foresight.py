"""Whose will a span be that is about to start a trace? A sampler is asked before there is a span to read."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context, get_current
from opentelemetry.trace import SpanKind

from . import _wire
from ._context import Place, current_place
from ._resolver import Resolver, is_newer
from ._scopes import LOADED, look, said_by_run, said_in
from ._sessions import SET_BY_HAND, by_hand

_ENTRANCES: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})


def foreseen_id(
    resolver: Resolver,
    trace_id: int,
    kind: SpanKind | None = None,
    attributes: Mapping[str, object] | None = None,
    context: Context | None = None,
) -> str:
    """Return the id, in wire form, of the session in which a root span will stand.

    The order is the resolver's, as far as it can be known before the span exists. Where nobody has chosen
    an id it is the one that the trace would be given, whether or not it turns out to be part of an LLM app.

    Args:
        resolver: What is known so far.
        trace_id: The new trace's.
        kind: The root span's kind.
        attributes: What the span starts with.
        context: Where it starts: `None` stands for the current Context.
    """
    look()  # the first span of all may be about to start
    if kind in _ENTRANCES:
        resolver.strangers.hear(trace_id, context)
    facts = {key: attributes[key] for key in _telling(resolver) if key in attributes} if attributes else {}
    facts = resolver.strangers.without(trace_id, facts)
    if chosen := by_hand(facts).get(_wire.SESSION_ID):
        return _wire.wire_text(_wire.valid_text(chosen))
    if around := _id_around(resolver, trace_id, context):
        return around
    if LOADED and (run := said_by_run()) is not None and run.session_id:
        return _wire.wire_text(run.session_id)
    if named := resolver.sessions.id_on(facts):
        return _wire.wire_text(_wire.valid_text(named))
    process = resolver.sessions.of_process(None)
    return process.wire_id if process is not None else str(uuid.UUID(int=trace_id))


def _id_around(resolver: Resolver, trace_id: int, context: Context | None) -> str | None:
    """Return whose that is in which a root span starts: a scope or place that code opened, a framework's span."""
    place = current_place(context)
    said = said_in(get_current() if context is None else context) if LOADED else None
    if said is not None and said.session_id and said.session_id not in _heard_in(place):
        return _wire.wire_text(said.session_id)
    around = resolver.bridges.innermost(None) if context is None else None
    if place is not None and (around is None or is_newer(place, around)):
        if place.session is not None:
            return place.session.wire_id
        around = resolver.record_of(place, trace_id, None)
    return around.stand.session.wire_id if around is not None and around.stand is not None else None


def _heard_in(place: Place | None) -> set[str | None]:
    """Return the ids of other SDKs' scopes in which a place, and those around it, were opened."""
    heard: set[str | None] = set()
    while place is not None:
        heard.add(place.said.session_id if place.said is not None else None)
        place = place.outer
    return heard


def _telling(resolver: Resolver) -> tuple[str, ...]:
    return (*SET_BY_HAND, *resolver.vocabulary.session_ids)

"""The sampler: keeps or drops all traces of a session together, and never fails."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span

from .. import wire
from ..failures import swallow
from ..sessions.context import ContextFrame, current_frame
from ..sessions.foreign import LOADED, claim_in, claim_of_run, find_imported_sdks
from ..tracking.derived import SET_BY_HAND, by_hand
from ..tracking.registry import REGISTRY, Registry
from ..tracking.resolver import Resolver, is_newer

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

_ENTRY_KINDS: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})


def predicted_session_id(
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
    find_imported_sdks()  # the first span of all may be about to start
    if kind in _ENTRY_KINDS:
        resolver.untrusted.hear(trace_id, context)
    facts = {key: attributes[key] for key in _telling(resolver) if key in attributes} if attributes else {}
    facts = resolver.untrusted.without(trace_id, facts)
    if chosen := by_hand(facts).get(wire.SESSION_ID):
        return wire.wire_text(wire.valid_text(chosen))
    if foreign_sessions := _id_around(resolver, trace_id, context):
        return foreign_sessions
    if LOADED and (run := claim_of_run()) is not None and run.session_id:
        return wire.wire_text(run.session_id)
    if named := resolver.sessions.id_on(facts):
        return wire.wire_text(wire.valid_text(named))
    process = resolver.sessions.of_process(None)
    return process.wire_id if process is not None else str(uuid.UUID(int=trace_id))


def _id_around(resolver: Resolver, trace_id: int, context: Context | None) -> str | None:
    """Return whose that is in which a root span starts: a scope or place that code opened, a framework's span."""
    frame = current_frame(context)
    said = claim_in(get_current() if context is None else context) if LOADED else None
    if said is not None and said.session_id and said.session_id not in _claims_in(frame):
        return wire.wire_text(said.session_id)
    foreign_sessions = resolver.framework_spans.innermost(None) if context is None else None
    if frame is not None and (foreign_sessions is None or is_newer(frame, foreign_sessions)):
        if frame.session is not None:
            return frame.session.wire_id
        foreign_sessions = resolver.record_of(frame, trace_id, None)
    return (
        foreign_sessions.node.session.wire_id
        if foreign_sessions is not None and foreign_sessions.node is not None
        else None
    )


def _claims_in(frame: ContextFrame | None) -> set[str | None]:
    """Return the ids of other SDKs' scopes in which a place, and those around it, were opened."""
    claims: set[str | None] = set()
    while frame is not None:
        claims.add(frame.claim.session_id if frame.claim is not None else None)
        frame = frame.outer
    return claims


def _telling(resolver: Resolver) -> tuple[str, ...]:
    return (*SET_BY_HAND, *resolver.reader.session_ids)


# 13 hexadecimal digits are 52 bits: a float, in which the Collector counts, holds them exactly.
_DIGITS: Final = 13
_PLACES: Final = 16.0**_DIGITS


def is_kept(session_id: str, ratio: float) -> bool:
    """Tell whether a session is among those that are kept.

    Args:
        session_id: In wire form, as `helicone.session.id` has it.
        ratio: Which share of all sessions is kept, from 0 to 1.
    """
    return int(sha256(session_id.encode()).hexdigest()[:_DIGITS], 16) < ratio * _PLACES


class SessionSampler(ParentBased):
    """Keeps a share of all sessions, each with all of its traces.

    A root span is kept if the session is in which it starts: one that `session()` opened, a caller's that
    is accepted, one that its start attributes name, or `HELICONE_SESSION_ID`. Where no id is known when the
    trace starts, the trace is decided by itself. Spans below another follow it, also across services.

    Args:
        ratio: Which share is kept, from 0 to 1.
        registry: Where sessions are remembered; the process's own if not given.

    Raises:
        ValueError: The ratio is not between 0 and 1.
    """

    def __init__(self, ratio: float = 1.0, registry: Registry | None = None) -> None:
        super().__init__(root=_RootSampler(ratio, registry or REGISTRY))


class _RootSampler(Sampler):
    def __init__(self, ratio: float, registry: Registry) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f"expected a ratio from 0 to 1, got {ratio!r:.60}")
        self._ratio = ratio
        self._registry = registry

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,  # noqa: ARG002  # the SDK's signature
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002  # the same
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Keep a trace if its session is kept."""
        try:
            session_id = predicted_session_id(self._registry.resolver, trace_id, kind, attributes, parent_context)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's start_span
            swallow("should_sample", error)
            session_id = str(uuid.UUID(int=trace_id))
        # The SDK hands over no tracestate, and starts the span with what is returned here.
        trace_state = trace_state or get_current_span(parent_context).get_span_context().trace_state
        if is_kept(session_id, self._ratio):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return SamplingResult(Decision.DROP, None, trace_state)

    def get_description(self) -> str:
        """Return what the sampler is, as OpenTelemetry's own describe themselves."""
        return f"SessionSampler{{{self._ratio:g}}}"

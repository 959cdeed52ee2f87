"""The sampler: keeps or drops all traces of a session together. It never raises."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span

from ..failures import swallow
from ..tracking.registry import REGISTRY, Registry

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

# 13 hexadecimal digits are 52 bits. The Collector computes with floats, which hold that many exactly.
_DIGITS: Final = 13
_HASHES: Final = 16.0**_DIGITS


def is_kept(session_id: str, ratio: float) -> bool:
    """Tell whether a session is kept. Every process, and the Collector, gives the same answer.

    Args:
        session_id: The id in wire form, as `helicone.session.id` has it.
        ratio: The share of all sessions that is kept, from 0 to 1.
    """
    return int(sha256(session_id.encode()).hexdigest()[:_DIGITS], 16) < ratio * _HASHES


class SessionSampler(ParentBased):
    """Keeps a share of all sessions, each with all of its traces.

        provider = TracerProvider(sampler=SessionSampler(0.25))

    A root span is kept if its session is kept. The session is the one that `session()` opened, an accepted caller's,
    the one that the span's start attributes name, or `HELICONE_SESSION_ID`. If no id is known when a trace starts,
    the trace's own id decides. Child spans follow their parent, also across services.

    Args:
        ratio: The share of all sessions that is kept, from 0 to 1.
        registry: Where sessions are remembered; the process's own if not given.

    Raises:
        ValueError: The ratio is not between 0 and 1.
    """

    def __init__(self, ratio: float = 1.0, registry: Registry | None = None) -> None:
        super().__init__(root=_RootSampler(ratio, registry or REGISTRY))


class _RootSampler(Sampler):
    """Decides for the root span of a trace."""

    def __init__(self, ratio: float, registry: Registry) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f"ratio must be a number from 0 to 1, not {ratio!r:.60}")
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
        """Keep the trace if its session is kept."""
        try:
            session_id = self._registry.predicted_session_id(trace_id, kind, attributes, parent_context)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's start_span
            swallow("should_sample", error)
            session_id = str(uuid.UUID(int=trace_id))
        # The SDK passes no tracestate, and starts the span with the one that is returned here.
        trace_state = trace_state or get_current_span(parent_context).get_span_context().trace_state
        if is_kept(session_id, self._ratio):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return SamplingResult(Decision.DROP, None, trace_state)

    def get_description(self) -> str:
        """Return the sampler's name and ratio, in the form of OpenTelemetry's own samplers."""
        return f"SessionSampler{{{self._ratio:g}}}"

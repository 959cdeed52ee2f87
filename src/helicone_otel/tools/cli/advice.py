"""Explains why a run shows no sessions, or calls without headers. Pure: facts in, sentences out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ... import wire
from ...destinations import Destination, Destinations
from ...spans.kinds import CALL_KINDS
from ..replay.spans import SpanParents
from ..terminal import counted
from .gateway_calls import host_of
from .receiver import ReceivedSpan
from .tree import SessionTree

_ALWAYS: Final = frozenset({"", "always_on", "parentbased_always_on"})
_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known after a run.

    Attributes:
        environ: The environment of the application.
        greetings: How many processes reported that they were instrumented.
        dropped: How many spans came after the receiver was full.
    """

    environ: Mapping[str, str]
    destinations: Destinations
    greetings: int
    dropped: int
    spans: Sequence[ReceivedSpan]
    sessions: Sequence[SessionTree]


def advise(facts: RunFacts) -> list[str]:
    """Return sentences that explain what is missing, the likeliest reason first. None if all is well."""
    reasons = list(_switched_off(facts))
    if facts.spans or not reasons:
        reasons += _nothing_seen(facts)
    return [*reasons, *_without_headers(facts), *_incomplete(facts)]


def _switched_off(facts: RunFacts) -> Iterator[str]:
    environ = facts.environ
    if not facts.spans and environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        yield "OTEL_SDK_DISABLED=true: OpenTelemetry made no spans."
    disabled = {name.strip() for name in environ.get(_DISABLED, "").split(",")}
    if disabled & {"helicone", "*"} and not facts.greetings:
        yield f"{_DISABLED}={environ[_DISABLED]}: helicone-otel was not loaded."
    sampler = environ.get(_SAMPLER, "").strip()
    if sampler not in _ALWAYS:
        argument = environ.get(f"{_SAMPLER}_ARG", "").strip()
        setting = f"{_SAMPLER}={sampler}" + (f" ({_SAMPLER}_ARG={argument})" if argument else "")
        yield f"{setting}: spans that are sampled out are not shown."


def _nothing_seen(facts: RunFacts) -> Iterator[str]:
    if facts.sessions:
        return
    if facts.spans:
        scopes = Counter(span.scope or "(no scope)" for span in facts.spans)
        listed = ", ".join(f"{scope} ({number})" for scope, number in scopes.most_common(5))
        yield (
            f"{counted(len(facts.spans), 'span')} arrived, from {listed}, but helicone-otel recognises none of them as "
            "an LLM call, embedding, vector query, tool or agent, so there is no session. Is the instrumentation of "
            "your SDK installed (for instance opentelemetry-instrumentation-genai-openai)?"
        )
        if facts.environ.get("HELICONE_SESSION_FALLBACK", "").strip().lower() == "none":
            yield "HELICONE_SESSION_FALLBACK=none: a trace without a session id makes no session."
    elif facts.greetings:
        yield "The application was instrumented but made no span: it ended before it used an instrumented library."
    else:
        yield (
            "No process of the application loaded helicone-otel. It works for Python programs of this environment "
            f"({sys.executable}) that do not ignore PYTHONPATH (-E, -I and -S do)."
        )


def _without_headers(facts: RunFacts) -> Iterator[str]:
    """Explain LLM calls without headers. Most went to a host that is not a gateway."""
    parents = SpanParents(facts.spans)
    with_headers = [span for span in facts.spans if _has_headers(span)]
    above = {above.span_id for span in with_headers for above in parents.line(span)}
    bare = Counter(
        host_of(span.attributes) for span in facts.spans if span.span_id not in above and _is_bare_call(span, parents)
    )
    for host, number in bare.most_common(5):
        calls = f"{counted(number, 'HTTP request')} of LLM calls"
        if facts.destinations.of_authority(host) is Destination.GATEWAY:
            yield f"{calls} reached the gateway {host} without Helicone headers."
        else:
            yield (
                f"{calls} went to {host}, which is not a Helicone gateway, and got no headers. Point the SDK at a "
                "gateway (OPENAI_BASE_URL, ANTHROPIC_BASE_URL), or name yours in HELICONE_GATEWAY_HOSTS."
            )
    requests = [request for session in facts.sessions for request in session.requests if request.kind in CALL_KINDS]
    if requests and not bare and not any(request.call for request in requests):
        yield "No LLM call carried Helicone headers: none of them went through httpx or httpx2."


def _is_bare_call(span: ReceivedSpan, parents: SpanParents[ReceivedSpan]) -> bool:
    """Tell whether a span is an HTTP request of an LLM call, and neither of them recorded Helicone headers."""
    attributes = span.attributes
    if wire.SESSION_ID not in attributes or not ("url.full" in attributes or "http.url" in attributes):
        return False
    for above in parents.line(span):
        if _has_headers(above):
            return False
        if above.attributes.get(wire.SPAN_KIND) in CALL_KINDS:
            return True
    return False


def _has_headers(span: ReceivedSpan) -> bool:
    return any(name.startswith(wire.REQUEST_HEADER_PREFIX) for name in span.attributes)


def _incomplete(facts: RunFacts) -> Iterator[str]:
    if facts.dropped:
        yield f"{counted(facts.dropped, 'span')} came after the first {len(facts.spans)} and are not shown."

"""What to tell someone whose run shows less than they hoped for. Pure: facts in, sentences out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ... import wire
from ...destinations import Destination, Destinations
from ..terminal import counted
from .receiver import ReceivedSpan
from .tree import Family, Session, host_of

_CALL_KINDS: Final = frozenset({"llm", "embedding"})
_ALWAYS: Final = frozenset({"", "always_on", "parentbased_always_on"})
_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known after a run.

    Attributes:
        greetings: How many processes said that they were instrumented.
        dropped: How many spans were more than the receiver holds.
    """

    environ: Mapping[str, str]
    destinations: Destinations
    greetings: int
    dropped: int
    spans: Sequence[ReceivedSpan]
    sessions: Sequence[Session]


def advise(facts: Facts) -> list[str]:
    """Return what explains a gap, the likeliest reason first; nothing if all is well."""
    reasons = list(_switched_off(facts))
    if facts.spans or not reasons:
        reasons += _nothing_seen(facts)
    return [*reasons, *_without_headers(facts), *_incomplete(facts)]


def _switched_off(facts: Facts) -> Iterator[str]:
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
        yield f"{setting}: what was sampled out is not shown."


def _nothing_seen(facts: Facts) -> Iterator[str]:
    if facts.sessions:
        return
    if facts.spans:
        scopes = Counter(span.scope or "(no scope)" for span in facts.spans)
        listed = ", ".join(f"{scope} ({number})" for scope, number in scopes.most_common(5))
        yield (
            f"{counted(len(facts.spans), 'span')} arrived, from {listed}, but none of an LLM call, embedding, vector "
            "query, tool or agent that helicone-otel recognises, so there is no session. Is the instrumentation of "
            "your SDK installed (for instance opentelemetry-instrumentation-genai-openai)?"
        )
        if facts.environ.get("HELICONE_SESSION_FALLBACK", "").strip().lower() == "none":
            yield "HELICONE_SESSION_FALLBACK=none: a trace that names no session is none."
    elif facts.greetings:
        yield "The application was instrumented but made no span: it ended before it used an instrumented library."
    else:
        yield (
            "No process of the application loaded helicone-otel. It works for Python programs of this environment "
            f"({sys.executable}) that do not ignore PYTHONPATH (-E, -I and -S do)."
        )


def _without_headers(facts: Facts) -> Iterator[str]:
    """Explain LLM calls that carried no header: hosts that are no gateways, mostly."""
    family = Family(facts.spans)
    carriers = [span for span in facts.spans if _carries_headers(span)]
    above = {above.span_id for span in carriers for above in family.line(span)}
    bare = Counter(
        host_of(span.attributes) for span in facts.spans if span.span_id not in above and _is_bare_call(span, family)
    )
    for host, number in bare.most_common(5):
        calls = f"{counted(number, 'HTTP request')} of LLM calls"
        if facts.destinations.of_authority(host) is Destination.GATEWAY:
            yield f"{calls} reached the gateway {host} without Helicone headers."
        else:
            yield (
                f"{calls} went to {host}, which is no Helicone gateway, and got no headers. Point the SDK at a gateway "
                "(OPENAI_BASE_URL, ANTHROPIC_BASE_URL), or name yours in HELICONE_GATEWAY_HOSTS."
            )
    requests = [request for session in facts.sessions for request in session.requests if request.kind in _CALL_KINDS]
    if requests and not bare and not any(request.calls for request in requests):
        yield "No LLM call carried Helicone headers: none of them went through httpx or httpx2."


def _is_bare_call(span: ReceivedSpan, family: Family) -> bool:
    """Tell whether a span is an HTTP request of an LLM call, and no span of either tells of headers."""
    attributes = span.attributes
    if wire.SESSION_ID not in attributes or not ("url.full" in attributes or "http.url" in attributes):
        return False
    for above in family.line(span):
        if _carries_headers(above):
            return False
        if above.attributes.get(wire.SPAN_KIND) in _CALL_KINDS:
            return True
    return False


def _carries_headers(span: ReceivedSpan) -> bool:
    return any(name.startswith(wire.REQUEST_HEADER_PREFIX) for name in span.attributes)


def _incomplete(facts: Facts) -> Iterator[str]:
    if facts.dropped:
        yield f"{counted(facts.dropped, 'span')} came after the first {len(facts.spans)} and are not shown."

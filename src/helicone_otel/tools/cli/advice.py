"""Explains why a run shows no sessions, or calls without headers. Pure: facts in, sentences out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ... import wire
from ...destinations import Destination, Destinations
from ...wire import CALL_KINDS
from ..replay.spans import SpanParents
from ..terminal import counted
from .receiver import ReceivedSpan
from .tree import SessionTree, host_of

_ALWAYS: Final = frozenset({"", "always_on", "parentbased_always_on"})
_DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
_MANY: Final = 2
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known after a run.

    Attributes:
        environ: The environment of the application.
        greetings: How many processes reported that they were instrumented.
        dropped: How many spans came after the receiver was full.
        signalled: Whether a signal reached the application, or ended it.
    """

    environ: Mapping[str, str]
    destinations: Destinations
    greetings: int
    dropped: int
    spans: Sequence[ReceivedSpan]
    sessions: Sequence[SessionTree]
    signalled: bool = False


def advise(facts: RunFacts) -> list[str]:
    """Return sentences that explain what is missing, the likeliest reason first. None if all is well."""
    reasons = list(_switched_off(facts))
    if facts.spans or not reasons:
        reasons += _nothing_seen(facts)
    reasons += _scattered(facts)
    # Calls that should have gone to a gateway need not be logged.
    reasons += list(_without_headers(facts)) or _not_logged(facts)
    return [*reasons, *_incomplete(facts)]


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
    elif facts.signalled:  # it may have had no time even to load us
        yield "A signal reached the application before it made a span."
    elif facts.greetings:
        yield (
            "The application was instrumented but made no span: it used no instrumented library, or ended before it "
            "did. helicone-otel doctor says what is missing."
        )
    else:
        yield (
            "No process of the application loaded helicone-otel. It works for Python programs of this environment "
            f"({sys.executable}) that do not ignore PYTHONPATH (-E, -I and -S do). OpenTelemetry must start, too: "
            "helicone-otel doctor says whether it does."
        )


def _scattered(facts: RunFacts) -> Iterator[str]:
    """Explain sessions of one request each that nobody chose."""
    # The id of a provisional session is the trace's, as a UUID.
    traces = {span.trace_id for span in facts.spans}
    single = [
        session for session in facts.sessions if session.id.replace("-", "") in traces and len(session.requests) == 1
    ]
    if len(single) >= _MANY:
        of = "" if len(single) == len(facts.sessions) else f" of {len(facts.sessions)}"
        yield (
            f"{len(single)}{of} sessions have one request each: nothing says which requests belong together, so each "
            'trace is a session. Make the process one session with helicone-otel run --session "My Task" …, or open '
            'with session("My Task"): around the work. In a server, HELICONE_SESSION_ID_ATTRIBUTES names the attribute '
            "that holds a conversation's id."
        )


def _not_logged(facts: RunFacts) -> Iterator[str]:
    rows = sum(not row.logged for session in facts.sessions for request in session.requests for row in request.rows)
    if rows:
        yield (
            f"{counted(rows, 'request')} passed no gateway and {'is' if rows == 1 else 'are'} not logged to Helicone. "
            "HELICONE_LOG=true, with HELICONE_API_KEY, logs them as they are drawn."
        )


def _without_headers(facts: RunFacts) -> Iterator[str]:
    """Explain LLM calls without headers. Most went to a host that is not a gateway."""
    parents = SpanParents(facts.spans)
    with_headers = [span for span in facts.spans if _has_headers(span)]
    above = {above.span_id for span in with_headers for above in parents.line(span)}
    http_calls = [span for span in facts.spans if span.span_id not in above and _is_bare_call(span, parents)]
    # The span of an SDK and that of the HTTP client below it may both have the URL: one request.
    bare = Counter(host_of(span.attributes) for span in parents.innermost(http_calls))
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

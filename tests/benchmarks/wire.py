"""What headers cost: the propagator on a request's carrier, and the hook on the transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx2
from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from spans import LLM, LLM_SCOPE, ROUNDS, context_of_session, tracer
from timing import Row, Variant, take_turns

from helicone_otel import HeliconePropagator, HeliconeSpanProcessor
from helicone_otel._registry import Registry
from helicone_otel._transport import prepare

GATEWAY: Final = "https://oai.helicone.ai/v1/chat/completions"
UNLISTED: Final = "https://api.openai.com/v1/chat/completions"
# Fourteen, as many as the OpenAI SDK sends.
HEADERS: Final = {
    "Host": "oai.helicone.ai",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "OpenAI/Python 3.54.0",
    **{f"X-Stainless-{name}": name for name in ("Lang", "OS", "Arch", "Runtime", "Async", "Retry-Count")},
    "Authorization": "Bearer none",
    "Content-Length": "512",
}


class Requests:
    """An app's requests: a registry, and the Context in which they are made."""

    def __init__(self, inside: Context, url: str, llm: bool) -> None:
        self.registry = Registry()
        self.url = url
        processor = HeliconeSpanProcessor(self.registry)
        self._http = tracer(processor, scope="opentelemetry.instrumentation.httpx")
        if llm:
            call = tracer(processor, scope=LLM_SCOPE).start_span("chat gpt-5", inside, attributes=LLM)
            inside = trace.set_span_in_context(call, inside)
        self.inside = inside

    def contexts(self, count: int) -> list[Context]:
        """Return Contexts in which a fresh client span of the HTTP instrumentation is current."""
        attributes = {"http.method": "POST", "http.url": self.url, "http.host": "host", "net.peer.port": 443}
        client = trace.SpanKind.CLIENT
        started = [self._http.start_span("POST", self.inside, client, attributes) for _ in range(count)]
        return [trace.set_span_in_context(span, self.inside) for span in started]


def _inject(propagator: TextMapPropagator, requests: Requests) -> Variant:
    """Return a variant that injects into carriers that nobody has touched yet."""

    def fresh(count: int) -> Callable[[], object]:
        carriers = [(httpx2.Headers(HEADERS), inside) for inside in requests.contexts(count)]

        def work() -> None:
            for carrier, inside in carriers:
                propagator.inject(carrier, inside)

        return work

    return fresh


def _hook(requests: Requests) -> Variant:
    """Return a variant that runs the transport hook on fresh requests of an app without HTTP spans."""

    def fresh(count: int) -> Callable[[], object]:
        leaving = [httpx2.Request("POST", requests.url, headers=HEADERS) for _ in range(count)]

        def work() -> None:
            token = context.attach(requests.inside)
            for request in leaving:
                prepare(requests.registry, request)  # type: ignore[arg-type]  # it has all the hook needs
            context.detach(token)

        return work

    return fresh


def _post() -> Variant:
    client = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200)))

    def work(count: int) -> None:
        for _ in range(count):
            client.post(GATEWAY, headers=HEADERS, content=b"{}")

    return lambda count: lambda: work(count)


def headers() -> list[Row]:
    """Measure the propagator beside W3C's, and the hook beside a request through a transport that does nothing."""
    with_baggage = Context()
    for name in ("id", "path", "name"):
        with_baggage = baggage.set_baggage(f"session_{name}", "7f9c1f5e-8d35-4b8c", with_baggage)
    both = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    elsewhere = Requests(Context(), UNLISTED, llm=False)
    # Nobody has a session before this one, as in an app that never opens one.
    none = take_turns(
        {
            "ours": _inject(HeliconePropagator(elsewhere.registry), elsewhere),
            "baggage": _inject(W3CBaggagePropagator(), elsewhere),
        },
        ROUNDS,
    )
    session = context_of_session()
    call, unlisted = Requests(session, GATEWAY, llm=True), Requests(session, UNLISTED, llm=True)
    found = take_turns(
        {
            "ours": _inject(HeliconePropagator(call.registry), call),
            "baggage": _inject(both, Requests(with_baggage, GATEWAY, llm=False)),
            "unlisted": _inject(HeliconePropagator(unlisted.registry), unlisted),
            "hook": _hook(call),
            "hook unlisted": _hook(unlisted),
            "post": _post(),
        },
        ROUNDS,
        repetitions=100,
    )
    post = found["post"].sample
    against = "httpx2 POST, null transport"
    return [
        Row("inject in a session, 14 headers", "µs", found["ours"].sample, found["baggage"].sample, "tracecontext and baggage of three", 1.0),
        Row("inject without a session", "µs", none["ours"].sample, none["baggage"].sample, "baggage of none", 1.2),
        Row("inject in a session, host not listed", "µs", found["unlisted"].sample),
        Row("transport hook, host listed", "µs", found["hook"].sample, post, against),
        Row("transport hook, host not listed", "µs", found["hook unlisted"].sample, post, against),
    ]

"""What headers cost: the propagator with new carriers, and the hook in the HTTP client."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import httpcore2
import httpx2
from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from helicone_otel import HeliconePropagator, HeliconeSpanProcessor
from helicone_otel.http.clients import HOOKS
from helicone_otel.tracking.registry import Registry
from tests.benchmarks.spans import LLM, LLM_SCOPE, Attributes, context_of_session, tracer
from tests.benchmarks.timing import Measurement, Sample, Variant, take_turns

GATEWAY: Final = "https://oai.helicone.ai/v1/chat/completions"
UNLISTED: Final = "https://api.openai.com/v1/chat/completions"
# Not even a request to a model.
ELSEWHERE: Final = "https://shop.example/v1/items"
# The OpenAI SDK sends fourteen, too.
_NAMES: Final = (
    "Host",
    "Accept-Encoding",
    "Connection",
    "Accept",
    "Content-Type",
    "User-Agent",
    "Authorization",
    "Content-Length",
)
HEADERS: Final = dict.fromkeys(_NAMES, "value") | {
    f"X-Stainless-{name}": name for name in ("Lang", "OS", "Arch", "Runtime", "Async", "Retry")
}
# As many as in an answer of OpenAI's that Helicone and Cloudflare passed on.
ANSWERED: Final = [(f"X-Header-{number}".encode(), b"value") for number in range(24)]
ANSWERED.insert(12, (b"helicone-id", b"0d9a4c1e-33f0-4c0b-8a57-5a2f1f0e9c44"))
W3C: Final = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])


def baggage_of_three() -> Context:
    """Return a Context with three entries in its baggage."""
    inside = Context()
    for name in ("id", "path", "name"):
        inside = baggage.set_baggage(f"session_{name}", "7f9c1f5e-8d35-4b8c", inside)
    return inside


class App:
    """An app that sends requests to a URL, inside an LLM span unless `llm` is false."""

    def __init__(self, url: str, inside: Context, llm: bool = True) -> None:
        self.registry, self.url, self.inside = Registry(), url, inside
        processor = HeliconeSpanProcessor(self.registry)
        self._http = tracer(processor, scope="opentelemetry.instrumentation.httpx")
        if llm:
            call = tracer(processor, scope=LLM_SCOPE).start_span("chat gpt-5", inside, attributes=LLM)
            self.inside = trace.set_span_in_context(call, inside)

    def injects(self, propagator: TextMapPropagator | None = None) -> Variant:
        """Inject into new carriers inside new client spans, with our propagator if none is given."""
        chosen = propagator or HeliconePropagator(self.registry)
        attributes: Attributes = {
            "http.method": "POST",
            "http.url": self.url,
            "http.host": "host",
            "net.peer.port": 443,
        }
        started: list[trace.Span] = []

        def fresh(count: int) -> Callable[[], object]:
            client = trace.SpanKind.CLIENT
            for span in started:  # those of the round before, because no app has thousands that are open
                span.end()
            started[:] = [self._http.start_span("POST", self.inside, client, attributes) for _ in range(count)]
            made = [(httpx2.Headers(HEADERS), trace.set_span_in_context(span, self.inside)) for span in started]
            return lambda: [chosen.inject(carrier, inside) for carrier, inside in made]

        return fresh

    def hooks(self) -> Variant:
        """Send new requests through a hook around a function that answers at once, without HTTP instrumentation."""
        (hook, _) = [hook for hook in HOOKS if hook.module == "httpcore2"]
        answer = httpcore2.Response(200, headers=ANSWERED)
        send = hook.make(self.registry, lambda _pool, _request: answer)

        def work(requests: Iterable[httpcore2.Request]) -> None:
            token = context.attach(self.inside)
            for request in requests:
                send(None, request)
            context.detach(token)

        def fresh(count: int) -> Callable[[], object]:
            requests = [httpcore2.Request("POST", self.url, headers=HEADERS) for _ in range(count)]
            return lambda: work(requests)

        return fresh


def headers() -> list[Measurement]:
    """Compare the propagator with W3C's, and the hook with a request through a transport that does nothing."""
    elsewhere = App(ELSEWHERE, Context(), llm=False)  # measured first, before any session is opened
    measured = take_turns({"none": elsewhere.injects(), "no baggage": elsewhere.injects(W3CBaggagePropagator())})
    listed, unlisted = App(GATEWAY, context_of_session()), App(UNLISTED, context_of_session())
    client = httpx2.Client(transport=httpx2.MockTransport(lambda _: httpx2.Response(200)))
    variants: dict[str, Variant] = {
        "ours": listed.injects(),
        "baggage": App(GATEWAY, baggage_of_three(), llm=False).injects(W3C),
        "not listed": unlisted.injects(),
        "hook": listed.hooks(),
        "hook not listed": unlisted.hooks(),
        "post": lambda count: lambda: [client.post(GATEWAY, headers=HEADERS, content=b"{}") for _ in range(count)],
    }
    measured |= take_turns(variants, repetitions=100)
    sample = {name: Sample.of(series) for name, series in measured.items()}
    w3c = "tracecontext and baggage of three"
    return [
        Measurement("inject in a session", "µs", sample["ours"], sample["baggage"], w3c, 1.0),
        Measurement("inject without a session", "µs", sample["none"], sample["no baggage"], "baggage of none", 1.2),
        Measurement("inject in a session, host not listed", "µs", sample["not listed"], sample["baggage"], w3c),
        Measurement("transport hook, host listed, with the row's id", "µs", sample["hook"], budget=10.0),
        Measurement("transport hook, host not listed", "µs", sample["hook not listed"], budget=1.0),
        Measurement("httpx2 POST through a null transport, for comparison", "µs", sample["post"]),
    ]

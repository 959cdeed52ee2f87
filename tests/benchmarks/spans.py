"""What a span costs, started and ended: ours, the floor, and one peer beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from timing import Row, Series, Variant, take_turns

from helicone_otel import HeliconeSpanProcessor, SessionSpanExporter, session
from helicone_otel._registry import Registry

ROUNDS = 201
LLM_SCOPE = "opentelemetry.instrumentation.genai.openai"
LLM = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.request.temperature": 0.1,
    "gen_ai.request.max_tokens": 512,
    "gen_ai.request.top_p": 0.9,
    "gen_ai.output.type": "text",
    "server.address": "api.openai.com",
    "server.port": 443,
    "openai.request.service_tier": "auto",
}
ORDINARY = {f"app.attribute_{number}": value for number, value in enumerate(LLM.values())}
_KEY = context.create_key("cheapest")


class Cheapest(SpanProcessor):
    """The least that a processor can do which labels spans with what the Context says."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Read one value and set it."""
        label = context.get_value(_KEY, parent_context)
        if label is not None:
            span.set_attributes(label)  # type: ignore[arg-type]  # our own key


class NullExporter(SpanExporter):
    """Takes spans and does nothing."""

    def export(self, spans: object) -> SpanExportResult:
        """Do nothing."""
        return SpanExportResult.SUCCESS


def tracer(*processors: SpanProcessor, scope: str = "app") -> trace.Tracer:
    """Return a tracer of a provider of its own."""
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider.get_tracer(scope)


def spans(
    tracer: trace.Tracer,
    inside: Context | None = None,
    attributes: Mapping[str, str | int | float] | None = None,
    name: str = "work",
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
) -> Variant:
    """Return a variant that starts and ends spans in a Context, the empty one if not given."""

    def prepare(count: int) -> Callable[[], object]:
        def work() -> None:
            token = context.attach(inside if inside is not None else Context())
            start = tracer.start_span
            for _ in range(count):
                start(name, attributes=attributes, kind=kind).end()
            context.detach(token)

        return work

    return prepare


llm = functools.partial(spans, attributes=LLM, name="chat gpt-5", kind=trace.SpanKind.CLIENT)


def context_of_session() -> Context:
    # The place lives as long as the Context that holds it.
    with session("Trip Planning", id="7f9c1f5e-8d35-4b8c-9d6f-0b1c2d3e4f50"):
        return context.get_current()


def _label(tracer: trace.Tracer, **span: object) -> Mapping[str, object]:
    """Return what we write on a span in a session."""
    token = context.attach(context_of_session())
    started = tracer.start_span(**span)  # type: ignore[arg-type]
    context.detach(token)
    started.end()
    written = getattr(started, "attributes", {})
    return {key: value for key, value in written.items() if key not in LLM}


def idle() -> list[Row]:
    """Nobody opened a session, nothing is recognised. To be measured before any session is open."""
    bare, ours = tracer(), tracer(HeliconeSpanProcessor(Registry()))
    seen = Registry()
    after_llm = tracer(processor := HeliconeSpanProcessor(seen))
    llm(tracer(processor, scope=LLM_SCOPE))(10)()
    above = trace.set_span_in_context(bare.start_span("request"), Context())
    rows = [("root span", None, None, ours, 1.1), ("child span", above, None, ours, 1.1)]
    rows += [("ten ordinary attributes", None, ORDINARY, ours, 1.1)]
    rows += [("root span, where LLM spans were seen before", None, None, after_llm, None)]
    variants: dict[str, Variant] = {}
    for name, inside, attributes, which, _ in rows:
        variants["bare " + name] = spans(bare, inside, attributes)
        variants["ours " + name] = spans(which, inside, attributes)
    found = take_turns(variants, ROUNDS)
    return [
        Row(f"idle: {name}", "µs", found["ours " + name].sample, found["bare " + name].sample, "bare SDK", budget)
        for name, _, _, _, budget in rows
    ]


def in_session() -> list[Row]:
    """A plain span in a session, and what the settled copy costs where spans are exported."""
    registry = Registry()
    processor = HeliconeSpanProcessor(registry)
    ours, inside = tracer(processor), context_of_session()
    floor = context.set_value(_KEY, _label(ours, name="work"), Context())
    plain, settling = SimpleSpanProcessor(NullExporter()), SimpleSpanProcessor(SessionSpanExporter(NullExporter(), registry))
    found = take_turns(
        {
            "bare": spans(tracer()),
            "cheapest": spans(tracer(Cheapest()), floor),
            "ours": spans(ours, inside),
            "exported": spans(tracer(processor, plain), inside),
            "settled": spans(tracer(processor, settling), inside),
            "exported llm": llm(tracer(processor, plain, scope=LLM_SCOPE), inside),
            "settled llm": llm(tracer(processor, settling, scope=LLM_SCOPE), inside),
        },
        ROUNDS,
    )
    ours_adds, floor_adds = found["ours"] - found["bare"], found["cheapest"] - found["bare"]
    return [
        Row("session: plain span adds", "µs", ours_adds.sample, floor_adds.sample, "cheapest processor adds", 1.5),
        Row("settled copy: label as written adds", "µs", (found["settled"] - found["exported"]).sample),
        Row("settled copy: LLM span (gets a request id) adds", "µs", (found["settled llm"] - found["exported llm"]).sample),
    ]


def beside(peer: str, variants: Mapping[str, tuple[Variant, Variant]], llm_variant: Variant | None = None) -> list[Row]:
    """Measure a peer beside ours and the bare SDK.

    Args:
        peer: Its name.
        variants: The peer's own, each with the bare SDK's variant that does the same.
        llm_variant: The peer's LLM span with ten attributes and three labels: our budget, if given.
    """
    processor, inside = HeliconeSpanProcessor(Registry()), context_of_session()
    ours, ours_llm = tracer(processor), tracer(processor, scope=LLM_SCOPE)
    label = _label(ours_llm, name="chat gpt-5", attributes=LLM, kind=trace.SpanKind.CLIENT)
    three, all_of_it = (context.set_value(_KEY, dict(list(label.items())[:end]), Context()) for end in (3, None))
    everything = {"bare": spans(tracer()), "ours": spans(ours, inside)}
    for name, (theirs, bare) in variants.items():
        everything |= {name: theirs, "bare " + name: bare}
    if llm_variant is not None:
        cheapest = tracer(Cheapest(), scope=LLM_SCOPE)
        everything |= {"peer llm": llm_variant, "bare llm": llm(tracer(scope=LLM_SCOPE)), "ours llm": llm(ours_llm, inside)}
        everything |= {"three llm": llm(cheapest, three), "all llm": llm(cheapest, all_of_it)}
    found = take_turns(everything, ROUNDS)
    rows = []
    if llm_variant is not None:
        adds: Series = found["peer llm"] - found["bare llm"] + (found["all llm"] - found["three llm"])
        against = f"{peer} with 3 properties adds, plus our {len(label) - 3} more labels"
        rows = [Row("session: LLM span with ten attributes adds", "µs", (found["ours llm"] - found["bare llm"]).sample, adds.sample, against, 1.0)]
    rows += [
        Row(f"{peer}: {name}", "µs", found[name].sample, found["bare " + name].sample, "bare SDK") for name in variants
    ]
    return [*rows, Row(f"helicone-otel beside {peer}: session", "µs", found["ours"].sample, found["bare"].sample, "bare SDK")]

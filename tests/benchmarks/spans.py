"""What starting and ending a span costs: with our processor, with the cheapest possible one, and with a peer's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from helicone_otel import HeliconeSpanProcessor, SessionSpanExporter, session
from helicone_otel.spans.dialects import DIALECTS
from helicone_otel.spans.dialects.semconv import GEN_AI
from helicone_otel.spans.schema import Dialect
from helicone_otel.tracking.registry import Registry
from tests.benchmarks.timing import Measurement, Sample, Variant, difference, take_turns

Attributes = Mapping[str, str | int | float]

LLM_SCOPE = "opentelemetry.instrumentation.genai.openai"
LLM: Attributes = {
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
ORDINARY: Attributes = {f"app.attribute_{number}": value for number, value in enumerate(LLM.values())}
_KEY = context.create_key("cheapest")


class Cheapest(SpanProcessor):
    """The cheapest processor that labels spans from the Context."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Read one value and set it."""
        label = context.get_value(_KEY, parent_context)
        if label is not None:
            span.set_attributes(label)  # type: ignore[arg-type]  # our own key


class NullExporter(SpanExporter):
    """Accepts spans and does nothing."""

    def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002  # the SDK's signature
        """Do nothing."""
        return SpanExportResult.SUCCESS


def tracer(*processors: SpanProcessor, scope: str = "app") -> trace.Tracer:
    """Return a tracer of a new provider with these processors."""
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider.get_tracer(scope)


def spans(
    tracer: trace.Tracer,
    inside: Context | None = None,
    attributes: Attributes | None = None,
    name: str = "work",
    kind: trace.SpanKind = trace.SpanKind.INTERNAL,
) -> Variant:
    """Return a variant that starts and ends spans in a Context; in the empty one if none is given."""

    def work(count: int) -> None:
        token = context.attach(Context() if inside is None else inside)
        for _ in range(count):
            tracer.start_span(name, attributes=attributes, kind=kind).end()
        context.detach(token)

    return lambda count: functools.partial(work, count)


llm: Callable[..., Variant] = functools.partial(spans, attributes=LLM, name="chat gpt-5", kind=trace.SpanKind.CLIENT)


def context_of_session() -> Context:
    """Return a Context inside a session, which stays open as long as the Context lives."""
    with session("Trip Planning", id="7f9c1f5e-8d35-4b8c-9d6f-0b1c2d3e4f50"):
        return context.get_current()


def _labels(processor: SpanProcessor, scope: str, inside: Context, *ends: int | None, **span: object) -> list[Context]:
    """Return Contexts from which the cheapest processor writes our labels up to each of these ends."""
    started = tracer(processor, scope=scope).start_span(context=inside, **span)  # type: ignore[arg-type]
    started.end()
    label = [item for item in started.attributes.items() if item[0] not in LLM]  # type: ignore[attr-defined]
    return [context.set_value(_KEY, dict(label[:end]), Context()) for end in ends]


def cheapest_context(inside: Context) -> Context:
    """Return a Context from which the cheapest processor writes the label of a plain span in a session."""
    return _labels(HeliconeSpanProcessor(Registry()), "app", inside, None, name="work")[0]


def idle() -> list[Measurement]:
    """Measure spans in a process that has opened no session; run it before any session is opened."""
    bare, ours = tracer(), tracer(HeliconeSpanProcessor(Registry()))
    used = HeliconeSpanProcessor(Registry())
    llm(tracer(used, scope=LLM_SCOPE))(10)()
    below = trace.set_span_in_context(bare.start_span("request"), Context())
    cases = {
        "root span": (ours, None, None, 1.1),
        "child span": (ours, below, None, None),
        "ten ordinary attributes": (ours, None, ORDINARY, None),
        "root span, in an app with LLM calls elsewhere": (tracer(used), None, None, None),
    }
    variants = {name: spans(which, inside, has) for name, (which, inside, has, _) in cases.items()}
    variants |= {"bare " + name: spans(bare, inside, has) for name, (_, inside, has, _) in cases.items()}
    measured = {name: Sample.of(series) for name, series in take_turns(variants).items()}
    return [
        Measurement(f"idle: {name}", "µs", measured[name], measured["bare " + name], "bare SDK", case[3])
        for name, case in cases.items()
    ]


def in_session() -> list[Measurement]:
    """Measure a plain span in a session, and what the finalized copy costs where spans are exported."""
    inside, ours = context_of_session(), HeliconeSpanProcessor(registry := Registry())
    floor = cheapest_context(inside)
    exporting = SimpleSpanProcessor(NullExporter())
    finalizing = SimpleSpanProcessor(SessionSpanExporter(NullExporter(), registry))
    child = trace.set_span_in_context(tracer(ours).start_span("step", inside), inside)
    variants = {
        "bare": spans(tracer()),
        "cheapest": spans(tracer(Cheapest()), floor),
        "ours": spans(tracer(ours), inside),
    }
    variants |= {"bare child": spans(tracer(), child), "child": spans(tracer(ours), child)}
    for name, which in {"exported": exporting, "finalized": finalizing}.items():
        variants[name] = spans(tracer(ours, which), inside)
        variants[name + " llm"] = llm(tracer(ours, which, scope=LLM_SCOPE), inside)
    measured = take_turns(variants)

    def adds(more: str, less: str) -> Sample:
        return Sample.of(difference(measured[more], measured[less]))

    floor_adds = adds("cheapest", "bare")
    return [
        Measurement("session: plain span adds", "µs", adds("ours", "bare"), floor_adds, "cheapest processor adds", 1.5),
        Measurement(
            "session: plain child span adds", "µs", adds("child", "bare child"), floor_adds, "cheapest processor adds"
        ),
        Measurement("finalized copy: label as written", "µs", adds("finalized", "exported")),
        Measurement("finalized copy: LLM span, gets a request id", "µs", adds("finalized llm", "exported llm")),
    ]


def families() -> list[Measurement]:
    """Compare all dialects with the only one that describes the span."""
    inside = context_of_session()
    one, all_of_them = (GEN_AI,), DIALECTS
    cases: dict[str, Callable[[Sequence[Dialect]], Variant]] = {
        "plain span, no session": lambda dialects: spans(tracer(_processor(dialects))),
        "LLM span in a session": lambda dialects: llm(tracer(_processor(dialects), scope=LLM_SCOPE), inside),
        "LLM span whose attributes come late": lambda dialects: _late(_exported(dialects), inside),
    }
    variants = {f"{name} {len(few)}": case(few) for name, case in cases.items() for few in (one, all_of_them)}
    measured = take_turns(variants)
    return [
        Measurement(
            f"{len(all_of_them)} dialects: {name}",
            "µs",
            Sample.of(measured[f"{name} {len(all_of_them)}"]),
            Sample.of(measured[f"{name} 1"]),
            "one dialect",
            1.05,
        )
        for name in cases
    ] + [_everyday()]


def _everyday() -> Measurement:
    """Measure the span of a database driver in an app without LLM calls: its query may be a vector query."""
    scope = "opentelemetry.instrumentation.psycopg"
    query: Attributes = {"db.system": "postgresql", "db.statement": "SELECT id, name FROM trips WHERE town = %s"}
    measured = take_turns(
        {
            "ours": _late(_exported(DIALECTS, scope), Context(), "SELECT", query),
            "bare": _late(tracer(SimpleSpanProcessor(NullExporter()), scope=scope), Context(), "SELECT", query),
        }
    )
    return Measurement(
        "idle: a driver's span with a query, exported",
        "µs",
        Sample.of(measured["ours"]),
        Sample.of(measured["bare"]),
        "bare SDK",
    )


def _processor(dialects: Sequence[Dialect]) -> HeliconeSpanProcessor:
    return HeliconeSpanProcessor(Registry(dialects=dialects))


def _exported(dialects: Sequence[Dialect], scope: str = LLM_SCOPE) -> trace.Tracer:
    registry = Registry(dialects=dialects)
    exporter = SimpleSpanProcessor(SessionSpanExporter(NullExporter(), registry))
    return tracer(HeliconeSpanProcessor(registry), exporter, scope=scope)


def _late(tracer: trace.Tracer, inside: Context, name: str = "chat gpt-5", attributes: Attributes = LLM) -> Variant:
    """Return a variant whose spans get their attributes after they have started."""

    def work(count: int) -> None:
        token = context.attach(inside)
        for _ in range(count):
            span = tracer.start_span(name, kind=trace.SpanKind.CLIENT)
            span.set_attributes(attributes)
            span.end()
        context.detach(token)

    return lambda count: functools.partial(work, count)


def beside(peer: str, variants: Mapping[str, Variant], llm_variant: Variant | None = None) -> list[Measurement]:
    """Compare a peer's plain spans with ours, and our LLM span with the peer's if that is given."""
    inside, ours = context_of_session(), HeliconeSpanProcessor(Registry())
    everything = {"bare": spans(tracer()), **variants, "helicone-otel": spans(tracer(ours), inside)}
    if llm_variant is not None:
        like = {"name": "chat gpt-5", "attributes": LLM, "kind": trace.SpanKind.CLIENT}
        three, all_labels = _labels(ours, LLM_SCOPE, inside, 3, None, **like)
        everything |= {"llm bare": llm(tracer()), "llm peer": llm_variant}
        everything |= {"llm ours": llm(tracer(ours, scope=LLM_SCOPE), inside)}
        everything |= {"llm three": llm(tracer(Cheapest()), three), "llm all": llm(tracer(Cheapest()), all_labels)}
    measured = take_turns(everything)
    bare = Sample.of(measured["bare"])
    rows = [Measurement(f"{peer}: {name}", "µs", Sample.of(measured[name]), bare, "bare SDK") for name in variants]
    rows += [
        Measurement(
            f"{peer}: helicone-otel in the same run", "µs", Sample.of(measured["helicone-otel"]), bare, "bare SDK"
        )
    ]
    if llm_variant is not None:
        more = difference(measured["llm all"], measured["llm three"])
        theirs = [a + b for a, b in zip(difference(measured["llm peer"], measured["llm bare"]), more, strict=True)]
        adds, words = (
            difference(measured["llm ours"], measured["llm bare"]),
            f"{peer} with 3 properties, and our further labels",
        )
        rows.append(
            Measurement(
                "session: LLM span with ten attributes adds", "µs", Sample.of(adds), Sample.of(theirs), words, 1.0
            )
        )
    return rows

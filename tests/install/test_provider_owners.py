"""Only the app's providers are labelled: not those by which vendors watch their own libraries, nor unknown ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Tracer

from helicone_otel import Settings, configure, doctor, session, step
from helicone_otel.install.provider_owners import APP_SDKS, UNKNOWN, VENDORS
from tests.support.raw_http import QUESTION, Wire, expected, listening
from tests.support.spans import GENAI, ours

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5.4-mini"}
BODY = {"model": "gpt-5.4-mini", "messages": [QUESTION]}
CREW = {"gen_ai.operation.name": "invoke_agent", "crew_key": "k"}
PRIVATE = ("employee-4711", "Payroll", "ann@corp.example", "gold-tier", "helicone")
LABEL = {"helicone.session.id": "s", "helicone.session.path": "/work", "helicone.session.name": "Trip"}


@pytest.fixture
def gateway() -> Iterator[Wire]:
    with listening() as wire:
        yield wire


@pytest.fixture
def app(gateway: Wire) -> Iterator[TracerProvider]:
    """Install the library for the app's provider, which is not the global one, and return that."""
    app = TracerProvider(shutdown_on_exit=False)
    handle = configure(Settings(gateway_hosts=(gateway.netloc,)), provider=app)
    yield app
    handle.uninstall()


installed = pytest.mark.usefixtures("app")


def made_in(module: str, *args: Any, **kwargs: Any) -> TracerProvider:
    """Return a provider that code of a module makes."""
    namespace: dict[str, Any] = {"__name__": module, "TracerProvider": TracerProvider}
    exec("def make(*args, **kwargs): return TracerProvider(*args, **kwargs)", namespace)  # our own text
    made: TracerProvider = namespace["make"](*args, shutdown_on_exit=False, **kwargs)
    return made


class Sent(SpanExporter):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.body = b""

    def export(self, spans: Any) -> SpanExportResult:
        self.spans += spans
        self.body += encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


def sending(provider: TracerProvider, processor: Callable[[SpanExporter], SpanProcessor] = SimpleSpanProcessor) -> Sent:
    sent = Sent()
    provider.add_span_processor(processor(sent))
    return sent


def named(service: str) -> Resource:
    return Resource({"service.name": service})


def exporting(to: str) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=to)
    exporter.export = lambda _: SpanExportResult.SUCCESS  # type: ignore[method-assign,assignment]  # to nobody
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def of_class_in(module: str) -> TracerProvider:
    made: TracerProvider = type("Provider", (TracerProvider,), {"__module__": module})(shutdown_on_exit=False)
    return made


EVIDENCE = {
    **{f"made in {name}": (lambda name=name: made_in(f"{name}.part")) for each in VENDORS for name in each.modules},
    **{
        f"service {name}": (lambda name=name: TracerProvider(resource=named(name)))
        for v in VENDORS
        for name in v.services
    },
    **{
        f"to {host}": (lambda host=host: exporting(f"https://{host}:4319/v1/traces"))
        for v in VENDORS
        for host in v.hosts
    },
    "of a vendor's class": lambda: of_class_in("crewai.telemetry.telemetry"),
}


def audit(tracer: Tracer) -> None:
    """Do what a crew does in a session with private values."""
    private = {"user_id": "ann@corp.example", "properties": {"Plan": "gold-tier"}}
    with session("Payroll review", id="employee-4711", **private), step("audit"):  # type: ignore[arg-type]
        with tracer.start_as_current_span("Crew Created", attributes=CREW) as span:
            span.set_attribute("late", 1)
            tracer.start_span("Task Execution", attributes=CHAT, kind=SpanKind.CLIENT).end()


def test_the_tables_name_nothing_twice_and_no_vendor_is_an_apps_sdk() -> None:
    modules = [name for vendor in VENDORS for name in vendor.modules]

    assert len({*modules, *APP_SDKS}) == len(modules) + len(APP_SDKS)
    assert list(APP_SDKS) == sorted(APP_SDKS)


@pytest.mark.parametrize("evidence", EVIDENCE)
@pytest.mark.parametrize("when", ["kept to itself", "global", "given"])
@installed
def test_a_vendor_that_watches_its_own_library_learns_nothing_of_the_session(
    evidence: str, when: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    provider = EVIDENCE[evidence]()
    sent = sending(provider)
    if when == "global":
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    elif when == "given":
        configure(provider=provider)
    audit(provider.get_tracer("crewai.telemetry"))

    assert [span.name for span in sent.spans] == ["Task Execution", "Crew Created"]
    assert [word for word in PRIVATE if word.encode() in sent.body] == []
    assert [type(span) for span in sent.spans] == [ReadableSpan, ReadableSpan]
    assert ("watches its own library" in caplog.text) == (when == "given")


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
@pytest.mark.parametrize("pipeline", [SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor])
@installed
def test_nothing_is_written_on_a_vendors_spans_whatever_its_pipeline(processor: Any, pipeline: Any) -> None:
    provider = made_in("crewai.telemetry.telemetry", active_span_processor=pipeline())
    sent = sending(provider, processor)
    audit(provider.get_tracer("crewai.telemetry"))
    provider.force_flush()

    assert [word for word in PRIVATE if word.encode() in sent.body] == []
    assert len(sent.spans) == 2
    provider.shutdown()


class OwnPipeline(SynchronousMultiSpanProcessor):
    """Has methods of its own."""

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        for processor in self._span_processors:
            processor.on_start(span, parent_context)


@pytest.mark.parametrize("vendors", [True, False])
@installed
def test_a_pipeline_with_methods_of_its_own_is_treated_alike(vendors: bool) -> None:
    module = "crewai.telemetry.telemetry" if vendors else "langfuse._client.resource_manager"
    provider = made_in(module, active_span_processor=OwnPipeline())
    sent = sending(provider)
    with session("Trip", id="s"), provider.get_tracer("x").start_as_current_span("work"):
        pass

    assert [bool(ours(span.attributes or {})) for span in sent.spans] == [not vendors]
    configure().uninstall()
    with session("Trip", id="s"), provider.get_tracer("x").start_as_current_span("work"):
        pass
    assert ours(sent.spans[-1].attributes or {}) == {}


def test_the_spans_of_the_app_around_and_below_a_vendors_span_keep_session_and_path(
    app: TracerProvider, gateway: Wire
) -> None:
    vendor = made_in("crewai.telemetry.telemetry")
    spans, sent = sending(app), sending(vendor)
    mine, theirs, llm = app.get_tracer("shop"), vendor.get_tracer("crewai.telemetry"), app.get_tracer(GENAI)
    with session("Trip", id="s"), step("plan"), mine.start_as_current_span("outer"):
        with theirs.start_as_current_span("Crew Created"), theirs.start_as_current_span("Task Created"):
            for name in ("first", "second"):
                with mine.start_as_current_span(name), llm.start_as_current_span("chat", attributes=CHAT):
                    httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY, trust_env=False)
            httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY, trust_env=False)

    paths = {span.name: (span.attributes or {}).get("helicone.session.path") for span in spans.spans}
    assert paths == {
        "chat": "/plan/outer/second",
        "first": "/plan/outer/first",
        "second": "/plan/outer/second",
        "outer": "/plan/outer",
    }
    assert [gateway.helicone(number) for number in range(3)] == [
        expected(id="s", path=path, name="Trip") for path in ("/plan/outer/first", "/plan/outer/second", "/plan/outer")
    ]
    assert "helicone" not in str(sent.body)


def test_a_provisional_session_goes_through_a_vendors_span(app: TracerProvider) -> None:
    vendor = made_in("crewai.telemetry.telemetry")
    spans = sending(app)
    with app.get_tracer("shop").start_as_current_span("outer"):
        with vendor.get_tracer("crewai.telemetry").start_as_current_span("Crew Created", attributes=CREW):
            with app.get_tracer("shop").start_as_current_span("inner"):
                with app.get_tracer(GENAI).start_as_current_span("chat", attributes=CHAT):
                    pass

    labels = {span.name: ours(span.attributes or {}) for span in spans.spans}
    assert {name: label["helicone.session.path"] for name, label in labels.items()} == {
        "chat": "/outer/inner",
        "inner": "/outer/inner",
        "outer": "/outer",
    }
    assert len({label["helicone.session.id"] for label in labels.values()}) == 1


@installed
def test_a_vendors_span_alone_gives_no_header(gateway: Wire) -> None:
    vendor = made_in("crewai.telemetry.telemetry")
    with vendor.get_tracer("crewai.telemetry").start_as_current_span("Crew Created", attributes=CREW):
        httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY, trust_env=False)

    assert gateway.helicone(0) == []


@installed
def test_no_session_has_the_name_of_a_vendors_service(gateway: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = TracerProvider(resource=named("crewAI-telemetry"), shutdown_on_exit=False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", vendor)
    with vendor.get_tracer("crewai.telemetry").start_as_current_span("Crew Created"), session("", id="s"):
        httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY, trust_env=False)

    assert gateway.helicone(0) == expected(id="s", path="/chat")


def test_a_vendor_without_a_name_of_its_own_takes_the_apps_name_from_no_session(
    gateway: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    app = TracerProvider(shutdown_on_exit=False)
    handle = configure(Settings(gateway_hosts=(gateway.netloc,)), provider=app)
    try:
        vendor = made_in("deepeval.telemetry")
        vendor.get_tracer("deepeval").start_span("run").end()
        with session("", id="s"), app.get_tracer("app").start_as_current_span("work"):
            httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY, trust_env=False)
    finally:
        handle.uninstall()

    assert gateway.helicone(0) == expected(id="s", path="/work", name="shop")


# --- other providers ------------------------------------------------------------------------------


def work(provider: TracerProvider, sent: Sent) -> dict[str, str]:
    """Make a span in a session; return our attributes of it."""
    with session("Trip", id="s"), provider.get_tracer("shop").start_as_current_span("work"):
        pass
    provider.force_flush()
    return {key: value for key, value in ours(sent.spans[-1].attributes or {}).items() if key in LABEL}


@pytest.mark.parametrize("sdk", APP_SDKS)
@installed
def test_the_providers_of_an_sdk_for_the_apps_own_observability_are_labelled(sdk: str) -> None:
    provider = made_in(f"{sdk}.inner")

    assert work(provider, sending(provider)) == LABEL


@pytest.mark.parametrize("how", ["global", "given"])
@installed
def test_an_unknown_provider_is_labelled_from_when_it_is_global_or_given(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    sent = sending(provider)
    before = work(provider, sent)
    if how == "global":
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    else:
        configure(provider=provider)

    assert (before, work(provider, sent)) == ({}, LABEL)


def test_a_span_of_an_unknown_provider_leaves_as_it_is_when_the_app_calls_a_model_below_it(
    app: TracerProvider,
) -> None:
    other = TracerProvider(shutdown_on_exit=False)
    spans, sent = sending(app), sending(other)
    with other.get_tracer(GENAI).start_as_current_span("theirs", attributes=CHAT):
        with app.get_tracer(GENAI).start_as_current_span("chat", attributes=CHAT):
            pass

    assert ours(sent.spans[0].attributes or {}) == {}
    assert ours(spans.spans[0].attributes or {})["helicone.span.kind"] == "llm"


def test_a_provider_that_is_global_or_given_before_it_makes_spans_needs_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)

    assert configure().has_processor(provider)
    assert work(provider, sending(provider)) == LABEL


# --- providers that were made before the library was installed ------------------------------------


class LangfuseProcessor(SimpleSpanProcessor):
    """Stands for the processor of an SDK."""


LangfuseProcessor.__module__ = "langfuse._client.span_processor"


def test_a_provider_from_before_is_known_by_its_service_and_its_processors() -> None:
    vendor = TracerProvider(resource=named("crewAI-telemetry"), shutdown_on_exit=False)
    langfuse, unknown = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    sents = [sending(vendor), sending(langfuse, LangfuseProcessor), sending(unknown)]
    handle = configure(provider=TracerProvider(shutdown_on_exit=False))
    try:
        labels = [work(provider, sent) for provider, sent in zip((vendor, langfuse, unknown), sents, strict=True)]
    finally:
        handle.uninstall()

    assert labels == [{}, LABEL, {}]


def test_an_unknown_provider_from_before_is_labelled_from_when_it_is_global(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    sent = sending(provider)
    given = TracerProvider(shutdown_on_exit=False)
    handle = configure(provider=given)
    made: list[SpanProcessor] = []
    handle.add_processor_to_all(lambda: made.append(SpanProcessor()) or made[-1])  # type: ignore[func-returns-value]
    try:
        before = work(provider, sent)
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        after = [work(provider, sent) for _ in range(2)]
    finally:
        handle.uninstall()

    assert (before, after) == ({}, [LABEL, LABEL])
    assert len(made) == 2  # the given one's, and this one's


@installed
def test_a_processor_that_hands_on_copies_on_a_vendors_provider_costs_the_app_nothing() -> None:
    from helicone_otel.tracking.registry import REGISTRY  # noqa: PLC0415  # the state of the process

    class Common(SpanProcessor):
        """Stands for a processor that we do not know."""

    before = REGISTRY.decides_at_end
    made_in("crewai.telemetry.telemetry").add_span_processor(Common())

    assert REGISTRY.decides_at_end == before


@installed
def test_the_doctor_lists_the_providers_and_what_is_done_with_each() -> None:
    vendor, sdk = made_in("crewai.telemetry", resource=named("crew")), made_in("langfuse._client", resource=named("lf"))
    other = TracerProvider(resource=named("other"), shutdown_on_exit=False)
    lines = {line.finding.text for line in doctor().lines if line.check == "providers"}

    assert {
        "The spans of the TracerProvider of crew are left alone: CrewAI watches its own library by it.",
        "The spans of the TracerProvider of lf are labelled: it belongs to langfuse.",
        f"The spans of the TracerProvider of other are left alone: {UNKNOWN}.",
    } <= lines
    del vendor, sdk, other  # weakly known

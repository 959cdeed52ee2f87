"""Setting up: `configure()`, the settings, the log's exporter with its hooks, and the pieces one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, assert_type

from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from helicone_otel import (
    Content,
    Dialect,
    HeliconeError,
    HeliconePropagator,
    HeliconeSpanExporter,
    HeliconeSpanProcessor,
    Row,
    Session,
    SessionSampler,
    SessionSpanExporter,
    Settings,
    SettingsError,
    configure,
    doctor,
    feedback,
)

KEYS = {"ann": "sk-helicone-..."}


class Where(Protocol):
    """What a redaction hook reads of the text that it gets."""

    @property
    def kind(self) -> str: ...
    @property
    def side(self) -> str: ...
    @property
    def key(self) -> str: ...


def key_for(opened: Session) -> str | None:
    return KEYS.get(opened.user_id or "")


def redact(text: str, where: Where) -> str:
    return "[hidden]" if where.key == "password" and where.kind == "tool" and where.side == "inputs" else text


def install(provider: TracerProvider, settings: Settings) -> None:
    handle = configure()
    assert_type(handle.installed, bool)
    assert_type(handle.exporter, HeliconeSpanExporter | None)
    handle.uninstall()
    configure(settings, provider=provider, log=False)
    configure(log=True)
    configure(log=HeliconeSpanExporter(key_for=key_for, content=Content(redact=redact)))
    configure(log=HeliconeSpanExporter("sk-helicone-...", endpoint="https://log.example", kinds=["tool", "vector_db"]))
    configure(log=HeliconeSpanExporter(key_for=lambda opened: KEYS.get(opened.id), settings=settings))
    Content(inputs=frozenset({"tool"}), outputs=frozenset(), redact=redact)


def all_settings() -> Settings:
    try:
        from_environment = Settings.from_environment({"HELICONE_SESSION_NAME": "Trip Planning"})
    except SettingsError as error:
        assert_type(str(error), str)
        return Settings()
    assert_type(from_environment, Settings)
    assert_type(from_environment.session_name, str | None)
    return Settings(
        session_name="Trip Planning",
        session_path="/trips",
        session_id_attributes=("http.request.header.x_conversation_id",),
        session_fallback="none",
        session_sampling_ratio=0.25,
        property_attributes=("Plan=app.plan",),
        gateway_hosts=("gateway.example:8443",),
        accept_inbound=True,
        dialects=(DIALECT,),
        log=True,
        api_key="sk-helicone-...",
        log_kinds=("tool",),
    )


DIALECT = Dialect(
    name="acme",
    scopes=("acme.agents",),
    rows=(
        Row("tool", attribute="acme.type", values=frozenset({"tool_call"}), named_by=("acme.tool",)),
        Row("agent", names=("run agent *",), templates=("run agent *",), span_kinds=("INTERNAL",)),
        Row(None, names=("heartbeat",)),
    ),
    session_ids=("acme.conversation",),
)


def pieces(provider: TracerProvider) -> tuple[SpanProcessor, TextMapPropagator, SpanExporter, Sampler]:
    exporter = SessionSpanExporter(ConsoleSpanExporter())
    provider.add_span_processor(HeliconeSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return HeliconeSpanProcessor(), HeliconePropagator(), exporter, SessionSampler(0.25)


def afterwards(opened: Session, settings: Settings) -> str:
    try:
        feedback(opened, good=True, seconds=2.5, settings=settings)
        feedback("trip-42", good=False)
    except HeliconeError as error:
        return str(error)
    report = doctor()
    assert_type(report.exit_code, int)
    return str(report)


def refused(redact_bytes: Callable[[bytes, object], bytes]) -> None:
    configure(log="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Settings("Trip Planning")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Settings(log="true")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Content(redact=redact_bytes)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    HeliconeSpanExporter(key_for=KEYS)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Row("tools")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    feedback("trip-42")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

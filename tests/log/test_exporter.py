"""The exporter to Helicone's log: which spans become rows, with which key, and what is logged when it fails."""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult

from helicone_otel import (
    Content,
    HeliconeSpanExporter,
    HeliconeSpanProcessor,
    Session,
    Settings,
    SettingsError,
    configure,
    failures,
    session,
    tool,
)
from helicone_otel.endpoints import DEFAULT, check_transport, checked_endpoint, checked_key, default_api
from helicone_otel.install.configure import INSTALLATION, log_if_enabled
from helicone_otel.install.exporter_entry import NamedExporter
from helicone_otel.log import exporter as _exporter
from helicone_otel.log.delivery import client, maker
from helicone_otel.log.exporter import Limits
from helicone_otel.log.rest import Api
from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.requests import Trouble
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.logs import wait_for
from tests.support.spans import App

EU_KEY = "sk-helicone-eu-fixture-testing-nothing-private"
GENAI_TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}


class Logging(App):
    """An app that hands its spans to the exporter one by one."""

    def __init__(self, fake: FakeHelicone, **options: Any) -> None:
        super().__init__()
        self.fake = fake
        self.log = HeliconeSpanExporter(
            options.pop("api_key", KEY), endpoint=fake.url, registry=self.registry, **options
        )
        self.provider.add_span_processor(SimpleSpanProcessor(self.log))

    def rows(self) -> list[tuple[str, str]]:
        assert self.log.force_flush()
        return [(row.model, row.session_path) for row in self.fake.rows]


def an_agent(app: App) -> None:
    with app.span("agent", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "A"}, scope="x"):
        with app.chat(gen_ai__request__model="gpt-4o", gen_ai__provider__name="openai"):
            pass
        with app.span("execute_tool search", GENAI_TOOL, scope="x"):
            with app.span("step of the app"):
                pass


def test_requests_become_rows_and_nothing_else_does(fake: FakeHelicone) -> None:
    app = Logging(fake)

    an_agent(app)

    assert sorted(path for _, path in app.rows()) == ["/A", "/A/search"]
    exported = {
        span.attributes["helicone.request.id"]
        for span in app.exporter.get_finished_spans()
        if span.attributes and "helicone.request.id" in span.attributes
    }
    assert {row.id for row in fake.rows} == exported


def test_kinds_can_be_chosen(fake: FakeHelicone) -> None:
    app = Logging(fake, kinds=["tool"])

    an_agent(app)

    assert app.rows() == [("tool:search", "/A/search")]


def test_a_span_is_logged_once_even_with_two_exporters(fake: FakeHelicone) -> None:
    app = Logging(fake)
    second = HeliconeSpanExporter(KEY, endpoint=fake.url, registry=app.registry)
    app.provider.add_span_processor(BatchSpanProcessor(second))

    an_agent(app)
    app.provider.force_flush()
    app.rows()
    second.force_flush()

    assert len(fake.requests("log")) == 2
    assert [row.sends for row in fake.rows] == [1, 1]
    second.shutdown()


def test_content_that_is_switched_off_or_redacted_never_leaves(fake: FakeHelicone) -> None:
    secret = "the launch code is 0000"
    arguments = GENAI_TOOL | {
        "gen_ai.tool.call.arguments": json.dumps({"q": secret}),
        "gen_ai.tool.call.result": secret,
    }
    for content in (Content(frozenset(), frozenset()), Content(redact=lambda *_: "[hidden]")):
        app = Logging(fake, content=content)
        with app.span("execute_tool search", arguments, scope="x"):
            pass
        app.rows()
    closed = Logging(fake, settings=Settings(log_content=("none",)))
    with closed.span("execute_tool search", arguments, scope="x"):
        pass
    closed.rows()

    assert len(fake.requests("log")) == 3
    assert all(b"launch code" not in request.body for request in fake.requests("log"))


# --- tenants --------------------------------------------------------------------------------------


def test_each_tenants_rows_are_sent_with_its_own_key_or_not_at_all(fake: FakeHelicone) -> None:
    keys = {"ann": "sk-helicone-tenants-keyofan-nothing-private", "bob": "sk-helicone-tenants-keyofbo-nothing-private"}
    asked: list[Session] = []

    def key_for(of: Session) -> str | None:
        asked.append(of)
        return keys.get(of.user_id or "")

    app = Logging(fake, api_key=None, key_for=key_for)
    for number in range(30):
        with session("Shop", id=f"s-{number}", user_id=("ann", "bob", "eve")[number % 3]):
            with app.span("execute_tool search", GENAI_TOOL, scope="x"):
                pass
    app.log.force_flush()

    assert {of.id for of in asked} == {f"s-{number}" for number in range(30)}
    seen = [
        (dict(request.headers)["Authorization"], request.json["providerRequest"]["meta"]["Helicone-User-Id"])
        for request in fake.requests("log")
    ]
    assert sorted(seen) == sorted([(f"Bearer {keys[user]}", user) for user in ("ann", "bob")] * 10)


def test_a_bad_key_or_a_failing_key_hook_is_logged_and_loses_only_that_row(
    fake: FakeHelicone, caplog: pytest.LogCaptureFixture
) -> None:
    def key_for(of: Session) -> str | None:
        if of.id == "s-1":
            raise LookupError("no such tenant")
        return {"s-2": "two words\r\nX-Evil: 1", "s-3": KEY}[of.id]

    app = Logging(fake, api_key=None, key_for=key_for)
    for number in (1, 2, 3):
        with session("Shop", id=f"s-{number}"), app.span("execute_tool search", GENAI_TOOL, scope="x"):
            pass
    app.log.force_flush()

    assert [row.session_id for row in fake.rows] == ["s-3"]
    assert "key_for: expected a key such as sk-helicone-…" in caplog.text
    assert "Evil" not in caplog.text
    assert "key_for failed (LookupError)" in caplog.text
    assert "no such tenant" not in caplog.text  # the message may quote a key


@pytest.mark.usefixtures("uninstalled")
def test_calls_that_a_hook_makes_do_not_become_rows(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    provider = TracerProvider(shutdown_on_exit=False)
    asked: list[str] = []

    def redact(text: str, _: object) -> str:
        asked.append(text)
        if is_instrumentation_enabled():  # as instrumentations do
            search()
        return text

    def search() -> None:
        attributes = {**GENAI_TOOL, "gen_ai.tool.call.arguments": "a city"}
        with provider.get_tracer("x").start_as_current_span("execute_tool search", attributes=attributes):
            pass

    exporter = HeliconeSpanExporter(KEY, endpoint=fake.url, content=Content(redact=redact))
    configure(provider=provider, log=exporter)
    with session("Shop"):
        search()
    wait_for(lambda: asked)
    for _ in range(3):
        provider.force_flush()

    assert asked == ["a city"]
    assert len(fake.rows) == 1


# --- addresses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "HELICONE_API_KEY is not set"),
        ({"api_key": "two words"}, "api_key (HELICONE_API_KEY): expected a key such as sk-helicone-…"),
        ({"api_key": "Bearer sk-helicone-testing-fixture-nothing-private"}, "without 'Bearer'"),
        ({"api_key": "sk-proj-of-another-provider-than-helicone"}, "this is no key of Helicone's"),
        ({"api_key": "sk-helicone-\u00e9"}, "expected a key"),
        ({"api_key": KEY, "endpoint": "http://log.test"}, "key and content would go to 'log.test' unencrypted"),
        ({"api_key": KEY, "endpoint": "log.test"}, "endpoint (HELICONE_LOG_ENDPOINT): 'log.test' is not an address"),
        ({"api_key": KEY, "kinds": ["agent"]}, "log_kinds (HELICONE_LOG_KINDS): expected some of"),
    ],
)
def test_bad_arguments_are_refused_at_once_without_showing_a_key(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        HeliconeSpanExporter(**options)

    assert message in str(refused.value)
    if "api_key" in options:
        assert options["api_key"] not in str(refused.value)
    assert refused.value.__cause__ is None or "api_key" not in message


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("https://api.eu.hconeai.com", "https://api.eu.hconeai.com"),
        ("https://api.eu.hconeai.com/", "https://api.eu.hconeai.com"),
        ("https://api.eu.hconeai.com/custom/v1/log", "https://api.eu.hconeai.com"),
        ("https://api.eu.hconeai.com/oai/v1/log/", "https://api.eu.hconeai.com"),
        ("http://127.0.0.1:8788", "http://127.0.0.1:8788"),
        ("http://127.0.0.1:8585/v1/trace/", "http://127.0.0.1:8585/v1/trace"),
        ("http://127.0.0.1:8585/v1/trace/custom/v1/log", "http://127.0.0.1:8585/v1/trace"),
        ("http://127.0.0.1:8585/v1/trace/custom/log", "http://127.0.0.1:8585/v1/trace"),
        ("http://127.0.0.1:8585/v1/trace/custom/log/typed", "http://127.0.0.1:8585/v1/trace"),
        ("https://inside.test:8443/helicone", "https://inside.test:8443/helicone"),
    ],
)
def test_an_address_is_accepted_with_or_without_the_route(text: str, endpoint: str) -> None:
    assert checked_endpoint(text) == endpoint


def test_keys_are_sent_unencrypted_only_on_this_machine_or_to_named_hosts() -> None:
    for address in ("https://log.test", "http://localhost:1", "http://127.9.9.9", "http://[::1]:8788"):
        check_transport(address, ())
    check_transport("http://log.test:8788", ("log.test:8788",))
    check_transport("http://a.inside.test", (".inside.test",))
    for address in ("http://log.test", "http://127.0.0.1.evil.test", "http://localhost.evil.test", "http://10.0.0.1"):
        with pytest.raises(ValueError, match="HELICONE_LOG_HTTP_HOSTS"):
            check_transport(address, ("log.test:8788",))


def test_rows_arrive_in_the_region_of_their_key_and_are_found_there(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a proxy, the fake has the APIs of Helicone's hosts. Its names need a connection without encryption here.
    monkeypatch.setenv("HTTP_PROXY", fake.url)
    monkeypatch.setenv("http_proxy", fake.url)
    fake.keys.admit(EU_KEY, "in Europe")
    app = App()
    host = urlsplit(HeliconeSpanExporter(EU_KEY).endpoint).netloc
    exporter = HeliconeSpanExporter(
        key_for=lambda of: EU_KEY if of.id == "eu" else KEY,
        endpoint=f"http://{host}",
        http_hosts=(host,),
        registry=app.registry,
    )
    app.provider.add_span_processor(SimpleSpanProcessor(exporter))

    for identifier in ("eu", "us"):
        with session("Shop", id=identifier), app.span("execute_tool search", GENAI_TOOL, scope="x"):
            pass

    assert exporter.force_flush()
    assert sorted((row.session_id, row.organization) for row in fake.rows) == [("eu", "in Europe"), ("us", "default")]
    for identifier, key in (("eu", EU_KEY), ("us", KEY)):
        api = f"http://{urlsplit(default_api(key, None)).netloc}"
        rows = Api(Settings(api_key=key, api_endpoint=api, log_http_hosts=(".helicone.ai",))).requests(identifier)
        assert [row["model"] for row in rows] == ["tool:search"]


def test_an_api_server_without_the_worker_takes_the_rows_of_every_provider() -> None:
    app = App()
    with serving(FakeHelicone(worker=False)) as fake:
        exporter = HeliconeSpanExporter(KEY, endpoint=f"{fake.url}/v1/trace", registry=app.registry)
        app.provider.add_span_processor(SimpleSpanProcessor(exporter))
        with session("Shop", id="s-1"), app.span("execute_tool search", GENAI_TOOL, scope="x"):
            pass
        for provider in ("openai", "anthropic", "gcp.gemini"):
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider,
                "gen_ai.request.model": f"model of {provider}",
            }
            with session("Shop", id="s-1"), app.span("chat", attributes, scope="x"):
                pass
        assert exporter.force_flush()
        rows = Api(Settings(api_key=KEY, log_endpoint=f"{fake.url}/v1/trace")).requests("s-1")

    assert {row.model: (row.provider, row.flaws) for row in fake.rows} == {
        "tool:search": ("CUSTOM", []),
        "model of openai": ("OPENAI", []),
        "model of anthropic": ("ANTHROPIC", []),
        "model of gcp.gemini": ("GOOGLE", []),
    }
    assert sorted(row["request_id"] for row in rows) == sorted(row.id for row in fake.rows)
    assert failures.swallowed() == {}


def test_rows_for_the_worker_do_not_name_the_provider_which_it_reads_from_the_route(fake: FakeHelicone) -> None:
    app = Logging(fake)
    with session("Shop"), app.span("execute_tool search", GENAI_TOOL, scope="x"):
        pass

    assert app.rows() == [("tool:search", "/search")]
    [request] = fake.requests("log")
    assert (request.path, "provider" in request.json) == ("/custom/v1/log", False)


def test_keys_of_all_formats_of_helicone_are_accepted() -> None:
    for key in (
        KEY,
        EU_KEY,
        "pk-helicone-rl-abcdefg-abcdefg-abcdefg-abcdefg",
        "sk-abcdefg-abcdefg-abcdefg-abcdef1",
        "sk-helicone-eu-cp-abcdefg-abcdefg-abcdefg-abcdefg",
    ):
        assert checked_key(key, DEFAULT) == key
    assert checked_key("own-key-of-ours", "https://own.test") == "own-key-of-ours"


# --- nothing leaks --------------------------------------------------------------------------------


def test_the_key_is_in_one_header_and_nowhere_else(
    fake: FakeHelicone, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.troubles.next(
        Trouble(status=401, text=f"bad key {KEY}"), Trouble(error=f"no org for {KEY}"), Trouble(reset=True)
    )
    app = Logging(fake)
    for _ in range(3):
        an_agent(app)
    assert not app.log.force_flush()  # two rows were refused
    app.rows()

    for request in fake.requests("log"):
        assert [name for name, value in request.headers if KEY in value] == ["Authorization"]
        assert KEY.encode() not in request.body
    spans = app.exporter.get_finished_spans()
    shown = "".join(map(repr, [app.log, app.log.settings, vars(app.log).keys(), *spans]))
    assert KEY not in shown + caplog.text + "".join(capsys.readouterr()) + str(failures.swallowed())
    assert all(KEY not in span.to_json() for span in spans)


# --- switched on ----------------------------------------------------------------------------------


@pytest.fixture
def uninstalled() -> Iterator[None]:
    yield
    INSTALLATION.uninstall()


@tool
def greet(who: str) -> str:
    return f"Hello {who}"


@pytest.mark.usefixtures("uninstalled")
def test_a_key_alone_sends_nothing(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELICONE_API_KEY", KEY)
    monkeypatch.setenv("HELICONE_LOG_ENDPOINT", fake.url)
    provider = TracerProvider(shutdown_on_exit=False)
    installation = configure(provider=provider)

    with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool search", attributes=GENAI_TOOL):
        pass
    provider.force_flush()

    assert installation.exporter is None
    assert fake.requests("log") == []


@pytest.mark.usefixtures("uninstalled")
@pytest.mark.parametrize("switch", ["HELICONE_LOG", "log=True", "log=exporter"])
def test_logging_can_be_switched_on_and_off(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    monkeypatch.setenv("HELICONE_API_KEY", KEY)
    monkeypatch.setenv("HELICONE_LOG_ENDPOINT", fake.url)
    before, provider = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    if switch == "HELICONE_LOG":
        monkeypatch.setenv("HELICONE_LOG", "true")
        configure(provider=before)
        installation = configure(provider=provider)
    else:
        configure(provider=before)
        installation = configure(provider=provider, log=HeliconeSpanExporter() if switch == "log=exporter" else True)
    later, unknown = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    configure(provider=later)

    def search() -> None:
        for each in (before, provider, later, unknown):
            tracer = each.get_tracer("x")
            with session("Shop"), tracer.start_as_current_span("execute_tool search", attributes=GENAI_TOOL):
                pass

    search()
    assert provider.force_flush()
    assert [row.model for row in fake.rows] == ["tool:search"] * 3
    assert configure(log=None).exporter is installation.exporter
    configure(log=False)
    search()
    provider.force_flush()
    assert len(fake.rows) == 3


@pytest.mark.usefixtures("uninstalled")
@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({}, "helicone-otel logs nothing to Helicone: HELICONE_API_KEY is not set"),
        ({"HELICONE_API_KEY": "sk-helicone-mistyped"}, "api_key (HELICONE_API_KEY): this is no key of Helicone's"),
        (
            {"HELICONE_API_KEY": KEY, "HELICONE_LOG_ENDPOINT": "http://log.test"},
            "endpoint (HELICONE_LOG_ENDPOINT): key and content would go to 'log.test' unencrypted",
        ),
    ],
)
def test_a_mistake_in_the_environment_is_logged_in_one_line_and_the_app_goes_on(
    environ: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in {"HELICONE_LOG": "true", **environ}.items():
        monkeypatch.setenv(name, value)

    installation = configure()
    log_if_enabled(Settings.from_environment())
    named = NamedExporter()

    assert installation.installed
    assert installation.exporter is None
    assert named.export([]) is SpanExportResult.SUCCESS
    assert named.force_flush()
    named.shutdown()
    (record,) = caplog.records
    assert message in record.getMessage()
    assert "mistyped" not in caplog.text
    with pytest.raises(SettingsError):
        configure(log=True)


# --- the processor --------------------------------------------------------------------------------


@pytest.mark.usefixtures("uninstalled")
def test_rows_that_do_not_fit_are_counted_and_queued_rows_are_kept(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "20")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    fake.troubles.from_now_on(Trouble(status=503))
    provider = TracerProvider(shutdown_on_exit=False)
    configure(Settings(log_endpoint=fake.url, api_key=KEY), provider=provider, log=True)
    tracer = provider.get_tracer("x")
    for number in range(50):
        with session("Shop", id=f"s-{number}"):
            with tracer.start_as_current_span("execute_tool search", attributes=GENAI_TOOL):
                pass
    exporter = INSTALLATION.exporter
    assert exporter is not None
    assert not provider.force_flush(200)
    fake.troubles.end()
    time.sleep(0.01)

    assert exporter.force_flush()
    arrived = {row.session_id for row in fake.rows}
    dropped = sum(count for what, count in failures.swallowed().items() if "not logged" in what)
    assert len(arrived) + dropped == 50
    assert len(arrived) >= 20
    assert "s-0" in arrived


@pytest.mark.usefixtures("uninstalled")
def test_rows_are_sent_without_a_flush_after_the_schedule_delay(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    provider = TracerProvider(shutdown_on_exit=False)
    configure(Settings(log_endpoint=fake.url, api_key=KEY), provider=provider, log=True)
    with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool search", attributes=GENAI_TOOL):
        pass

    deadline = time.monotonic() + 5
    while not fake.rows and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(fake.rows) == 1


def test_limits_are_those_of_opentelemetrys_own_processor() -> None:
    assert Limits.from_environment({}) == (5000, 2048, 512, 30000)
    given = {
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BSP_MAX_QUEUE_SIZE": "50",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "600",
        "OTEL_BSP_EXPORT_TIMEOUT": " 1000 ",
    }
    assert Limits.from_environment(given) == (100, 50, 50, 1000)
    for bad in ("-5", "0", "many", "1e3", "\u0663"):
        assert Limits.from_environment({"OTEL_BSP_MAX_QUEUE_SIZE": bad}) == (5000, 2048, 512, 30000)


def test_a_wrapper_that_ends_before_its_call_does_not_become_a_row(fake: FakeHelicone) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    try:
        configure(Settings(log_endpoint=fake.url, api_key=KEY), provider=provider, log=True)
        outer, inner = provider.get_tracer("x"), provider.get_tracer("opentelemetry.instrumentation.genai.openai")
        with session("Shop"):
            wrapper = outer.start_span("chat", attributes={"gen_ai.operation.name": "chat"})
            from opentelemetry import trace  # noqa: PLC0415

            call = inner.start_span(
                "chat gpt-4o", trace.set_span_in_context(wrapper), attributes={"gen_ai.operation.name": "chat"}
            )
            wrapper.end()
            call.end()
        provider.force_flush()
    finally:
        INSTALLATION.uninstall()
    assert len(fake.rows) == 1


def test_the_exporter_works_with_the_stock_processor_and_ignores_other_spans(fake: FakeHelicone) -> None:
    exporter = HeliconeSpanExporter(KEY, endpoint=fake.url)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(HeliconeSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("x")
    with tracer.start_as_current_span("nothing"):
        with tracer.start_as_current_span("execute_tool search", attributes=GENAI_TOOL):
            pass
    provider.shutdown()

    assert [row.model for row in fake.rows] == ["tool:search"]
    assert exporter.export([]) is SpanExportResult.FAILURE
    assert repr(exporter).startswith(f"HeliconeSpanExporter(endpoint='{fake.url}', kinds='data, embedding,")


@pytest.mark.usefixtures("uninstalled")
def test_a_flush_also_sends_the_rows_of_a_replaced_exporter(fake: FakeHelicone) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    fake.troubles.from_now_on(Trouble(status=503, headers={"Retry-After": "0.2"}))
    configure(provider=provider, log=HeliconeSpanExporter(KEY, endpoint=fake.url))
    with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool search", attributes=GENAI_TOOL):
        pass
    assert not provider.force_flush(100)
    fake.troubles.end()

    configure(provider=provider, log=HeliconeSpanExporter(KEY, endpoint=fake.url))

    assert provider.force_flush()
    assert [row.model for row in fake.rows] == ["tool:search"]


@pytest.mark.usefixtures("uninstalled")
@pytest.mark.parametrize("milliseconds", [sys.maxsize, math.inf, -1])
def test_a_flush_accepts_any_timeout_that_opentelemetry_accepts(fake: FakeHelicone, milliseconds: Any) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    configure(provider=provider, log=HeliconeSpanExporter(KEY, endpoint=fake.url))
    with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool x", attributes=GENAI_TOOL):
        pass

    provider.force_flush(milliseconds)
    assert provider.force_flush()
    assert len(fake.rows) == 1


@pytest.mark.usefixtures("uninstalled")
def test_replaced_exporters_leave_no_thread_behind(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_LINGER", 0.05)
    monkeypatch.setattr(maker, "_LINGER", 0.05)
    monkeypatch.setenv("OTEL_BSP_EXPORT_TIMEOUT", "1000")
    provider = TracerProvider(shutdown_on_exit=False)
    before = set(threading.enumerate())
    for number in range(5):
        configure(
            Settings(session_name=f"Shop {number}", api_key=KEY, log_endpoint=fake.url), provider=provider, log=True
        )
        with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool x", attributes=GENAI_TOOL):
            pass
        assert provider.force_flush()
    INSTALLATION.uninstall()

    wait_for(lambda: not [one for one in set(threading.enumerate()) - before if one.name.startswith("helicone-otel")])
    assert len(fake.rows) == 5


@pytest.mark.usefixtures("uninstalled")
@pytest.mark.parametrize("how", ["no thread can be started", "a hook ends the thread"])
def test_logging_goes_on_after_a_thread_was_lost(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    start, failing = threading.Thread.start, [True]

    def start_or_refuse(thread: threading.Thread) -> None:
        if how.startswith("no thread") and thread.name == "helicone-otel-rows" and failing:
            failing.clear()
            raise RuntimeError("can't start new thread")
        start(thread)

    def key_for(_: Session) -> str:
        if how.startswith("a hook") and failing:
            failing.clear()
            raise SystemExit
        return KEY

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    provider = TracerProvider(shutdown_on_exit=False)
    configure(provider=provider, log=HeliconeSpanExporter(endpoint=fake.url, key_for=key_for))
    for _ in range(2):
        with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool x", attributes=GENAI_TOOL):
            pass
        wait_for(lambda: not failing)
        time.sleep(0.05)

    is_lost = how.startswith("a hook")
    wait_for(lambda: len(fake.rows) == (1 if is_lost else 2))
    assert provider.force_flush() is not is_lost
    assert caplog.messages == ["A row was not logged to Helicone: it could not be made (SystemExit)"] * is_lost


@pytest.mark.usefixtures("uninstalled")
def test_an_app_that_ends_waits_once_for_a_server_that_does_not_answer(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exporter, "_AT_EXIT", 0.2)
    fake.troubles.from_now_on(Trouble(seconds=20))
    provider = TracerProvider(shutdown_on_exit=False)
    configure(Settings(log_endpoint=fake.url, api_key=KEY), provider=provider, log=True)
    with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool search", attributes=GENAI_TOOL):
        pass
    exporter = INSTALLATION.exporter
    assert exporter is not None

    provider.shutdown()
    fake.troubles.end()
    began = time.monotonic()

    assert not exporter.finish()  # as when the interpreter ends
    assert time.monotonic() - began < 5
    exporter.shutdown(0)


# --- names in any language -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "hosts", "name"),
    [
        ("", ".helicone.ai,HOST", "旅行 50％"),
        ("", ".helicone.ai", "%E6%97%85%E8%A1%8C 50%EF%BC%85"),
        ("", "none", "%E6%97%85%E8%A1%8C 50%EF%BC%85"),
        ("/v1/trace", "HOST", "%E6%97%85%E8%A1%8C 50%EF%BC%85"),
    ],
    ids=["a host that reads UTF-8", "another host", "no host", "Node"],
)
def test_a_log_gets_names_as_its_host_reads_them(fake: FakeHelicone, route: str, hosts: str, name: str) -> None:
    listed = tuple(hosts.replace("HOST", fake.url.removeprefix("http://")).split(","))
    log = HeliconeSpanExporter(KEY, endpoint=fake.url + route, settings=Settings(utf8_hosts=listed))
    app = App()
    app.provider.add_span_processor(SimpleSpanProcessor(log))
    with session("旅行 50%", id="Ü"), app.span("execute_tool search", GENAI_TOOL, scope="x"):
        pass
    log.force_flush()

    (request,) = fake.requests("log")
    assert request.json["providerRequest"]["meta"]["Helicone-Session-Name"] == name

"""Wrong input from an app, its user or a caller is handled as the design says.

Wrong arguments in code raise an error at once. While spans start, end and leave, nothing ever fails the app: text is
brought into wire form, and each kind of failure is logged once.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.propagators.textmap import Getter, Setter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider

from helicone_otel import (
    HeliconePropagator,
    HeliconeSpanProcessor,
    SessionSpanExporter,
    Settings,
    SettingsError,
    configure,
    current_session,
    session,
    step,
)
from helicone_otel.failures import swallowed
from helicone_otel.install.configure import INSTALLATION
from helicone_otel.install.instrumentor import HeliconeInstrumentor
from helicone_otel.wire import header_text, percent_decoded, percent_encoded, wire_text
from tests.support.paths import REPOSITORY
from tests.support.small_app import App, Label, helicone_attributes, label_of, trace_session

any_text = st.text(st.characters()) | st.text(st.sampled_from("aB7 %/\\\t\r\n\0é🚀\ud800\udcff:;,_-"))


@pytest.fixture
def app() -> App:
    return App()


# --- unusual texts --------------------------------------------------------------------------------


@given(any_text, any_text, any_text, any_text, any_text)
def test_spans_and_headers_have_the_same_values_for_any_text(
    name: str, session_id: str, user_id: str, value: str, level: str
) -> None:
    app = App(Settings(session_name="Shop"))

    with session(name, id=session_id, user_id=user_id, properties={"P": value}) as opened, step(level), app.calling():
        headers = app.headers()

    assert opened is not None
    (ask,) = (span for span in app.all_spans() if span.name == "chat")
    attributes = helicone_attributes(ask)
    path = wire_text(str(attributes["helicone.session.path"]))
    expected = {
        "Helicone-Session-Id": (wire_text(opened.id), "helicone.session.id"),
        "Helicone-Session-Name": (wire_text(name) or "Shop", "helicone.session.name"),
        "Helicone-Session-Path": (path, "helicone.session.path"),
        "Helicone-User-Id": (wire_text(user_id), ""),
        "Helicone-Property-P": (wire_text(value), "helicone.property.P"),
    }
    assert headers == {header: percent_encoded(text) for header, (text, _) in expected.items() if text}
    assert all(attributes.get(key, "") == text for text, key in expected.values() if key)
    request = h11.Request(method="POST", target="/", headers=[("Host", "gateway.test"), *headers.items()])
    assert h11.Connection(h11.CLIENT).send(request)
    assert encode_spans(app.all_spans()).SerializeToString()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x" * 100_000, "x" * 256),
        ("🚀" * 100_000, "🚀" * 64),
        ("Trip\r\nX-Evil: 1", "TripX-Evil: 1"),
        ("\ud800", "?"),
        ("50% off", "50％ off"),
    ],
    ids=["100 kB", "100 k emoji", "a line break", "a lone surrogate", "a percent sign"],
)
def test_every_name_is_brought_into_wire_form(app: App, name: str, expected: str) -> None:
    with session(name, id=name), app.work("plan"):
        assert app.headers()["Helicone-Session-Name"] == percent_encoded(expected)

    assert app.label("plan") == Label(expected, expected, "/plan", "task")


def test_a_lone_surrogate_does_not_lose_its_batch(app: App) -> None:
    with (
        session("\ud800", id="trip-\udcff", user_id="\ud83d", properties={"P": "\ude80"}),
        step("\ud800"),
        app.work("plan"),
    ):
        app.chat("ask")
    with app.work("innocent"):
        pass

    batch = encode_spans(app.all_spans())

    encoded = {
        span.name: {attribute.key: attribute.value.string_value for attribute in span.attributes}
        for scope in batch.resource_spans[0].scope_spans
        for span in scope.spans
    }
    assert encoded["innocent"] == {}
    assert encoded["plan"] == {
        "helicone.session.id": "trip-?",
        "helicone.session.name": "?",
        "helicone.session.path": "/?/plan",
        "helicone.span.kind": "task",
        "helicone.property.P": "?",
        "session.id": "trip-?",
        "user.id": "?",
    }


def test_environment_variables_that_are_not_utf8_are_brought_into_wire_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELICONE_SESSION_ID", os.fsdecode(b"job-\xff"))
    monkeypatch.setenv("HELICONE_SESSION_NAME", os.fsdecode(b"Nightly \xe9"))
    app = App(Settings.from_environment())

    app.chat("ask")

    assert app.label("ask") == Label("job-?", "Nightly ?", "/chat", "llm")
    assert encode_spans(app.all_spans()).SerializeToString()


# --- attributes with wrong values -----------------------------------------------------------------


@pytest.mark.parametrize("key", ["helicone.session.id", "session.id", "gen_ai.conversation.id"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, "5"),
        (0, "0"),
        (["a"], "a"),
        ([5], "5"),
        (" a ", "a"),
        ("a/b c", "a/b c"),
        ("é\n", "é"),
        ("x" * 100_000, "x" * 256),
        (True, None),
        (5.5, None),
        (b"\xff", None),
        (["a", "b"], None),
        ([True], None),
        ([], None),
        ("", None),
        (" \n", None),
        ("\0 \x9f", None),
    ],
)
def test_only_texts_and_whole_numbers_on_a_span_are_session_ids(
    app: App, key: str, value: object, expected: str | None
) -> None:
    app.chat("ask", **{key.replace(".", "__"): value})

    assert app.label("ask") == Label(expected or trace_session(app.spans()["ask"]), None, "/chat", "llm")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/a/b", "/a/b"),
        ("a/b", "/a/b"),
        ("/a b/é", "/a_b/é"),
        ("/a" * 100_000, "/a" * 16),
        ("\ud800", "/?"),
        (5, "/5"),
        (True, "/plan"),
        (["a", "b"], "/plan"),
        ("", "/plan"),
    ],
)
def test_a_path_set_on_a_span_must_be_text_and_needs_no_leading_slash(app: App, value: object, expected: str) -> None:
    with session("Trips", id="s1"), step("plan"), app.calling("ask", helicone__session__path=value):
        pass

    assert app.label("ask") == Label("s1", "Trips", expected, "llm")


@pytest.mark.parametrize("value", [5, True, ["tool"], "nonsense", "TOOL", ""])
def test_an_unknown_kind_set_on_a_span_changes_nothing(app: App, value: object) -> None:
    with session("Trips", id="s1"), app.calling("ask", helicone__span__kind=value):
        pass

    assert app.label("ask") == Label("s1", "Trips", "/chat", "llm")


@pytest.mark.parametrize("operation", [5, True, ["chat"], "nonsense", "", b"chat"])
def test_an_attribute_of_a_convention_with_an_unknown_value_fails_nothing(app: App, operation: object) -> None:
    with session("Trips", id="s1"), app.work("plan", gen_ai__operation__name=operation):
        pass

    assert app.label("plan").id == "s1"
    assert swallowed() == {}


@pytest.mark.failures
@pytest.mark.parametrize("name", [None, 5, b"plan"])
def test_a_span_whose_name_is_no_text_starts_and_ends_as_usual(
    app: App, name: object, caplog: pytest.LogCaptureFixture
) -> None:
    with session("Trips", id="s1"):
        for _ in range(3):
            app.tracer.start_span(name).end()  # type: ignore[arg-type]
        app.chat("ask")

    assert len(app.all_spans()) == 4
    assert app.label("ask") == Label("s1", "Trips", "/chat", "llm")
    assert {record.name for record in caplog.records} <= {"helicone_otel"}
    assert len(caplog.records) == len(swallowed())


# --- carriers -------------------------------------------------------------------------------------


class Locked(dict[str, str]):
    """A carrier that cannot be written."""

    def __setitem__(self, key: str, value: str) -> None:
        raise TypeError("locked")


class RefusingSetter(Setter[object]):
    """A setter that raises."""

    def set(self, carrier: object, key: str, value: str) -> None:
        raise ConnectionError(carrier, key, value)


class RefusingGetter(Getter[object]):
    """A getter that raises."""

    def get(self, carrier: object, key: str) -> list[str] | None:
        raise ConnectionError(carrier, key)

    def keys(self, carrier: object) -> list[str]:
        raise ConnectionError(carrier)


@pytest.mark.failures
@pytest.mark.parametrize("carrier", [Locked(), MappingProxyType({}), None, 5, (), "headers", object()])
def test_a_carrier_that_cannot_be_written_fails_no_request_and_is_logged_once(
    app: App, carrier: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with session("Trips", id="s1"), app.requesting():
        for _ in range(3):
            HeliconePropagator().inject(carrier)

    assert [(record.name, record.levelno) for record in caplog.records] == [("helicone_otel", logging.ERROR)]
    assert "helicone-otel failed in inject" in caplog.messages[0]
    assert list(swallowed().values()) == [3]


@pytest.mark.failures
def test_a_setter_that_fails_fails_no_request(app: App) -> None:
    with session("Trips", id="s1"), app.requesting():
        HeliconePropagator().inject({}, setter=RefusingSetter())

    assert swallowed() == {"inject: ConnectionError": 1}


@pytest.mark.parametrize(
    "headers", [{5: "x"}, {b"helicone-session-idea": "x"}, {None: None}, {"Helicone-Session-Idea": ["x"]}, {"": ""}]
)
def test_headers_that_are_no_texts_are_ignored(app: App, headers: dict[object, object]) -> None:
    carrier = dict(headers)
    with session("Trips", id="s1", path="/plan"), app.requesting():
        HeliconePropagator().inject(carrier)  # type: ignore[misc]

    assert carrier == {
        **headers,
        "Helicone-Session-Id": "s1",
        "Helicone-Session-Path": "/plan",
        "Helicone-Session-Name": "Trips",
    }
    assert swallowed() == {}


def test_headers_that_are_bytes_count_as_the_callers(app: App) -> None:
    carrier = {b"helicone-session-id": b"theirs"}
    with session("Trips", id="s1", path="/plan"), app.requesting():
        HeliconePropagator().inject(carrier)  # type: ignore[misc]

    assert carrier == {b"helicone-session-id": b"theirs"}


@pytest.mark.failures
@pytest.mark.parametrize("accept", [False, True])
def test_extracting_from_a_carrier_that_cannot_be_read_returns_the_context_unchanged(accept: bool) -> None:
    App(Settings(accept_inbound=accept))
    given = Context({"theirs": 5})

    for _ in range(3):
        assert HeliconePropagator().extract({}, given, RefusingGetter()) is given

    assert swallowed() == ({"extract: ConnectionError": 3} if accept else {})


@given(any_text, any_text, any_text)
def test_values_from_a_caller_are_bounded_and_in_wire_form(session_id: str, path: str, name: str) -> None:
    app = App(Settings(accept_inbound=True))
    carrier = {
        "Helicone-Session-Id": session_id,
        "Helicone-Session-Path": path * 50,
        "Helicone-Session-Name": name * 50,
    }

    token = attach(HeliconePropagator().extract(carrier, Context()))
    app.chat("ask")
    detach(token)

    label = app.label("ask")
    assert label.id == (wire_text(percent_decoded(header_text(session_id))) or trace_session(app.spans()["ask"]))
    for text in label:
        assert text is None or (isinstance(text, str) and wire_text(text, 512) == text)
    assert encode_spans(app.all_spans()).SerializeToString()


# --- providers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", [object(), NoOpTracerProvider(), ProxyTracerProvider(), "provider"])
def test_configure_refuses_an_object_that_is_no_provider_of_the_sdk(provider: object) -> None:
    with pytest.raises(TypeError) as refused:
        configure(provider=provider)  # type: ignore[arg-type]

    assert (
        str(refused.value)
        == f"configure(provider=…) must be a TracerProvider of the OpenTelemetry SDK, not {type(provider).__name__}"
    )


def test_sessions_work_without_recording_spans() -> None:
    tracer = NoOpTracerProvider().get_tracer("shop")
    carrier = {"host": "ai-gateway.helicone.ai"}

    with session("Trips", id="s1"), step("plan"), tracer.start_as_current_span("plan"):
        here = current_session()
        HeliconePropagator().inject(carrier)

    assert here is not None
    assert here.id == "s1"
    assert carrier == {
        "host": "ai-gateway.helicone.ai",
        "Helicone-Session-Id": "s1",
        "Helicone-Session-Path": "/plan",
        "Helicone-Session-Name": "Trips",
    }
    assert current_session() is None


def test_an_app_may_call_configure_before_it_has_a_provider() -> None:
    script = """
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from helicone_otel import configure, current_session, session

handle = configure()
early = trace.get_tracer("shop")
with session("Trips", id="s1"), early.start_as_current_span("before") as span:
    assert not span.is_recording()
    assert current_session().id == "s1"
    propagate.inject({})
trace.set_tracer_provider(TracerProvider())
with session("Trips", id="s2"), early.start_as_current_span("after") as span:
    print(dict(span.attributes))
handle.uninstall()
"""
    label = {
        "helicone.session.id": "s2",
        "helicone.session.path": "/after",
        "helicone.session.name": "Trips",
        "helicone.span.kind": "task",
        "session.id": "s2",
    }
    assert run_python(script) == (0, f"{label}\n", "")


def test_the_processor_labels_spans_after_its_shutdown(app: App) -> None:
    processor = HeliconeSpanProcessor()
    processor.shutdown()
    assert processor.force_flush() is True
    app.provider.shutdown()

    with session("Trips", id="s1"):
        span = app.tracer.start_span("late")
    span.end()
    processor.on_start(span)  # type: ignore[arg-type]
    processor.on_end(span)  # type: ignore[arg-type]

    assert isinstance(span, ReadableSpan)
    assert label_of(span) == Label("s1", "Trips", "/late", "task")
    assert swallowed() == {}


@pytest.mark.failures
def test_the_processor_raises_nothing_for_objects_that_are_no_spans(caplog: pytest.LogCaptureFixture) -> None:
    processor = HeliconeSpanProcessor()
    for nonsense in (None, 5, "span", object()):
        processor.on_start(nonsense)  # type: ignore[arg-type]
        processor.on_end(nonsense)  # type: ignore[arg-type]

    assert set(swallowed()) <= {"on_start: AttributeError", "on_end: AttributeError", "on_start: TypeError"}
    assert len(caplog.records) == len(swallowed())


def test_the_exporter_exports_an_unknown_span_unchanged() -> None:
    exporter = InMemorySpanExporter()
    bare = ReadableSpan("bare")

    SessionSpanExporter(exporter).export([bare])

    (exported,) = exporter.get_finished_spans()
    assert exported is bare
    assert swallowed() == {}


# --- settings -------------------------------------------------------------------------------------


def test_the_error_for_a_wrong_setting_names_it_and_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HELICONE_SESSION_PATH", "plan")

    with pytest.raises(SettingsError) as refused:
        configure()

    assert str(refused.value).startswith("HELICONE_SESSION_PATH: ") or "(HELICONE_SESSION_PATH): " in str(refused.value)
    assert "write '/plan', not 'plan'" in str(refused.value)
    assert not INSTALLATION._installed


def test_without_code_a_wrong_setting_is_one_log_line_and_the_app_stays_unchanged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HELICONE_SESSION_FALLBACK", "perhaps")
    instrumentor = HeliconeInstrumentor()

    instrumentor.instrument()
    try:
        assert not INSTALLATION._installed
    finally:
        instrumentor.uninstrument()

    (record,) = (record for record in caplog.records if record.name == "helicone_otel")
    assert record.levelno == logging.ERROR
    assert "HELICONE_SESSION_FALLBACK" in record.getMessage()
    assert "perhaps" in record.getMessage()
    assert record.exc_info is None


# --- processes ------------------------------------------------------------------------------------


FORKING = """
import json, os, sys
from helicone_otel import session, step
from tests.support.small_app import App

app = App()
reading, writing = os.pipe()
with session("Trips", id="s1", user_id="ann"), step("plan"), app.work("book") as span:
    app.chat("before")
    child = os.fork()
    if not child:
        with step("child"):
            app.chat("in the child")
        with session("Jobs", id="s2"):
            app.chat("in a session of the child's own")
        span.end()
        os.write(writing, json.dumps(app.labels()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        seen = json.load(pipe)
    os.waitpid(child, 0)
    app.chat("in the parent")
print(json.dumps([seen, app.labels()]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_process_forked_in_a_session_continues_it() -> None:
    # In another interpreter, because threads of other tests may hold locks at the fork.
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORKING],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stderr, run.returncode) == ("", 0)
    in_the_child, in_the_parent = json.loads(run.stdout)

    common = {"before": ["s1", "Trips", "/plan/book", "llm"], "book": ["s1", "Trips", "/plan/book", "task"]}
    assert in_the_child == {
        **common,
        "in the child": ["s1", "Trips", "/plan/book/child", "llm"],
        "in a session of the child's own": ["s2", "Jobs", "/chat", "llm"],
    }
    assert in_the_parent == {**common, "in the parent": ["s1", "Trips", "/plan/book", "llm"]}


@pytest.mark.parametrize("ending", ["pass", "sys.exit(0)", "del opened", "raise SystemExit"])
def test_a_process_that_ends_in_a_session_prints_nothing(ending: str) -> None:
    script = f"""
import sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from helicone_otel import HeliconeSpanProcessor, session, step

provider = TracerProvider()
provider.add_span_processor(HeliconeSpanProcessor())
tracer = provider.get_tracer("shop")

@session("Trips")
def stream():
    yield 1

opened = session("Trips")
opened.__enter__()
step("plan").__enter__()
span = tracer.start_span("plan")
streaming = stream()
next(streaming)
{ending}
"""
    assert run_python(script) == (0, "", "")


def run_python(script: str) -> tuple[int, str, str]:
    """Run a script in a new interpreter; return its exit code, its output and its errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr

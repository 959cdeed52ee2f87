"""One call has several spans: its row has the content of all of them, and none of another call."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from helicone_otel import HeliconeSpanExporter, Settings, session
from helicone_otel.destinations import Destination
from helicone_otel.failures import swallowed
from helicone_otel.log import grouping, worker
from helicone_otel.log.grouping import _ALONE, CallGrouper, EndedSpan
from helicone_otel.log.grouping import _LATE as LATE
from helicone_otel.log.worker import LogWorker
from helicone_otel.testing import Helicone
from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.rows import Row
from helicone_otel.tools.fakes.server import FakeHelicone
from helicone_otel.tools.replay.files import recording_of
from helicone_otel.tools.replay.player import Replay
from helicone_otel.tracking.records import Leaf, SpanRecord
from helicone_otel.tracking.registry import REGISTRY, Registry
from tests.support import replay
from tests.support.environments import Environments
from tests.support.logs import wait_for
from tests.support.paths import TESTS
from tests.support.raw_http import QUESTION, TLS, listening
from tests.support.spans import GENAI, HTTP, App
from tests.tracking.test_one_call import NeverCurrent

CLIENT = trace.SpanKind.CLIENT
WRAPPED = TESTS / "apps" / "wrapped.py"
SDK = "com.anthropic.sdk.python"
LANGCHAIN = "opentelemetry.instrumentation.langchain"
LITELLM = "litellm"
HAYSTACK = "haystack"
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-x"}
SAID = {"gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Say hi"}]}])}
ANSWERED = {"gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "Hi"}]}])}
TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
HI = [{"role": "user", "content": "Say hi"}]


class Logging(App):
    """An app whose calls are logged as with `HELICONE_LOG`."""

    def __init__(self, fake: FakeHelicone) -> None:
        super().__init__()
        self.fake = fake
        self.log = LogWorker(self.registry)
        self.log.switch(HeliconeSpanExporter(KEY, endpoint=fake.url, registry=self.registry))

    def rows(self) -> list[Row]:
        assert self.log.flush(10_000)
        return sorted(self.fake.rows, key=lambda row: row.started)

    def wait_for_rows(self, seconds: float) -> list[Row]:
        """Return the rows that arrive without a flush within some seconds."""
        end = time.monotonic() + seconds
        while not self.fake.rows and time.monotonic() < end:
            time.sleep(0.02)
        return self.fake.rows


@contextmanager
def _logging(fake: FakeHelicone) -> Iterator[Logging]:
    """Yield an app. Its rows are sent at the end, because later tests must not see them fail."""
    app = Logging(fake)
    yield app
    assert app.log.flush(10_000)
    app.log.switch(None)


@pytest.fixture
def app(fake: FakeHelicone) -> Iterator[Logging]:
    with _logging(fake) as app:
        yield app


@pytest.fixture
def hurried(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logging]:
    """Yield an app whose calls wait for a tenth of a second at most."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    with _logging(fake) as app:
        yield app


def _sdk(app: App, **more: Any) -> Any:
    return app.span("anthropic.messages.create", CHAT | more, scope=SDK, kind=CLIENT)


def _messages(row: Row) -> Any:
    return row.request.get("messages")


def _answers(row: Row) -> Any:
    return [part.get("text") for part in row.response.get("content", ())]


# --- real libraries ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["genai_anthropic", "oi_anthropic", "tl_anthropic"])
def test_rows_of_the_anthropic_sdks_spans_have_the_content_of_its_instrumentation(
    fake: FakeHelicone, name: str
) -> None:
    registry = Registry(Settings())
    log = LogWorker(registry)
    log.switch(HeliconeSpanExporter(KEY, endpoint=fake.url, registry=registry))

    replayed = list(Replay(recording_of(replay.load(name)), registry).run())
    assert log.flush(10_000)

    ids = {
        str((span.final.attributes or {})["helicone.request.id"]): span.recorded
        for span in replayed
        if "helicone.request.id" in (span.final.attributes or {})
    }
    rows = {row.id: row for row in fake.rows}
    assert rows.keys() == ids.keys()
    of_the_sdk = [rows[row_id] for row_id, span in ids.items() if span.scope == SDK]
    assert [_messages(row) for row in of_the_sdk] == [HI] * 7
    calls = [row for row in of_the_sdk if row.request.get("tools")]
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
    text = {"type": "text", "text": 'get_weather({"city":"Paris"})'}
    assert [row.response["content"] for row in calls] == [[use, text]]
    others = [row for row in of_the_sdk if not row.failed and row not in calls]
    assert [_answers(row) for row in others] == [["Hello from fake"]] * 5


def test_the_row_of_a_call_by_the_anthropic_sdk_has_the_content_of_the_span_around_it(app: Logging) -> None:
    http = anthropic.DefaultHttpxClient(verify=TLS)
    options = {"tracer_provider": app.provider}
    with (
        listening() as provider,
        Anthropic(base_url=provider.url, api_key="sk-1", open_telemetry=options, http_client=http) as client,
        app.span("chat claude-x", CHAT | SAID, scope=GENAI, kind=CLIENT) as wrapper,
    ):
        answer = client.messages.create(model="claude-x", max_tokens=8, messages=[QUESTION])
        wrapper.set_attributes(ANSWERED)

    (row,) = app.rows()
    assert (_messages(row), _answers(row), row.response["id"]) == (HI, ["Hi"], answer.id)


@pytest.mark.slow
def test_the_row_of_a_real_call_by_the_anthropic_sdk_has_the_content_that_openinference_captured(
    fake: FakeHelicone, environments: Environments
) -> None:
    python = environments.python("oi_anthropic", ["anthropic>=2,<3", "openinference-instrumentation-anthropic>=3.1"])
    with listening() as provider:
        done = subprocess.run(
            [python, WRAPPED],
            env={
                "PROVIDER": provider.url,
                "HELICONE_LOG": "true",
                "HELICONE_API_KEY": fake.key,
                "HELICONE_LOG_ENDPOINT": fake.url,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    (row,) = fake.rows
    assert json.loads(done.stdout) == {SDK: row.id, "openinference.instrumentation.anthropic": None}
    assert (_messages(row), row.request["system"], len(_answers(row))) == ([QUESTION], "Be brief.", 1)


# --- wrappers around calls ------------------------------------------------------------------------------


@pytest.mark.parametrize("calls", [1, 2], ids=["first", "second, which is like the first"])
@pytest.mark.parametrize("http", [False, True], ids=["no HTTP instrumentation", "HTTP instrumentation"])
def test_a_row_takes_from_wrappers_only_what_the_span_of_the_call_lacks(app: Logging, calls: int, http: bool) -> None:
    with session("Trip", id="s1"), app.span("plan"):
        for _ in range(calls):
            with app.span("ChatAnthropic", CHAT | SAID, scope="my.framework"):
                with app.span("chat", CHAT | {"gen_ai.request.model": "another"}, scope=GENAI, kind=CLIENT) as wrapper:
                    with _sdk(app, **{"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 0}):
                        if http:
                            app.provider.get_tracer(HTTP).start_span("POST", kind=CLIENT).end()
                    wrapper.set_attributes(ANSWERED)

    rows = app.rows()
    assert [(_messages(row), _answers(row)) for row in rows] == [(HI, ["Hi"])] * calls
    assert {row.request["model"] for row in rows} == {"claude-x"}


@pytest.mark.parametrize(
    ("own", "used"),
    [((3, 0), (3, 0)), ((3, None), (9, 8)), ((None, None), (9, 8))],
    ids=["all", "some", "none"],
)
def test_all_tokens_are_taken_from_one_span(app: Logging, own: tuple[int | None, ...], used: tuple[int, ...]) -> None:
    names = ("input_tokens", "output_tokens")
    counted = {f"gen_ai.usage.{name}": count for name, count in zip(names, own, strict=True) if count is not None}
    more = {"gen_ai.usage.input_tokens": 9, "gen_ai.usage.output_tokens": 8}
    with app.span("chat", CHAT | more, scope=GENAI, kind=CLIENT), _sdk(app, **counted):
        pass

    assert [row.response["usage"] for row in app.rows()] == [dict(zip(names, used, strict=True))]


def test_a_wrapper_of_two_calls_adds_nothing_to_their_rows(app: Logging) -> None:
    with app.span("retry", CHAT | SAID, scope="my.framework"):
        for _ in range(2):
            with app.span("chat", CHAT | ANSWERED, scope=GENAI, kind=CLIENT), _sdk(app):
                pass

    assert [(_messages(row), _answers(row)) for row in app.rows()] == [([], ["Hi"])] * 2


def test_a_wrapper_of_parallel_calls_adds_nothing_to_their_rows(app: Logging) -> None:
    with app.span("both", CHAT | SAID, scope="my.framework") as above:
        context = trace.set_span_in_context(above)
        tracer = app.provider.get_tracer(SDK)
        calls = [tracer.start_span("anthropic.messages.create", context, CLIENT, CHAT) for _ in range(2)]
        for call in calls:
            call.end()

    assert [_messages(row) for row in app.rows()] == [[], []]


def test_a_wrapper_adds_nothing_to_a_call_that_follows_one_to_a_gateway_inside_of_it(app: Logging) -> None:
    with app.span("fallback", CHAT | SAID, scope="my.framework"):
        with app.span("chat", CHAT, scope=GENAI, kind=CLIENT) as first:
            at = app.registry.locate()
            assert at is not None
            app.registry.locator.sent(at.sender, at.headers, Destination.GATEWAY)
            first.set_attributes(SAID)
        with _sdk(app):
            pass

    assert [_messages(row) for row in app.rows()] == [[]]


def test_a_call_whose_framework_failed_afterwards_is_logged_as_a_success(app: Logging) -> None:
    with app.span("parse", CHAT | SAID, scope="my.framework") as wrapper:
        with _sdk(app):
            pass
        wrapper.record_exception(ValueError("no JSON"))
        wrapper.set_status(trace.StatusCode.ERROR, "no JSON")

    assert [(row.status, _messages(row)) for row in app.rows()] == [(200, HI)]


def test_a_row_takes_the_reason_of_a_failure_from_its_wrapper(app: Logging) -> None:
    with app.span("chat", CHAT, scope=GENAI, kind=CLIENT) as wrapper:
        with _sdk(app) as call:
            call.set_status(trace.StatusCode.ERROR)
        wrapper.set_status(trace.StatusCode.ERROR, "Error code: 429 - slow down")

    (row,) = app.rows()
    assert (row.status, row.response["error"]["message"]) == (429, "Error code: 429 - slow down")


@pytest.mark.parametrize(("outer", "expected"), [("search", {"q": "Oslo"}), ("delegate", None)])
def test_a_tool_around_a_tool_is_its_wrapper_only_if_it_has_the_same_name(
    app: Logging, outer: str, expected: object
) -> None:
    arguments = {"gen_ai.tool.name": outer, "gen_ai.tool.call.arguments": json.dumps({"q": "Oslo"})}
    with app.span(f"execute_tool {outer}", TOOL | arguments, scope="a"):
        with app.span("execute_tool search", TOOL, scope="b"):
            pass

    assert [(row.model, row.request.get("input")) for row in app.rows()] == [("tool:search", expected)]


# --- wrappers beside calls ------------------------------------------------------------------------------


def _beside(app: App, answer_ids: Sequence[str]) -> None:
    """Run parallel calls, each with a wrapper that is never current."""
    wrappers = [NeverCurrent.begin(app, "ChatAnthropic.chat", LANGCHAIN) for _ in answer_ids]
    calls = [NeverCurrent.begin(app, "anthropic.messages.create", SDK, attributes=CHAT) for _ in answer_ids]
    for call, answer_id in zip(calls, answer_ids, strict=True):
        call.end({"gen_ai.response.id": answer_id} if answer_id else {})
    for number, (wrapper, answer_id) in enumerate(zip(wrappers, answer_ids, strict=True)):
        content = {"gen_ai.input.messages": json.dumps([{"role": "user", "content": f"Number {number}"}])}
        wrapper.end({**CHAT, **content, **({"gen_ai.response.id": answer_id} if answer_id else {})})


@pytest.mark.parametrize(
    ("answer_ids", "expected"),
    [
        ([""], ["Number 0"]),
        (["a", "b"], ["Number 0", "Number 1"]),
        (["", ""], [None, None]),
        (["", "", ""], [None, None, None]),
    ],
    ids=["one call", "answers with ids", "which is whose is unknown", "three"],
)
def test_a_wrapper_beside_calls_adds_to_a_row_only_if_its_call_is_certain(
    app: Logging, answer_ids: list[str], expected: list[str | None]
) -> None:
    with app.span("plan"):
        _beside(app, answer_ids)

    rows = app.rows()
    assert sorted([next((one["content"] for one in _messages(row)), None) for row in rows], key=str) == expected
    for row in rows:
        if answer_id := row.response.get("id"):
            assert _messages(row)[0]["content"] == f"Number {answer_ids.index(answer_id)}"


def test_the_content_tells_which_of_the_calls_beside_it_a_wrapper_wraps(app: Logging) -> None:
    with app.span("plan"):
        wrappers = [NeverCurrent.begin(app, "ChatAnthropic.chat", LANGCHAIN) for _ in range(3)]
        for number in range(3):
            content = {"input.value": f"Number {number}"}
            NeverCurrent.begin(app, "anthropic.messages.create", SDK, attributes=CHAT).end(content)
        for number in (2, 0, 1):
            messages = json.dumps([{"role": "user", "content": f"Number {number}"}])
            answer = {"gen_ai.completion": f"Answer {number}"}
            wrappers[number].end({**CHAT, "gen_ai.input.messages": messages, **answer})

    told = {_messages(row)[0]["content"]: _answers(row) for row in app.rows()}
    assert told == {f"Number {number}": [f"Answer {number}"] for number in range(3)}


def test_a_row_has_the_content_that_only_litellms_second_span_has(app: Logging) -> None:
    raw = {
        "llm.openai.model": "gpt-5.4-mini",
        "llm.openai.messages": str([{"role": "user", "content": 'It\'s "hi"'}]),
        "llm.openai.choices": str(
            [{"finish_reason": "stop", "index": 0, "message": {"content": "OK", "refusal": None}}]
        ),
        "llm.openai.usage": str({"completion_tokens": 1, "prompt_tokens": 7, "total_tokens": 8}),
    }
    with app.span("plan"), app.span("raw_gen_ai_request", raw, scope=LITELLM):
        pass

    (row,) = app.rows()
    said = [(one["role"], one["content"]) for one in (*_messages(row), row.response["choices"][0]["message"])]
    assert said == [("user", 'It\'s "hi"'), ("assistant", "OK")]
    assert (row.session_path, row.model, row.prompt_tokens, row.completion_tokens) == ("/plan", "gpt-5.4-mini", 7, 1)


# --- how long a call waits -------------------------------------------------------------------------------


@pytest.fixture
def patient(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logging]:
    """Yield an app in which calls wait for a minute, if there is anything to wait for."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    with _logging(fake) as app:
        yield app


def _is_held(app: Logging) -> bool:
    """Tell whether a call still waits after one more look at all spans."""
    wait_for(lambda: not app.log._waiting and app.log._grouper._calls)
    assert app.log.exporter is not None
    app.log._log_due(app.log.exporter, 60)
    return len(app.log._grouper) == 1 and not app.fake.rows


def test_a_row_leaves_as_soon_as_its_call_has_ended(patient: Logging) -> None:
    with patient.span("plan"):
        with patient.span("execute_tool search", TOOL):
            pass
        (row,) = patient.wait_for_rows(30)

    assert row.model == "tool:search"


def test_a_row_leaves_as_soon_as_the_wrapper_around_its_call_has_ended(patient: Logging) -> None:
    with patient.span("plan"):
        with patient.span("chat", CHAT, scope=GENAI, kind=CLIENT) as wrapper:
            with _sdk(patient):
                pass
            assert _is_held(patient)
            wrapper.set_attributes(SAID)
        (row,) = patient.wait_for_rows(30)

    assert _messages(row) == HI


@pytest.mark.parametrize("model", [{}, {"gen_ai.request.model": "claude-x"}, {"gen_ai.request.model": "claude-x-001"}])
def test_a_row_waits_for_an_open_span_beside_its_call_that_may_be_the_same_call(
    patient: Logging, model: dict[str, str]
) -> None:
    with patient.span("plan"):
        wrapper = NeverCurrent.begin(patient, "ChatAnthropic.chat", LANGCHAIN, attributes=model)
        with _sdk(patient):
            pass
        assert _is_held(patient)
        wrapper.end(CHAT | SAID)
        (row,) = patient.wait_for_rows(30)

    assert _messages(row) == HI


@pytest.mark.parametrize(
    "other",
    [
        {"gen_ai.request.model": "gpt-5"},
        {"gen_ai.provider.name": "openai"},
        {"gen_ai.response.id": "another"},
    ],
    ids=["model", "provider", "answer"],
)
def test_a_row_does_not_wait_for_an_open_span_of_another_call(patient: Logging, other: dict[str, str]) -> None:
    with patient.span("plan"):
        wrapper = NeverCurrent.begin(patient, "ChatAnthropic.chat", LANGCHAIN, attributes=CHAT | other)
        with _sdk(patient, **{"gen_ai.response.id": "answer"}):
            pass
        patient.wait_for_rows(30)
        wrapper.end(SAID)

    assert len(patient.fake.rows) == 1


def test_a_row_does_not_wait_for_a_span_that_started_after_its_call(patient: Logging) -> None:
    with patient.span("plan"):
        with _sdk(patient):
            pass
        wrapper = NeverCurrent.begin(patient, "ChatAnthropic.chat", LANGCHAIN, attributes=CHAT)
        (row,) = patient.wait_for_rows(30)
        wrapper.end(SAID)

    assert _messages(row) == []


def test_a_row_waits_for_an_open_span_inside_that_may_still_turn_out_to_be_the_call(patient: Logging) -> None:
    outer = patient.provider.get_tracer("my.framework").start_span("chat", attributes=CHAT)
    inner = patient.provider.get_tracer(HAYSTACK).start_span("haystack.component.run", trace.set_span_in_context(outer))
    outer.end()
    assert _is_held(patient)
    inner.set_attributes(CHAT | SAID)
    inner.end()

    (row,) = patient.wait_for_rows(30)
    assert (_messages(row), patient.rows()) == (HI, [row])


def test_a_stream_has_the_content_of_what_wraps_it_and_ended_before_it_also_after_a_flush(patient: Logging) -> None:
    outer = patient.provider.get_tracer("my.framework").start_span("chat", attributes=CHAT | SAID)
    inside = trace.set_span_in_context(outer)
    inner = patient.provider.get_tracer(GENAI).start_span("chat claude-x", inside, attributes=CHAT, kind=CLIENT)
    outer.end()
    assert patient.log.flush(10_000)  # for another request, say
    inner.end()

    (row,) = patient.wait_for_rows(30)
    assert _messages(row) == HI


def test_a_wrapper_is_dropped_and_not_waited_for_if_its_call_does_not_end(
    patient: Logging, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = swallowed().get(_ALONE, 0)
    monkeypatch.setattr(grouping, "_LONGEST_ALONE", 0)
    outer = patient.provider.get_tracer("my.framework").start_span("chat", attributes=CHAT | SAID)
    inside = trace.set_span_in_context(outer)
    inner = patient.provider.get_tracer(GENAI).start_span("chat claude-x", inside, attributes=CHAT, kind=CLIENT)
    outer.end()
    wait_for(lambda: swallowed().get(_ALONE, 0) == before + 1)
    inner.end()

    (row,) = patient.wait_for_rows(30)
    assert (_messages(row), patient.log._grouper.bytes) == ([], 0)


def test_a_signal_that_raises_while_a_span_ends_costs_neither_its_row_nor_its_export(
    helicone: Helicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    helicone.configure(log=True)
    put = REGISTRY.log
    assert put is not None

    def interrupted(entry: SpanRecord | Leaf, span: ReadableSpan) -> None:
        put(entry, span)
        raise KeyboardInterrupt

    monkeypatch.setattr(REGISTRY, "log", interrupted)
    span = helicone.tracer.start_span("execute_tool search", attributes=TOOL)
    with pytest.raises(KeyboardInterrupt):
        span.end()
    monkeypatch.undo()

    assert ([row.model for row in helicone.rows()], len(helicone.spans), REGISTRY.ending) == (["tool:search"], 1, {})


def test_an_exporter_that_has_no_room_does_not_stop_the_one_that_replaces_it(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_LONGEST_AT_EXIT", 0.1)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "2")
    app, answered = Logging(fake), threading.Event()

    def key_for(_: object) -> str:
        answered.wait(60)
        return KEY

    def call_tools(name: str) -> None:
        with session(name):
            for _ in range(4):
                with app.span("execute_tool search", TOOL):
                    pass
                wait_for(lambda: not app.log._waiting)

    app.log.switch(HeliconeSpanExporter(endpoint=fake.url, registry=app.registry, key_for=key_for))
    call_tools("before")
    app.log.switch(HeliconeSpanExporter(KEY, endpoint=fake.url, registry=app.registry))
    call_tools("after")
    wait_for(lambda: len(fake.rows) == 4)

    assert {row.session_name for row in fake.rows} == {"after"}
    answered.set()
    assert not app.log.flush(10_000)  # some of the calls before were dropped
    app.log.switch(None)


def test_a_row_waits_for_a_library_that_tells_of_calls_when_they_are_over(patient: Logging) -> None:
    with patient.span("plan"):
        NeverCurrent.begin(patient, "litellm_request", LITELLM).end(CHAT | {"gen_ai.request.model": "another"})
        patient.wait_for_rows(30)
        with _sdk(patient) as call:
            pass
        assert isinstance(call, ReadableSpan)
        wait_for(lambda: patient.log._grouper._calls)
        told = NeverCurrent.begin(patient, "litellm_request", LITELLM, start_time=call.start_time)
        told.end(CHAT | SAID, call.end_time)

    wait_for(lambda: len(patient.fake.rows) == 2)
    assert sorted(map(_messages, patient.rows()), key=len) == [[], HI]


def test_a_span_that_tells_of_a_call_whose_row_has_left_makes_no_second_row(patient: Logging) -> None:
    before = swallowed().get(LATE, 0)
    with patient.span("plan"):
        with _sdk(patient) as call:
            pass
        patient.wait_for_rows(30)
        assert isinstance(call, ReadableSpan)
        NeverCurrent.begin(patient, "litellm_request", LITELLM, start_time=call.start_time).end(CHAT, call.end_time)

    assert (len(patient.rows()), swallowed()[LATE]) == (1, before + 1)


class OwnPipeline(SynchronousMultiSpanProcessor):
    """A pipeline whose methods are not those that are wrapped."""

    def on_end(self, span: ReadableSpan) -> None:
        super().on_end(span)


@pytest.mark.parametrize("where", ["in the provider's", "behind one inside of it", "in one of the app's own"])
def test_no_row_leaves_before_the_apps_processors_have_redacted_its_span(
    helicone: Helicone, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    class Redactor(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            time.sleep(0.1)  # time enough to send a row
            assert isinstance(span._attributes, dict | BoundedAttributes)
            span._attributes = {**span._attributes, "gen_ai.tool.call.arguments": '{"q": "hidden"}'}

    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    helicone.configure(log=True)
    own = OwnPipeline() if where == "in one of the app's own" else None
    provider = TracerProvider(active_span_processor=own, shutdown_on_exit=False)
    if where == "behind one inside of it":
        provider.add_span_processor(SynchronousMultiSpanProcessor())
    provider.add_span_processor(Redactor())
    with provider.get_tracer("my.app").start_as_current_span(
        "execute_tool search", attributes=TOOL | {"gen_ai.tool.call.arguments": '{"q": "secret"}'}
    ):
        pass
    assert [row.request["input"] for row in helicone.rows()] == [{"q": "hidden"}]


def test_a_row_waits_for_its_wrapper_and_is_sent_once(hurried: Logging) -> None:
    with hurried.span("chat", CHAT, scope=GENAI, kind=CLIENT) as wrapper:
        with _sdk(hurried):
            pass
        hurried.log._wake.set()  # the thread takes the call now, before its wrapper has ended
        threading.Event().wait(0.03)
        assert hurried.fake.rows == []
        wrapper.set_attributes(SAID)

    (row,) = hurried.wait_for_rows(5)
    assert (_messages(row), row.sends) == (HI, 1)
    assert hurried.rows() == [row]


def test_a_row_does_not_wait_for_ever_for_a_wrapper_that_never_ends(hurried: Logging) -> None:
    with hurried.span("chat", CHAT | SAID, scope=GENAI, kind=CLIENT):
        with _sdk(hurried):
            pass
        (row,) = hurried.wait_for_rows(5)

    assert _messages(row) == []
    assert hurried.rows() == [row]


def test_a_flush_waits_for_no_wrapper(app: Logging) -> None:
    with app.span("chat", CHAT | SAID, scope=GENAI, kind=CLIENT), _sdk(app):
        pass
    with app.span("chat", CHAT | SAID, scope=GENAI, kind=CLIENT):
        with _sdk(app):
            pass
        assert sorted([_messages(row) for row in app.rows()], key=len) == [[], HI]


def test_calls_that_wait_are_bounded_and_wrappers_without_a_call_are_dropped(app: Logging) -> None:
    grouper = CallGrouper(app.registry, 10)
    ended: list[EndedSpan] = []
    app.registry.log = lambda entry, span: ended.append((span, entry, 0))
    with app.span("plan"):
        for _ in range(30):
            outer = app.provider.get_tracer(GENAI).start_span("chat", attributes=CHAT)
            with trace.use_span(outer), _sdk(app):
                pass

    assert [len(grouper.take(ended, 60)), len(grouper), len(grouper.take((), 0)), len(grouper)] == [20, 10, 10, 0]
    ended.clear()
    before = swallowed().get(LATE, 0)
    outer.end()
    # It ended after the row had left.
    assert [len(ended), grouper.take(ended, 60), len(grouper._wrappers), swallowed()[LATE] - before] == [1, [], 0, 1]


def test_wrappers_whose_calls_do_not_come_are_bounded(app: Logging) -> None:
    grouper = CallGrouper(app.registry, 10)
    ended: list[EndedSpan] = []
    app.registry.log = lambda entry, span: ended.append((span, entry, 0))
    for _ in range(30):
        with app.span("chat", CHAT, scope=GENAI, kind=CLIENT), _sdk(app):
            pass

    assert [grouper.take(ended[1::2], 60), len(grouper._wrappers)] == [[], 10]


def test_an_exporter_that_the_app_adds_groups_the_spans_of_one_batch(fake: FakeHelicone) -> None:
    app = App()
    exporter = HeliconeSpanExporter(KEY, endpoint=fake.url, registry=app.registry)
    app.provider.add_span_processor(BatchSpanProcessor(exporter))

    with app.span("chat", CHAT | SAID, scope=GENAI, kind=CLIENT), _sdk(app):
        pass
    app.provider.force_flush()
    assert exporter.force_flush()

    assert [_messages(row) for row in fake.rows] == [HI]
    app.provider.shutdown()

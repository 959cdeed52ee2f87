"""No flush and no end of an app waits for the user's functions longer than it may, or for spans that come later."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from helicone_otel import HeliconeSpanExporter, Session, Settings, configure, session
from helicone_otel.install.configure import INSTALLATION
from helicone_otel.log import exporter as _exporter
from helicone_otel.log import worker
from helicone_otel.log.delivery.client import Client
from helicone_otel.log.delivery.lane import PendingRow
from helicone_otel.log.delivery.maker import RowMaker
from helicone_otel.log.rows.content import Content
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.launching import base_environ
from tests.support.logs import wait_for

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look", "gen_ai.tool.call.arguments": '{"a": "b"}'}
MILLISECONDS = 100


class Hook:
    """A function of the user that returns when it may."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.may_return = threading.Event()
        self.returned = 0

    def __call__(self, value: Any, *_: object) -> Any:
        self.may_return.wait(20)
        self.returned += 1
        return value if isinstance(value, str) else self.key


HOOKS: dict[str, Callable[[Hook], dict[str, Any]]] = {
    "key_for": lambda hook: {"key_for": hook},
    "redact": lambda hook: {"api_key": hook.key, "content": Content(redact=hook)},
}
ENDS: dict[str, Callable[[TracerProvider, HeliconeSpanExporter], object]] = {
    "provider.force_flush": lambda provider, _: provider.force_flush(MILLISECONDS),
    "provider.shutdown": lambda provider, _: provider.shutdown(),
    "exporter.force_flush": lambda _, exporter: exporter.force_flush(MILLISECONDS),
    "exporter.shutdown": lambda _, exporter: exporter.shutdown(MILLISECONDS),
    "exporter.finish": lambda _, exporter: exporter.finish(),
}
# OpenTelemetry's BatchSpanProcessor gives an exporter 30 seconds to shut down.
PAIRS = [
    *(("configure", end) for end in ("provider.force_flush", "provider.shutdown")),
    *(("BatchSpanProcessor", end) for end in ENDS if end != "provider.shutdown"),
    *(("SimpleSpanProcessor", end) for end in ENDS),
]
LOGGED: dict[str, Callable[[TracerProvider, HeliconeSpanExporter], object]] = {
    "configure": lambda provider, exporter: configure(provider=provider, log=exporter),
    "BatchSpanProcessor": lambda provider, exporter: _with_processor(provider, BatchSpanProcessor(exporter)),
    "SimpleSpanProcessor": lambda provider, exporter: _with_processor(provider, SimpleSpanProcessor(exporter)),
}


def _with_processor(provider: TracerProvider, processor: Any) -> None:
    configure(provider=provider)
    provider.add_span_processor(processor)


@pytest.fixture
def hook(fake: FakeHelicone) -> Hook:
    return Hook(fake.key)


@pytest.fixture
def exporting(fake: FakeHelicone, hook: Hook) -> Iterator[Callable[..., HeliconeSpanExporter]]:
    """Return a function that makes exporters, which leave nothing behind."""
    made = []

    def make(**options: Any) -> HeliconeSpanExporter:
        made.append(HeliconeSpanExporter(endpoint=fake.url, **options))
        return made[-1]

    yield make
    INSTALLATION.uninstall()
    hook.may_return.set()
    for exporter in made:
        exporter.force_flush(5000)
        exporter.shutdown(0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((_exporter, "_AT_EXIT"), (worker, "_LONGEST_AT_EXIT")):
        monkeypatch.setattr(module, name, MILLISECONDS / 1000)
    monkeypatch.setattr(HeliconeSpanExporter, "_waited_at_exit", 0.0)


@pytest.mark.parametrize(("way", "end"), PAIRS)
@pytest.mark.parametrize("name", HOOKS)
def test_nothing_waits_for_a_function_of_the_user(
    name: str, way: str, end: str, hook: Hook, exporting: Callable[..., HeliconeSpanExporter]
) -> None:
    exporter = exporting(**HOOKS[name](hook))
    provider = TracerProvider(shutdown_on_exit=False)
    LOGGED[way](provider, exporter)
    with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool look", attributes=TOOL):
        pass

    if way == "BatchSpanProcessor" and end.startswith("exporter"):
        provider.force_flush(MILLISECONDS)  # the exporter has the span now
    told = ENDS[end](provider, exporter)

    assert hook.returned == 0
    # The SDK's processors do not flush their exporters.
    assert told is {"shutdown": None, "force_flush": way != "configure" and end.startswith("provider")}.get(
        end.partition(".")[2], False
    )


@pytest.mark.parametrize("name", HOOKS)
def test_a_row_arrives_when_the_function_of_the_user_has_returned(
    name: str, hook: Hook, fake: FakeHelicone, exporting: Callable[..., HeliconeSpanExporter]
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    configure(provider=provider, log=exporting(**HOOKS[name](hook)))
    with session("Shop"), provider.get_tracer("x").start_as_current_span("execute_tool look", attributes=TOOL):
        pass

    assert not provider.force_flush(MILLISECONDS)
    hook.may_return.set()
    assert provider.force_flush()
    assert [row.model for row in fake.rows] == ["tool:look"]


@pytest.fixture
def tenants(monkeypatch: pytest.MonkeyPatch, hook: Hook) -> Callable[[Session], str | None]:
    """Return a `key_for` that does not return for one user, in an app whose queues have 20 places."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "20")
    return lambda opened: hook(opened) if opened.user_id == "stuck" else hook.key


def log_calls(provider: TracerProvider, user_id: str, count: int) -> None:
    with session("Shop", user_id=user_id):
        for _ in range(count):
            provider.get_tracer("x").start_span("execute_tool look", attributes=TOOL).end()


def users(fake: FakeHelicone) -> dict[str | None, int]:
    return Counter(row.user_id for row in fake.rows)


@pytest.mark.parametrize("count", [1, 100])
def test_a_tenant_for_whom_a_function_of_the_user_hangs_holds_up_no_other(
    count: int,
    tenants: Callable[[Session], str | None],
    fake: FakeHelicone,
    exporting: Callable[..., HeliconeSpanExporter],
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    configure(provider=provider, log=exporting(key_for=tenants))
    log_calls(provider, "stuck", count)
    assert not provider.force_flush(MILLISECONDS)
    for total in (5, 10, 15):
        log_calls(provider, "well", 5)
        provider.force_flush(MILLISECONDS)
        wait_for(lambda total=total: users(fake) == {"well": total})

    assert not provider.force_flush(MILLISECONDS)


def test_several_tenants_whose_work_hangs_hold_up_no_other() -> None:
    maker = RowMaker(100, 2**20, nullcontext)
    hanging, done = threading.Event(), threading.Event()
    for tenant in range(4):
        maker.put(lambda: hanging.wait(60), 1, tenant)
    maker.put(done.set, 1, "well")

    assert done.wait(30)
    assert len(maker) >= 4
    hanging.set()
    assert maker.finish(time.monotonic() + 30)


def test_a_tenant_with_many_spans_leaves_room_for_others(
    tenants: Callable[[Session], str | None],
    fake: FakeHelicone,
    exporting: Callable[..., HeliconeSpanExporter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    configure(provider=provider, log=exporting(key_for=tenants))
    with monkeypatch.context() as without_thread:
        without_thread.setattr(worker.LogWorker, "_start", lambda _: None)
        log_calls(provider, "many", 100)
        log_calls(provider, "few", 3)
        log_calls(provider, "many", 100)

    assert not provider.force_flush(5000)
    assert users(fake)["few"] == 3
    assert 15 <= users(fake)["many"] <= 22


def test_the_tenant_with_the_most_work_gives_up_its_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RowMaker, "_start", lambda _: None)
    maker = RowMaker(max_rows=4, max_bytes=100, inside=nullcontext)
    made: list[str] = []

    def put(name: str, size: int = 1) -> int:
        return maker.put(partial(made.append, name), size, tenant=name[0])

    assert [put(name) for name in ("a1", "a2", "a3", "a4", "b1", "b2", "b3")] == [0, 0, 0, 0, 1, 1, 1]
    assert put("c1", size=99) == 2  # for its place, and itself for its size
    assert maker.finish(time.monotonic() + 5)
    assert made == ["a1", "b1", "b2"]


def test_another_exporter_takes_over_while_a_function_of_the_user_runs(
    hook: Hook, fake: FakeHelicone, exporting: Callable[..., HeliconeSpanExporter]
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    configure(provider=provider, log=exporting(key_for=hook))
    tracer = provider.get_tracer("x")
    with session("Shop"), tracer.start_as_current_span("execute_tool look", attributes=TOOL):
        pass
    configure(Settings(session_name="Other"), provider=provider, log=exporting(api_key=fake.key))
    with session("Other"), tracer.start_as_current_span("execute_tool look", attributes=TOOL):
        pass

    assert not provider.force_flush(2000)  # the first exporter still has its row
    assert hook.returned == 0
    assert [row.session_name for row in fake.rows] == ["Other"]


def test_a_flush_sends_what_came_before_it_and_not_what_comes_all_the_time(fake: FakeHelicone) -> None:
    client = Client(fake.url, 100)
    stopped = threading.Event()

    def make(number: int) -> PendingRow:
        if not stopped.is_set():
            client.put_later(partial(make, number + 1), 1)  # so there is always one more to be made
        body = b'{"providerRequest": {}, "providerResponse": {}, "timing": {}}'
        return PendingRow(f"row-{number}", fake.key, f"{fake.url}/custom/v1/log", body)

    client.put_later(partial(make, 0), 1)
    client.flush(30)
    still_going = client.rows
    stopped.set()
    client.shutdown(30)

    assert still_going


ENDLESS = """
import itertools, threading, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from helicone_otel import HeliconeSpanExporter, configure, session, tool
trace.set_tracer_provider(TracerProvider())
finish = HeliconeSpanExporter.finish
HeliconeSpanExporter.finish = lambda exporter: print(finish(exporter), flush=True)
configure(log=True)

@tool
def look(number):
    return number

def work():
    with session("Shop", id="endless"):
        for number in itertools.count():
            look(number)
            time.sleep(0.001)

threading.Thread(target=work, daemon=True).start()
with session("Shop", id="last"):
    look(0)
"""


def test_a_daemon_thread_that_makes_spans_all_the_time_does_not_delay_the_end(fake: FakeHelicone) -> None:
    variables = {"HELICONE_API_KEY": fake.key, "HELICONE_LOG_ENDPOINT": fake.url}
    run = subprocess.run(
        [sys.executable, "-c", ENDLESS],
        env={**base_environ("none"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert {*run.stdout.split()} == {"True"}  # all that ended before was sent, and nothing waited for a time to be over
    assert "last" in {row.session_id for row in fake.rows}

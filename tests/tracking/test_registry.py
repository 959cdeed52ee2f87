"""The registry builds its engine when the first question is asked, once, in whichever thread and process that is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from opentelemetry.context import Context

from helicone_otel import Settings, failures
from helicone_otel.failures import LoggedError
from helicone_otel.tracking import engine
from helicone_otel.tracking.registry import Registry

PARTS = frozenset({"starts", "ends", "resolver", "locator"})

FORKING = """
import os, threading
from helicone_otel.tracking import registry

held = threading.Event()

def hold():
    with registry._building.lock:
        held.set()
        threading.Event().wait(0.5)

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    registry.REGISTRY.build()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""

FORKING_AT_THE_FIRST_SPAN = """
import os, sys, threading
from opentelemetry.sdk.trace import TracerProvider
from helicone_otel import HeliconeSpanProcessor

provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(HeliconeSpanProcessor())
tracer = provider.get_tracer("app")
# The first span is about to import the engine when this process forks.
importing = threading.Event()

class Slow:
    def find_spec(self, name, *_):
        if name == "helicone_otel.tracking.engine":
            importing.set()
            threading.Event().wait(0.2)

sys.meta_path.insert(0, Slow())
threading.Thread(target=lambda: tracer.start_span("first").end(), daemon=True).start()
importing.wait()
child = os.fork()
if not child:
    tracer.start_span("in the child").end()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


def test_nothing_is_built_before_the_first_question() -> None:
    registry = Registry()
    built = PARTS & vars(registry).keys()

    assert (built, registry.locate(Context())) == (frozenset(), None)
    assert vars(registry).keys() >= PARTS


def test_other_settings_are_in_force_at_the_next_question() -> None:
    registry = Registry(Settings(session_id="first"))
    before = registry.starts
    registry.configure(Settings(session_id="second"))

    assert registry.starts is not before
    location = registry.locate(Context())
    assert location is not None
    assert location.session.id == "second"


def test_threads_that_ask_at_the_same_time_get_the_same_engine() -> None:
    registry, barrier = Registry(), threading.Barrier(8)
    found: list[object] = []

    def ask() -> None:
        barrier.wait()
        found.append(registry.starts)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [each is registry.starts for each in found] == [True] * 8


def test_settings_may_change_while_threads_ask() -> None:
    registry, stop = Registry(), threading.Event()
    wrong: list[BaseException] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                for name in PARTS:
                    getattr(registry, name)
            except BaseException as error:  # noqa: BLE001
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(30):
        registry.configure(Settings(session_id=str(number)))
    stop.set()
    for thread in threads:
        thread.join()

    assert wrong == []


@pytest.mark.failures
def test_an_engine_that_cannot_be_built_turns_the_library_off_in_one_line_until_it_is_configured_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> dict[str, object]:
        raise RuntimeError("no engine")

    registry = Registry()
    with monkeypatch.context() as patched:
        patched.setattr(engine, "parts_of", fail)
        for _ in range(3):
            with pytest.raises(LoggedError):
                registry.build()
        failures.swallow("on_start", LoggedError())

        assert caplog.messages == ["helicone-otel is off: RuntimeError: no engine"]
        assert registry.active is False
    registry.configure(Settings())

    assert (registry.active, registry.locate(Context())) == (True, None)


def test_a_span_that_starts_in_the_middle_of_building_is_left_alone_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry, parts_of = Registry(), engine.parts_of
    interrupted: list[type[BaseException]] = []

    def interrupting(*args: Any) -> dict[str, object]:
        try:
            registry.starts  # noqa: B018  # as a signal handler or the garbage collector may make it happen
        except LoggedError as error:
            interrupted.append(type(error))
        return parts_of(*args)

    monkeypatch.setattr(engine, "parts_of", interrupting)
    registry.build()

    assert (interrupted, registry.active, registry.locate(Context())) == ([LoggedError], True, None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("program", [FORKING, FORKING_AT_THE_FIRST_SPAN])
def test_a_child_that_is_forked_while_another_thread_builds_can_build(program: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert (run.stdout, run.stderr) == ("7\n", "")

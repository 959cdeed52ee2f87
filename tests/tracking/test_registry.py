"""The registry builds its engine when the first question is asked, once, in whichever thread and process that is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from opentelemetry.context import Context

from helicone_otel import Settings, failures
from helicone_otel.failures import LoggedError
from helicone_otel.tracking import engine
from helicone_otel.tracking.registry import _ENGINE, Registry

FORKING = """
import os, threading
from helicone_otel.tracking import registry

held = threading.Event()

def hold():
    with registry._building.lock:
        held.set()
        threading.Event().wait(30)

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    registry.REGISTRY.build()
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


def test_nothing_is_built_before_the_first_question() -> None:
    registry = Registry()
    built = _ENGINE & vars(registry).keys()

    assert (built, registry.locate(Context())) == (frozenset(), None)
    assert vars(registry).keys() >= _ENGINE


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
                for name in _ENGINE:
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
def test_an_engine_that_cannot_be_built_turns_the_library_off_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> dict[str, object]:
        raise RuntimeError("no engine")

    monkeypatch.setattr(engine, "parts_of", fail)
    registry = Registry()
    for _ in range(3):
        with pytest.raises(LoggedError):
            registry.build()
    failures.swallow("on_start", LoggedError())

    assert caplog.messages == ["helicone-otel is off: RuntimeError: no engine"]
    assert registry.active is False


def test_what_no_registry_has_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_this"):
        Registry().nothing_like_this  # noqa: B018


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_is_forked_while_another_thread_builds_can_build() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING], capture_output=True, text=True, timeout=60, check=False
    )

    assert (run.stdout, run.stderr) == ("7\n", "")

"""Failures of the library are swallowed in one place, always counted, and logged once."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from helicone_otel.failures import _MAX_KINDS, logger, swallow, swallowed, warn_once


def fail(where: str, error: Exception) -> None:
    """Fail and swallow as a hook does."""
    try:
        _raise(error)
    except Exception as caught:  # noqa: BLE001
        swallow(where, caught)


def _raise(error: Exception) -> None:
    raise error


@pytest.fixture
def _broken_handler() -> Iterator[None]:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
            raise OSError("the disk is full")

    broken = Broken()
    logger.addHandler(broken)
    yield
    logger.removeHandler(broken)


@pytest.mark.failures
def test_a_failure_is_logged_once_with_its_traceback_and_always_counted(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(3):
        fail("on_start", KeyError(number))

    message = (
        "helicone-otel failed in on_start and carries on without a label or header there; "
        "further failures of this kind are counted, not logged."
    )
    assert caplog.record_tuples == [("helicone_otel", logging.ERROR, message)]
    assert "KeyError: 0" in caplog.text
    assert "raise error" in caplog.text
    assert swallowed() == {"on_start: KeyError": 3}


@pytest.mark.failures
def test_each_hook_and_each_type_of_error_is_counted_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    fail("on_start", KeyError())
    fail("on_start", TypeError())
    fail("inject", KeyError())

    assert len(caplog.records) == 3
    assert swallowed() == {"on_start: KeyError": 1, "on_start: TypeError": 1, "inject: KeyError": 1}


def test_a_refused_input_is_logged_once_in_one_line_and_always_counted(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        warn_once("A path was cut. 100 %s")

    assert caplog.record_tuples == [("helicone_otel", logging.WARNING, "A path was cut. 100 %s")]
    assert caplog.records[0].exc_info is None
    assert swallowed() == {"A path was cut. 100 %s": 3}


def test_swallowed_returns_a_copy() -> None:
    warn_once("once")

    swallowed().clear()

    assert swallowed() == {"once": 1}


def test_the_number_of_kinds_is_bounded_and_further_ones_are_counted_together(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(_MAX_KINDS + 100):
        warn_once(f"message {number}")
    warn_once("message 0")

    assert len(caplog.records) == _MAX_KINDS + 1
    assert len(swallowed()) == _MAX_KINDS + 1
    assert swallowed()["other"] == 100
    assert swallowed()["message 0"] == 2


@pytest.mark.failures
def test_an_error_that_cannot_be_printed_is_swallowed_too(caplog: pytest.LogCaptureFixture) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    fail("on_end", UnprintableError())

    assert swallowed() == {"on_end: UnprintableError": 1}
    assert len(caplog.records) == 1


@pytest.mark.failures
@pytest.mark.usefixtures("_broken_handler")
def test_a_log_handler_that_raises_does_not_make_the_app_fail() -> None:
    fail("on_start", KeyError())
    warn_once("once")

    assert swallowed() == {"on_start: KeyError": 1, "once": 1}

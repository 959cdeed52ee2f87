"""Waits until somebody ends the command."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Final

# They are about an app's own spans, and would keep what arrives from being played again.
NOT_FOR_US: Final = ("OTEL_SDK_DISABLED", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")


class Told:
    """Waits for Ctrl-C or SIGTERM; a second one ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._before = {number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)}

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._event.set()

    def wait(self) -> None:
        # In pieces, because on Windows nothing interrupts a wait without end.
        while not self._event.wait(0.5):
            pass


def until_told() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    Told().wait()

"""A view beside `run` and `demo`: it shows their sessions while the application runs, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final

from ...settings import Settings

# They configure an app's own spans. In the process of a tool they would keep spans of a file or a request from being
# replayed.
VARIABLES_OF_APPS: Final = ("OTEL_SDK_DISABLED", "OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT")
_FORWARD_SECONDS: Final = 10.0


def forget_variables_of_apps() -> None:
    """Remove the variables of this process that configure an app's own spans."""
    for name in VARIABLES_OF_APPS:
        os.environ.pop(name, None)


class StopSignal:
    """Waits for Ctrl-C or SIGTERM, counting from when it is made. A second one ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._event.set()

    def wait(self) -> None:
        """Return when a signal has come."""
        # In pieces, because on Windows nothing interrupts a wait without end.
        while not self._event.wait(0.5):
            pass


@dataclass(frozen=True, slots=True)
class ViewBeside:
    """A view, or none.

    Attributes:
        forward: Takes an export request in protobuf; `None` if there is no view.
        wait: Shows what arrived until Ctrl-C; returns at once if there is no view.
    """

    forward: Callable[[bytes], None] | None
    wait: Callable[[], None]


@contextmanager
def view_beside(wanted: bool, settings: Callable[[], Settings]) -> Iterator[ViewBeside]:
    """Run a view on a free port while the block runs.

    Args:
        wanted: Whether there is a view.
        settings: Returns the settings with which the view reads spans; called only if there is a view.
    """
    if not wanted:
        yield ViewBeside(None, lambda: None)
        return
    forget_variables_of_apps()
    from ..replay.otlp import from_protobuf  # noqa: PLC0415  # a view needs an extra
    from ..view.database import BusyError, StoreError  # noqa: PLC0415
    from ..view.server import viewing  # noqa: PLC0415
    from ..view.sockets import Places  # noqa: PLC0415

    with viewing(None, settings(), Places(pages=0, grpc=None, http=None)) as view:
        print(f"The view: {view.url}", file=sys.stderr, flush=True)

        def forward(request: bytes) -> None:
            # If the view is busy, the drawing at the end still shows the spans.
            with suppress(BusyError, StoreError, FutureTimeoutError):
                view.intake.spans(from_protobuf(request)).result(_FORWARD_SECONDS)

        def wait() -> None:
            print(f"The view: {view.url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            StopSignal().wait()

        yield ViewBeside(forward, wait)

"""A view beside `run` and `demo`: it shows their sessions while the application runs, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from types import FrameType
from typing import Final
from urllib.parse import urlsplit

from ...settings import Settings

_WRITE_SECONDS: Final = 10.0
_PAUSE: Final = 0.25
_PROTOBUF: Final = {"Content-Type": "application/x-protobuf"}
_SCHEMES: Final = ("http", "https")


@dataclass(frozen=True, slots=True)
class ViewBeside:
    """A view that runs beside another command, or no view.

    Attributes:
        forward: Accepts an export request in protobuf; `None` if there is no view.
        wait: Keeps the view open until Ctrl-C or SIGTERM; returns at once if there is no view.
    """

    forward: Callable[[bytes], None] | None
    wait: Callable[[], None]


@contextmanager
def view_beside(wanted: bool, settings: Callable[[], Settings]) -> Iterator[ViewBeside]:
    """Yield a view on a free port that runs while the block does, if it is wanted.

    Args:
        wanted: Whether to run a view.
        settings: Returns the settings for the view; called only if it is wanted.
    """
    if not wanted:
        yield ViewBeside(None, lambda: None)
        return
    from ..replay.otlp import batch_of, decode_protobuf  # noqa: PLC0415  # loaded only with the extra `view`
    from ..replay.player import remove_sdk_variables  # noqa: PLC0415
    from ..view.database import BusyError, DatabaseError  # noqa: PLC0415
    from ..view.server import running_view  # noqa: PLC0415
    from ..view.sockets import ListenOptions  # noqa: PLC0415

    remove_sdk_variables()
    with running_view(None, settings(), ListenOptions(pages=0, grpc=None, http=None)) as view:
        print(f"The view: {view.url}", file=sys.stderr, flush=True)

        def forward(request: bytes) -> None:
            # If this fails, the spans are still in the drawing at the end.
            with suppress(BusyError, DatabaseError, FutureTimeoutError):
                view.intake.accept_spans(batch_of(decode_protobuf(request))).result(_WRITE_SECONDS)

        def wait() -> None:
            print(f"The view: {view.url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            StopSignal().wait()

        yield ViewBeside(forward, wait)


class NoViewError(Exception):
    """No view can be reached at an address; the message says why, for people."""


@contextmanager
def running_view_at(url: str) -> Iterator[ViewBeside]:
    """Yield a view that runs already, by its address of OTLP/HTTP.

    Args:
        url: Such as `http://127.0.0.1:4318`.

    Raises:
        NoViewError: Nothing accepts spans there.
    """
    traces = f"{url.rstrip('/')}/v1/traces"
    _post(traces, b"")  # an export request without spans, so that a wrong address is an error before anything runs

    def forward(request: bytes) -> None:
        # If this fails, the spans are still in the drawing at the end.
        with suppress(NoViewError):
            _post(traces, request)

    yield ViewBeside(forward, lambda: None)


def _post(url: str, request: bytes) -> None:
    # Without the proxies of the environment: a view is on this machine, or near it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        if urlsplit(url).scheme not in _SCHEMES:
            raise NoViewError(f"{url} is no address of a view: it does not begin with http://")
        post = urllib.request.Request(url, request, _PROTOBUF)  # noqa: S310  # the scheme is checked
        with opener.open(post, timeout=_WRITE_SECONDS):
            return
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise NoViewError(f"no view accepts spans at {url} ({reason}); start one: helicone-otel view") from error


class StopSignal:
    """Waits for Ctrl-C or SIGTERM. A second signal ends the process at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._handlers = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._event.set()

    def wait(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Return after the first signal.

        Args:
            meanwhile: Is called again and again until then, and once at the end.
        """
        # The wait has a timeout, because on Windows no signal interrupts a wait without one.
        while not self._event.wait(_PAUSE):
            meanwhile()
        meanwhile()

"""`view FILE --html OUT`: a session as a file."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import webbrowser
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from ...settings import Settings, SettingsError
from ..replay.spans import NotReadable
from ..terminal import visible
from ..view.database import Store, StoreError
from ..view.files import fill
from ..view.html_export import exported
from ..view.pages import templates
from ..view.server import View, viewing
from ..view.sockets import Places, UsageError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_SHOWN: Final = 10


def write_html(store: Store, out: Path, id_: str | None, name: str | None) -> None:
    """Write one session as one HTML file.

    Args:
        store: Holds it.
        out: Where to.
        id_: Which session; the only one there is, if not given.
        name: Which of several that have that id.

    Raises:
        UsageError: There is no such session, there are several, or the file cannot be written.
    """
    found = store.reader.execute("SELECT session_id, name FROM sessions ORDER BY last DESC").fetchall()
    fitting = [(row[0], row[1]) for row in found if id_ in (None, row[0]) and name in (None, row[1])]
    if not fitting:
        raise UsageError("there is no session in it" if not found else f"there is no such session; {_listed(found)}")
    if len(fitting) > 1:
        raise UsageError(f"which session? --session ID, and --name if several have it; {_listed(fitting)}")
    html = exported(store, templates(), *fitting[0])
    if html is None:
        raise UsageError("there is no such session")
    try:
        out.write_text(html, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{out}: {error.strerror or type(error).__name__}") from error


def _listed(sessions: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{visible(id_)!r} of {visible(name) or 'no name'!r}" for id_, name in sessions[:_SHOWN])
    return f"there are {shown}{', …' if len(sessions) > _SHOWN else ''}"


_PORTS: Final = (("--port", "the pages", 4316), ("--grpc-port", "OTLP/gRPC", 4317), ("--http-port", "OTLP/HTTP", 4318))
_MAX_PORT: Final = 65_535


def add_view(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the others."""
    view = commands.add_parser(
        "view",
        help="show sessions in a local view, fed by OTLP and by Helicone's log API",
        description="Receive spans by OTLP and rows by Helicone's log API, and show their sessions on pages of this "
        "machine, until Ctrl-C. With files, show what is in them and receive nothing.",
        epilog="Exit code: 0, or 2 if a port, a file or a setting cannot be used.",
    )
    view.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="OTLP JSON lines, as the Collector's file exporter writes them",
    )
    view.add_argument("--db", type=Path, metavar="FILE", help="keep everything in this file; else it goes at the end")
    view.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    view.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name by which others reach this machine",
    )
    for option, what, port in _PORTS:
        view.add_argument(
            option, type=_port, default=port, metavar="PORT", help=f"for {what}; 0: a free one (default: {port})"
        )
    view.add_argument("--free-ports", action="store_true", help="take free ports for all three")
    view.add_argument("--open", action="store_true", help="open the pages in the browser")
    view.add_argument(
        "--html", type=Path, metavar="OUT", help="write one session of the files as one HTML file, and end"
    )
    view.add_argument("--session", metavar="ID", help="which session --html writes, if there are several")
    view.add_argument("--name", help="which of them, if several have that id")


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_PORT):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {_MAX_PORT}, not {text!r:.40}")
    return int(text)


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


def view(given: Namespace) -> int:
    """Serve a view until somebody ends it, or write a session of files; return 0, or 2 if that cannot be.

    Args:
        given: As `view_options` describes it.
    """
    for name in NOT_FOR_US:
        os.environ.pop(name, None)
    try:
        settings = Settings.from_environment()
        return _write(given, settings) if given.html is not None else _serve(given, settings)
    except (SettingsError, StoreError, UsageError, NotReadable) as error:
        print(f"helicone-otel view: {error}", file=sys.stderr)
        return 2


def _write(given: Namespace, settings: Settings) -> int:
    if not given.files:
        raise UsageError("--html: of which FILE?")
    store = Store()
    try:
        _tell(fill(store, settings, given.files))
        write_html(store, given.html, given.session, given.name)
    finally:
        store.close()
    print(given.html)
    return 0


def _serve(given: Namespace, settings: Settings) -> int:
    free = given.free_ports
    receives = not given.files
    places = Places(
        host=given.host,
        pages=0 if free else given.port,
        grpc=(0 if free else given.grpc_port) if receives else None,
        http=(0 if free else given.http_port) if receives else None,
        names=tuple(given.allow_host),
    )
    # A signal may come at any time from now on.
    told = Told()
    with viewing(given.db, settings, places) as running:
        if given.files:
            _tell(fill(running.store, settings, given.files))
        print("\n".join(_lines(running, given.db)), flush=True)
        if given.open:
            webbrowser.open(running.url)
        told.wait()
    return 0


def _tell(skipped: int) -> None:
    if skipped:
        print(f"helicone-otel view: left out, being no spans of OTLP: {skipped}", file=sys.stderr)


def _lines(running: View, file: Path | None) -> list[str]:
    shown = f"The view: {running.url}"
    if running.http_url is None:
        return [f"{shown} (Ctrl-C ends it)"]
    kept = f"kept in {file.name}" if file is not None else "gone when it ends"
    return [
        shown,
        f"  OTLP/gRPC           {running.grpc_address}",
        f"  OTLP/HTTP           {running.http_url}",
        f"  Helicone's log API  {running.http_url}/custom/v1/log",
        "",
        "For an app:",
        f"  export OTEL_EXPORTER_OTLP_ENDPOINT={running.http_url}",
        "  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        f"  export HELICONE_LOG_ENDPOINT={running.http_url}",
        "",
        f"What arrives is {kept}. Ctrl-C ends it.",
    ]


_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Beside:
    """A view, or none.

    Attributes:
        forward: Takes an export request in protobuf; `None` where there is no view.
        wait: Shows what arrived until Ctrl-C; returns at once where there is no view.
    """

    forward: Callable[[bytes], None] | None
    wait: Callable[[], None]


@contextmanager
def beside(wanted: bool, settings: Callable[[], Settings]) -> Iterator[Beside]:
    """Yield a view that runs while the block does, on a free port, if one is wanted.

    Args:
        wanted: Whether one is.
        settings: With which it reads spans; asked for only then.
    """
    if not wanted:
        yield Beside(None, lambda: None)
        return
    for name in NOT_FOR_US:
        os.environ.pop(name, None)
    from ..replay.otlp import batch_of, decode_protobuf  # noqa: PLC0415  # an extra, loaded where it is asked for
    from ..view.database import BusyError, StoreError  # noqa: PLC0415
    from ..view.server import viewing  # noqa: PLC0415
    from ..view.sockets import Places  # noqa: PLC0415

    with viewing(None, settings(), Places(pages=0, grpc=None, http=None)) as view:
        print(f"The view: {view.url}", file=sys.stderr, flush=True)

        def forward(request: bytes) -> None:
            # The drawing at the end has it all the same.
            with suppress(BusyError, StoreError, FutureTimeoutError):
                view.intake.spans(batch_of(decode_protobuf(request))).result(_SECONDS)

        def wait() -> None:
            print(f"The view: {view.url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            until_told()

        yield Beside(forward, wait)

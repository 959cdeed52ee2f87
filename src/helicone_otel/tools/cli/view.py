"""`helicone-otel view`: a local view of sessions, or one session of files as an HTML file."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...settings import Settings, SettingsError
from ..replay.spans import NotReadable
from ..terminal import visible
from ..view.database import Store, StoreError
from ..view.files import fill
from ..view.sockets import Places, UsageError
from .beside import StopSignal, forget_variables_of_apps

if TYPE_CHECKING:
    from ..view.server import View

_PORTS: Final = (("--port", "the pages", 4316), ("--grpc-port", "OTLP/gRPC", 4317), ("--http-port", "OTLP/HTTP", 4318))
_MAX_PORT: Final = 65_535
_SHOWN: Final = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `helicone-otel view`."""
    parser.description = (
        "Receive spans by OTLP and rows by Helicone's log API, and show their sessions on pages of this "
        "machine, until Ctrl-C. With files, show what is in them and receive nothing."
    )
    parser.epilog = "Exit code: 0, or 2 if a port, a file or a setting cannot be used."
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        metavar="FILE",
        help="OTLP JSON lines, as the Collector's file exporter writes them",
    )
    parser.add_argument(
        "--db", type=Path, metavar="FILE", help="keep all data in this file; without it they are removed at the end"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name by which others reach this machine",
    )
    for option, what, port in _PORTS:
        parser.add_argument(
            option, type=_port, default=port, metavar="PORT", help=f"for {what}; 0: a free one (default: {port})"
        )
    parser.add_argument("--free-ports", action="store_true", help="take free ports for all three")
    parser.add_argument("--open", action="store_true", help="open the pages in the browser")
    parser.add_argument(
        "--html", type=Path, metavar="OUT", help="write one session of the files as one HTML file, and end"
    )
    parser.add_argument("--session", metavar="ID", help="the session that --html writes, if there are several")
    parser.add_argument("--name", help="its name, if several sessions have that id")
    parser.set_defaults(main=view)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_PORT):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {_MAX_PORT}, not {text!r:.40}")
    return int(text)


def view(given: Namespace) -> int:
    """Serve a view until Ctrl-C, or write a session of files; return 0, or 2 if a port, file or setting is not usable.

    Args:
        given: The parsed arguments.
    """
    forget_variables_of_apps()
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
    from ..view.server import viewing  # noqa: PLC0415  # it needs the extra

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
    stop = StopSignal()
    with viewing(given.db, settings, places) as running:
        if given.files:
            _tell(fill(running.store, settings, given.files))
        print("\n".join(_lines(running, given.db)), flush=True)
        if given.open:
            webbrowser.open(running.url)
        stop.wait()
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
    from ..view.html_export import exported  # noqa: PLC0415  # they need the extra
    from ..view.pages import templates  # noqa: PLC0415

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

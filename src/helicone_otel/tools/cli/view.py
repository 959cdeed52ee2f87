"""`helicone-otel view`: serve sessions on local pages, or write one session as an HTML file."""

from __future__ import annotations

import argparse
import sys
import webbrowser
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...settings import Settings, SettingsError
from ..replay.player import remove_sdk_variables
from ..replay.spans import NotReadable
from ..view.database import Database, DatabaseError
from ..view.intake import check_readable, load_files
from ..view.retention import Retention, days_of, size_of
from ..view.sockets import GRPC_PORT, HTTP_PORT, PAGES_PORT, ListenOptions, UsageError, host_of, port_of
from .beside import StopSignal

if TYPE_CHECKING:
    from ..view.server import View

_PORTS: Final = (
    ("--port", "the pages", PAGES_PORT),
    ("--grpc-port", "OTLP/gRPC", GRPC_PORT),
    ("--http-port", "OTLP/HTTP", HTTP_PORT),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `helicone-otel view`."""
    parser.description = (
        "Receive spans by OTLP and rows by Helicone's log API, and show their sessions on pages of this machine, until "
        "Ctrl-C. With files, show the sessions in them and receive nothing."
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
        "--db", type=Path, metavar="FILE", help="keep everything in this file; without it, nothing is kept at the end"
    )
    parser.add_argument(
        "--keep-days", type=days_of, metavar="DAYS", help="remove sessions that ended so many days ago from --db"
    )
    parser.add_argument(
        "--keep-size", type=size_of, metavar="SIZE", help="remove the oldest sessions beyond this size, such as 2GB"
    )
    parser.add_argument(
        "--compact", action="store_true", help="give the space of removed sessions in --db back to the disk, and end"
    )
    parser.add_argument(
        "--host", type=host_of, default="127.0.0.1", help="the address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-host",
        type=host_of,
        action="append",
        default=[],
        metavar="NAME",
        help="a host name by which others reach this machine",
    )
    for option, purpose, port in _PORTS:
        parser.add_argument(
            option,
            type=port_of,
            default=port,
            metavar="PORT",
            help=f"the port for {purpose}; 0 for a free one (default: {port})",
        )
    parser.add_argument("--free-ports", action="store_true", help="use free ports for all three")
    parser.add_argument("--open", action="store_true", help="open the pages in the browser")
    parser.add_argument(
        "--html", type=Path, metavar="OUT", help="write one session of the files as one HTML file, and end"
    )
    parser.add_argument("--session", metavar="ID", help="the session that --html writes, if there are several")
    parser.add_argument("--name", help="the session's name, if several sessions have that id")
    parser.set_defaults(main=view, check=_check)


def _check(parser: argparse.ArgumentParser, given: Namespace) -> None:
    if given.html is None and (given.session or given.name):
        parser.error("--session and --name choose the session that --html writes; --html OUT is missing")
    if given.db is None and (given.keep_days or given.keep_size or given.compact):
        parser.error("--keep-days, --keep-size and --compact are about a file of sessions; --db FILE is missing")


def view(arguments: Namespace) -> int:
    """Run the command: serve a view until Ctrl-C or SIGTERM, or write a session of files.

    Args:
        arguments: The parsed arguments.

    Returns:
        The exit code: 0, or 2 if a port, a file or a setting cannot be used.
    """
    remove_sdk_variables()
    try:
        settings = Settings.from_environment(log=False)
        if arguments.compact:
            return _compact(arguments.db)
        return _write(arguments, settings) if arguments.html is not None else _serve(arguments, settings)
    except (SettingsError, DatabaseError, UsageError, NotReadable) as error:
        print(f"helicone-otel view: {error}", file=sys.stderr)
        return 2


def _write(arguments: Namespace, settings: Settings) -> int:
    from ..view.html_export import write_html  # noqa: PLC0415  # needs the extra `view`
    from ..view.pages import templates  # noqa: PLC0415

    if not arguments.files:
        raise UsageError("--html needs a FILE with spans")
    database = Database()
    try:
        _warn_of_skipped(load_files(database, settings, arguments.files))
        write_html(database, templates(), arguments.html, arguments.session, arguments.name)
    finally:
        database.close()
    print(arguments.html)
    return 0


def _compact(file: Path) -> int:
    if not file.exists():
        raise UsageError(f"--compact: there is no file {file.name}")
    database = Database(file)
    try:
        before = database.size
        print(f"{file.name}: {_megabytes(database.compact().result())} MB, {_megabytes(before)} MB before")
    finally:
        database.close()
    return 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


def _serve(arguments: Namespace, settings: Settings) -> int:
    from ..view.server import running_view  # noqa: PLC0415  # needs the extra `view`

    check_readable(arguments.files)  # before a port that is in use can end it
    free = arguments.free_ports
    receives = not arguments.files
    options = ListenOptions(
        host=arguments.host,
        pages=0 if free else arguments.port,
        grpc=(0 if free else arguments.grpc_port) if receives else None,
        http=(0 if free else arguments.http_port) if receives else None,
        names=tuple(arguments.allow_host),
    )
    retention = Retention(arguments.keep_days, arguments.keep_size)
    # The signal can arrive at any time from now on, so it is caught before the view starts.
    stop = StopSignal()
    with running_view(arguments.db, settings, options, retention) as running:
        if arguments.files:
            _warn_of_skipped(load_files(running.database, settings, arguments.files))
        print("\n".join(_lines(running, arguments.db)), flush=True)
        if arguments.open and not webbrowser.open(running.url):
            print(f"helicone-otel view: no browser could be opened; open {running.url} in one", file=sys.stderr)
        stop.wait()
    return 0


def _warn_of_skipped(skipped: int) -> None:
    if skipped:
        print(f"helicone-otel view: skipped lines and spans that are not OTLP: {skipped}", file=sys.stderr)


def _lines(running: View, file: Path | None) -> list[str]:
    first = f"The view: {running.url}"
    if running.http_url is None:
        return [f"{first} (Ctrl-C ends it)"]
    where = f"Everything that arrives is kept in {file.name}" if file is not None else "Nothing is kept at the end"
    if file is not None:
        where = f"{where} ({_megabytes(running.database.size)} MB)"
    return [
        first,
        f"  OTLP/gRPC           {running.grpc_address}",
        f"  OTLP/HTTP           {running.http_url}",
        f"  Helicone's log API  {running.http_url}/custom/v1/log",
        "",
        "For an app:",
        f"  export OTEL_EXPORTER_OTLP_ENDPOINT={running.http_url}",
        "  export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        f"  export HELICONE_LOG_ENDPOINT={running.http_url}",
        "",
        f"{where}. Ctrl-C ends the view.",
    ]

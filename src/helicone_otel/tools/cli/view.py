"""`helicone-otel view`: serve sessions on local pages, or write one session as an HTML file."""

from __future__ import annotations

import sys
import webbrowser
from argparse import Namespace
from pathlib import Path

from ...settings import Settings, SettingsError
from ..replay.player import remove_sdk_variables
from ..replay.spans import NotReadable
from ..view.database import Database, DatabaseError
from ..view.files import load_files
from ..view.html_export import write_html
from ..view.pages import templates
from ..view.server import View, running_view
from ..view.sockets import ListenOptions, UsageError
from .alongside import StopSignal


def view(arguments: Namespace) -> int:
    """Run the command: serve a view until Ctrl-C or SIGTERM, or write a session of files.

    Args:
        arguments: The options of `view_options`.

    Returns:
        The exit code: 0, or 2 if a port, a file or a setting cannot be used.
    """
    remove_sdk_variables()
    try:
        settings = Settings.from_environment()
        return _write(arguments, settings) if arguments.html is not None else _serve(arguments, settings)
    except (SettingsError, DatabaseError, UsageError, NotReadable) as error:
        print(f"helicone-otel view: {error}", file=sys.stderr)
        return 2


def _write(arguments: Namespace, settings: Settings) -> int:
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


def _serve(arguments: Namespace, settings: Settings) -> int:
    free = arguments.free_ports
    receives = not arguments.files
    options = ListenOptions(
        host=arguments.host,
        pages=0 if free else arguments.port,
        grpc=(0 if free else arguments.grpc_port) if receives else None,
        http=(0 if free else arguments.http_port) if receives else None,
        names=tuple(arguments.allow_host),
    )
    # The signal can arrive at any time from now on, so it is caught before the view starts.
    stop = StopSignal()
    with running_view(arguments.db, settings, options) as running:
        if arguments.files:
            _warn_of_skipped(load_files(running.database, settings, arguments.files))
        print("\n".join(_lines(running, arguments.db)), flush=True)
        if arguments.open:
            webbrowser.open(running.url)
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

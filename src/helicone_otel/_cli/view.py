"""`helicone-otel view`: sessions on pages of this machine."""

from __future__ import annotations

import os
import sys
import webbrowser
from argparse import Namespace
from pathlib import Path

from helicone_otel._explain.recorded import NotReadable
from helicone_otel._settings import Settings, SettingsError
from helicone_otel._view.files import fill
from helicone_otel._view.listening import Places, UsageError
from helicone_otel._view.opening import StoreError
from helicone_otel._view.serve import View, viewing
from helicone_otel._view.store import Store
from helicone_otel._view.take_along import write_html

from .told import NOT_FOR_US, Told


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

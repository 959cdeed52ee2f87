"""The options of `helicone-otel view`. They are parsed without the packages that the view needs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_PORTS: Final = (("--port", "the pages", 4316), ("--grpc-port", "OTLP/gRPC", 4317), ("--http-port", "OTLP/HTTP", 4318))
_MAX_PORT: Final = 65_535


def add_view(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `view` and its options to a parser."""
    parser = commands.add_parser(
        "view",
        help="show sessions in a local view, fed by OTLP and by Helicone's log API",
        description="Receive spans by OTLP and rows by Helicone's log API, and show their sessions on pages of this "
        "machine, until Ctrl-C. With files, show the sessions in them and receive nothing.",
        epilog="Exit code: 0, or 2 if a port, a file or a setting cannot be used.",
    )
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
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name by which others reach this machine",
    )
    for option, purpose, port in _PORTS:
        parser.add_argument(
            option,
            type=_port,
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


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _MAX_PORT):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {_MAX_PORT}, not {text!r:.40}")
    return int(text)

"""`helicone-otel fake`: a stand-in for Helicone on this machine, so that anyone can try an app without an account."""

from __future__ import annotations

import errno
import json
import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from ...wire import percent_decoded
from ..fakes.headers import new_key
from ..fakes.loopback import serving
from ..fakes.provider import TEXT, ScriptedProvider
from ..fakes.rows import Row
from ..fakes.server import FakeHelicone
from ..terminal import counted, visible
from ..view.sockets import port_of
from .beside import StopSignal

_SECOND: Final = 1000
# As at Helicone, which answers such requests all the same.
_WITHOUT_ROW: Final = "{requests} answered, but not logged: a row needs Helicone-Auth: Bearer <HELICONE_API_KEY>"
# So much of an id tells sessions of one name apart.
_ID_LENGTH: Final = 8


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `helicone-otel fake`."""
    parser.description = (
        "Be Helicone on this machine, until Ctrl-C: a gateway with models that always give the same answer, the log "
        "API and the read API, all on one port of loopback. It prints the variables for an app, and each row as it "
        "arrives. Nothing is kept at the end."
    )
    parser.epilog = "Exit code: 0, or 2 if the port cannot be used."
    parser.add_argument(
        "--port", type=port_of, default=0, metavar="PORT", help="the port to listen on (default: a free one)"
    )
    parser.add_argument(
        "--answer", default=TEXT, metavar="TEXT", help="the text of each answer of a model (default: %(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the address and the variables, and then each row, as lines of JSON"
    )
    parser.set_defaults(main=fake)


def fake(given: Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        given: The parsed arguments.

    Returns:
        The exit code: 0, or 2 if the port cannot be used.
    """
    try:
        helicone = FakeHelicone(ScriptedProvider(given.answer), key=new_key(), needs_key=True, port=given.port)
    except OSError as error:
        print(f"helicone-otel fake: {_why(given.port, error)}", file=sys.stderr)
        return 2
    # The signal can arrive at any time from now on, so it is caught before anything is printed.
    stop = StopSignal()
    rows = _RowPrinter(helicone, as_json=given.json)
    with serving(helicone):
        variables = variables_for(helicone)
        if given.json:
            print(json.dumps({"url": helicone.url, "environment": variables}), flush=True)
        else:
            print(_greeting(helicone, variables), flush=True)
        stop.wait(rows.print_new)
    if not given.json:
        print(rows.summary())
    return 0


def variables_for(helicone: FakeHelicone) -> dict[str, str]:
    """Return the environment variables with which an app uses a fake Helicone instead of the real one."""
    auth = f"Helicone-Auth: Bearer {helicone.key}"
    return {
        "HELICONE_GATEWAY_HOSTS": helicone.url.removeprefix("http://"),
        "HELICONE_API_KEY": helicone.key,
        "HELICONE_LOG": "true",
        "HELICONE_LOG_ENDPOINT": helicone.url,
        # The models take any key. The real ones must not get into the fake's rows by accident.
        "OPENAI_BASE_URL": f"{helicone.url}/v1",
        "OPENAI_API_KEY": "fake",
        "OPENAI_CUSTOM_HEADERS": auth,
        "ANTHROPIC_BASE_URL": helicone.url,
        "ANTHROPIC_API_KEY": "fake",
        "ANTHROPIC_CUSTOM_HEADERS": auth,
    }


def _why(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken: stop what listens there, or leave --port out for a free one"
    return f"cannot listen on port {port}: {error.strerror or error}. Leave --port out for a free one"


def _greeting(helicone: FakeHelicone, variables: Mapping[str, str]) -> str:
    return "\n".join(
        [
            f"A stand-in for Helicone: {helicone.url}",
            f"  gateway   {helicone.url}/v1 (OpenAI), {helicone.url} (Anthropic)",
            f"  log API   {helicone.url}/custom/v1/log",
            f"  read API  {helicone.url}/v1/session/query",
            "",
            "For an app:",
            *(f"  export {name}={shlex.quote(value)}" for name, value in variables.items()),
            "",
            "Then, for instance: helicone-otel run python app.py",
            "Each row is printed here. Ctrl-C ends it.",
        ]
    )


class _RowPrinter:
    """Prints the rows of a fake Helicone, each once."""

    def __init__(self, helicone: FakeHelicone, *, as_json: bool) -> None:
        self._helicone = helicone
        self._as_json = as_json
        self._printed: set[str] = set()
        self._sessions: set[tuple[str, str]] = set()
        self._without_row = 0

    def print_new(self) -> None:
        """Print the rows that have arrived since the last call."""
        for row in self._helicone.rows:
            if row.id in self._printed:
                continue
            self._printed.add(row.id)
            if row.session_id is not None:
                self._sessions.add((row.session_id, row.session_name))
            print(json.dumps({"row": _data(row)}) if self._as_json else _line(row), flush=True)
        if (without := self._helicone.without_row) > self._without_row:
            self._without_row = without
            print(_WITHOUT_ROW.format(requests=counted(without, "request")), file=sys.stderr, flush=True)

    def summary(self) -> str:
        """Return how many rows were printed."""
        return f"{counted(len(self._printed), 'row')} in {counted(len(self._sessions), 'session')}."


def _data(row: Row) -> dict[str, object]:
    return {
        "id": row.id,
        "door": row.door,
        "badge": row.badge,
        "provider": row.provider,
        "model": row.model,
        "status": row.status,
        "started": row.started,
        "ended": row.ended,
        "session_id": row.session_id,
        "session_name": row.session_name,
        "session_path": row.session_path,
        "user_id": row.user_id,
        "properties": dict(row.properties),
        "flaws": list(row.flaws),
    }


def _line(row: Row) -> str:
    time = datetime.fromtimestamp(row.started / _SECOND).astimezone().strftime("%H:%M:%S")
    parts = (time, str(row.status), f"{row.badge:8}", f"{row.model or '(no model)':24}", *_place(row))
    return "  ".join(map(visible, parts))


def _place(row: Row) -> tuple[str, ...]:
    """Return the beginning of the session's id, its name and the path, as a person reads them."""
    if not row.session_id:
        return ("no session",)
    id_, name, path = map(percent_decoded, (row.session_id, row.session_name, row.session_path))
    return f"{id_[:_ID_LENGTH]:{_ID_LENGTH}}", name or "(no session name)", path

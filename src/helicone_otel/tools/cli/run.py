"""`helicone-otel run`: an application under OpenTelemetry, and at its end its sessions."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Final

from ...destinations import Destinations
from ...install.entry_points import ENDPOINT, LOG
from ...settings import Settings, SettingsError
from ..fakes.headers import new_key
from ..fakes.loopback import serving
from ..fakes.server import FakeHelicone
from .advice import Facts, advise
from .beside import view_beside
from .draw import draw, terminal
from .receiver import Inbox, ReceivedSpan, receiving
from .tree import Session, as_data, grow, logged

# What the `opentelemetry-instrument` script does, in the interpreter that we are installed for.
# `-P`: a file of the application's that is named like a module of ours must not be imported here.
_INSTRUMENT: Final = (
    sys.executable,
    "-P",
    "-c",
    "from opentelemetry.instrumentation.auto_instrumentation import run; run()",
)
_FORWARDED: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")


def launch(command: Sequence[str], environ: Mapping[str, str], stdout: IO[str] | int | None = None) -> int:
    """Run a command to its end and return its exit code, as a shell reports it.

    Args:
        command: The program and its arguments.
        environ: All of its environment.
        stdout: Where its standard output goes; by default where ours goes.
    """
    instrumented = [*_INSTRUMENT, *command]
    # To run what the user types is what this is for.
    process = subprocess.Popen(instrumented, env=environ, stdout=stdout)  # noqa: S603
    with process, _signals_forwarded(process):
        code = process.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _signals_forwarded(process: subprocess.Popen[bytes]) -> Iterator[None]:
    def forward(number: int, _frame: FrameType | None) -> None:
        # Ctrl-C in a terminal reaches the whole foreground group; a second one would cut its shutdown short.
        if number != signal.SIGINT or not _in_foreground():
            process.send_signal(number)

    known = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    # What we were told to ignore (`nohup`), the application ignores as well.
    before = {
        number: handler for number in known if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)
    }
    for number in before:
        signal.signal(number, forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


_CAPTURE: Final = "HELICONE_CAPTURE_HEADERS"
_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")


def child_environment(environ: Mapping[str, str], endpoint: str, log: str = "") -> dict[str, str]:
    """Return the environment for the application.

    Its spans reach us by an exporter of our own beside whatever it exports to already
    (`attach.py`). To forward what it sends instead would mean to speak its protocol (gRPC, files,
    vendors' exporters), with its certificates and retries, and could not cover what a
    configuration file or the code sets up. So no `OTEL_*` variable of the user's is touched. The same
    holds for rows, and for the variables of the log.

    Args:
        environ: The user's.
        endpoint: Where spans are received.
        log: Where rows are, and the key; nothing if they are not wanted.
    """
    child = dict(environ)
    child[ENDPOINT] = endpoint
    if log:
        child[LOG] = log
    child[_CAPTURE] = "true"
    # `python` means the interpreter that we and the instrumentations are installed for, activated or not.
    child["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    for kind in _SIGNALS:
        if not _has_destination(environ, kind):
            # The distro's default is gRPC to localhost:4317, where nobody listens: it would log errors.
            child[f"OTEL_{kind}_EXPORTER"] = "none"
    return child


def _has_destination(environ: Mapping[str, str], signal: str) -> bool:
    names = (f"OTEL_{signal}_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return any(environ.get(name) for name in names)


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run.

    Attributes:
        spans: All of them, as the receiver holds them.
        notes: What explains gaps, for people.
    """

    exit_code: int
    spans: list[ReceivedSpan]
    sessions: list[Session]
    notes: list[str]


def observe(
    command: Sequence[str],
    environ: Mapping[str, str],
    stdout: IO[str] | int | None = None,
    helicone: FakeHelicone | None = None,
    forward: Callable[[bytes], None] | None = None,
) -> Run:
    """Run a command to its end under OpenTelemetry, and return what it did.

    Args:
        command: The program and its arguments.
        environ: Its environment.
        stdout: Where its standard output goes; by default where ours goes.
        helicone: Where its environment has it log already; one of our own, beside wherever it logs, if not given.
        forward: Gets each export request of the application as well, in protobuf.

    Raises:
        SettingsError: A `HELICONE_*` variable has a value that cannot be used.
    """
    settings = Settings.from_environment(environ)
    destinations = Destinations(settings.gateway_hosts, settings.propagate_hosts)
    inbox = Inbox(forward=forward)
    with ExitStack() as servers:
        endpoint = servers.enter_context(receiving(inbox))
        if helicone is None:
            helicone, log = _own_helicone(servers)
        else:
            log = ""
        exit_code = launch(command, child_environment(environ, endpoint, log), stdout)
    spans = inbox.spans
    sessions = grow(spans, destinations, logged(helicone.rows))
    facts = Facts(environ, destinations, inbox.greetings, inbox.dropped, spans, sessions)
    return Run(exit_code, spans, sessions, advise(facts))


def _own_helicone(servers: ExitStack) -> tuple[FakeHelicone, str]:
    """Return a Helicone for one run, and what tells the app of it."""
    key = new_key()
    helicone = servers.enter_context(serving(FakeHelicone(key=key)))
    return helicone, f"{helicone.url} {key}"


def run(command: Sequence[str], *, as_json: bool, in_view: bool = False) -> int:
    """Run a command and show its sessions; return its exit code.

    The application's standard output is its own: the drawing goes to standard error, as that of
    `time` does. With `as_json` the data are the output, and the application's goes to standard error.

    Args:
        command: The program and its arguments.
        as_json: Print the sessions as JSON.
        in_view: Show them in a view as well, while the application runs and afterwards.
    """
    environ = dict(os.environ)
    if shutil.which(command[0], path=child_environment(environ, "")["PATH"]) is None:
        print(f"helicone-otel run: command not found: {command[0]}", file=sys.stderr)
        return 127
    try:
        with view_beside(in_view, Settings.from_environment) as view:
            done = observe(command, environ, sys.stderr if as_json else None, forward=view.forward)
            if as_json:
                data = {"exit_code": done.exit_code, "sessions": as_data(done.sessions), "notes": done.notes}
                print(json.dumps(data), flush=True)
            else:
                draw(terminal(sys.stderr), done.sessions, done.notes)
            view.wait()
    except SettingsError as error:
        print(f"helicone-otel run: {error}", file=sys.stderr)
        return 2
    return done.exit_code

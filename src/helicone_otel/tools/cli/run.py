"""`helicone-otel run`: run an application under OpenTelemetry, and show its sessions at the end."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, Final
from uuid import uuid4

from ...destinations import Destinations
from ...install.entry_points import ENDPOINT, LOG
from ...settings import Settings, SettingsError
from ...wire import is_blank
from ..fakes.headers import new_key
from ..fakes.loopback import serving
from ..fakes.server import FakeHelicone
from .advice import RunFacts, advise
from .beside import view_beside
from .receiver import Inbox, ReceivedSpan, receiving
from .tree import SessionTree, as_data, build_sessions, logged_rows_by_id

# The `opentelemetry-instrument` script, in the interpreter in which we are installed.
# `-P`: a file of the application that has the name of one of our modules must not be imported here.
_INSTRUMENT: Final = (
    sys.executable,
    "-P",
    "-c",
    "from opentelemetry.instrumentation.auto_instrumentation import run; run()",
)
_FORWARDED: Final = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2")
# The keys Ctrl-C and Ctrl-\ send them to all processes in the foreground.
_OF_THE_TERMINAL: Final = frozenset({"SIGINT", "SIGQUIT"})
# What a shell adds to the number of a signal that ended a program.
_SIGNAL_CODES: Final = 128
_CAPTURE: Final = "HELICONE_CAPTURE_HEADERS"
_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `helicone-otel run`."""
    parser.description = (
        "Run a Python application under opentelemetry-instrument with helicone-otel on, configured by the "
        "OTEL_* and HELICONE_* variables of the environment. Its input, output and exit code pass through, and its "
        "spans go where they went anyway. At the end its sessions are drawn on standard error."
    )
    parser.usage = "helicone-otel run [options] [--] command ..."
    parser.add_argument(
        "--json", action="store_true", help="print the sessions as JSON; the application's output goes to stderr"
    )
    parser.add_argument(
        "--session", metavar="NAME", help="make the process one session of this name, unless it opens sessions itself"
    )
    parser.add_argument("--view", action="store_true", help="show the sessions in a local view, until Ctrl-C")
    # All that follows the first word belongs to the application, whatever it looks like.
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="command", help="for instance: python app.py")
    parser.set_defaults(main=run, check=_check)


def _check(parser: ArgumentParser, given: Namespace) -> None:
    """Take the `--` before the command away, and end with an error if there is no command."""
    if given.program[:1] == ["--"]:
        del given.program[0]
    if given.session is not None and is_blank(given.session):
        parser.error("--session needs a name that is not blank")
    if not given.program or is_blank(given.program[0]):
        parser.error("what should be run? For instance: helicone-otel run python app.py")


def run(given: Namespace) -> int:
    """Run a command and show its sessions; return its exit code.

    The application keeps its standard output. The drawing goes to standard error, as that of `time` does. With
    `--json`, the data are the output, and the application's output goes to standard error.

    Args:
        given: The parsed arguments. `program` is the command, with what followed `--`.
    """
    from .draw import draw, terminal  # noqa: PLC0415  # it needs the extra

    command, environ = given.program, {**os.environ, **_session_variables(given.session)}
    if shutil.which(command[0], path=child_environment(environ, "")["PATH"]) is None:
        code, reason = _not_found(command[0])
        print(f"helicone-otel run: {reason}", file=sys.stderr)
        return code
    try:
        Settings.from_environment(environ, log=False)  # before it says that anything runs
        with view_beside(given.view, partial(Settings.from_environment, log=False)) as view:
            if not given.json and not sys.stderr.isatty():
                # Whoever reads this later sees why the sessions are there.
                with suppress(BrokenPipeError):
                    print(f"helicone-otel run: running {command[0]}; its sessions follow when it ends", file=sys.stderr)
            done = observe(command, environ, sys.stderr if given.json else None, forward=view.forward)
            if given.json:
                data = {"exit_code": done.exit_code, "sessions": as_data(done.sessions), "notes": done.notes}
                print(json.dumps(data), flush=True)
            else:
                # Nobody may read the drawing. The exit code is still that of the application.
                with suppress(BrokenPipeError, SystemExit):
                    draw(terminal(sys.stderr), done.sessions, done.notes)
            view.wait()
    except SettingsError as error:
        print(f"helicone-otel run: {error}", file=sys.stderr)
        return 2
    return done.exit_code


def _session_variables(name: str | None) -> dict[str, str]:
    """Return the variables that make a process one session of a name; none without a name."""
    if name is None:
        return {}
    return {"HELICONE_SESSION_NAME": name, "HELICONE_SESSION_ID": os.environ.get("HELICONE_SESSION_ID") or str(uuid4())}


def _not_found(program: str) -> tuple[int, str]:
    """Return the exit code of a shell for what cannot be run, and why it cannot."""
    if Path(program).suffix == ".py":
        return 127, f"{program} is no command. Try: helicone-otel run python {program}"
    if os.sep in program and Path(program).exists():
        return 126, f"{program} is {'a folder' if Path(program).is_dir() else 'not executable'}"
    return 127, f"command not found: {program}"


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a run.

    Attributes:
        exit_code: That of the application, as a shell reports it.
        spans: All spans that the receiver kept.
        notes: Sentences that explain what is missing.
        signal: The first signal that was passed on to the application, or the one that ended it; 0 if there was none.
    """

    exit_code: int
    spans: list[ReceivedSpan]
    sessions: list[SessionTree]
    notes: list[str]
    signal: int = 0


def observe(
    command: Sequence[str],
    environ: Mapping[str, str],
    stdout: IO[str] | int | None = None,
    helicone: FakeHelicone | None = None,
    forward: Callable[[bytes], None] | None = None,
    *,
    own_group: bool = False,
) -> Run:
    """Run a command to its end under OpenTelemetry, and return its sessions.

    Args:
        command: The program and its arguments.
        environ: Its environment.
        stdout: Where its standard output goes; by default where ours goes.
        helicone: The fake Helicone to which its environment makes it log. By default a new one gets its rows, beside
            where it logs anyway.
        forward: Gets each export request of the application as well, in protobuf.
        own_group: See `launch`.

    Raises:
        SettingsError: A `HELICONE_*` variable has a value that cannot be used.
    """
    settings = Settings.from_environment(environ, log=False)
    destinations = Destinations(settings.gateway_hosts, settings.propagate_hosts)
    inbox = Inbox(forward=forward)
    with ExitStack() as servers:
        endpoint = servers.enter_context(receiving(inbox))
        if helicone is None:
            helicone, log = _own_helicone(servers)
        else:
            log = ""
        exit_code, number = launch(command, child_environment(environ, endpoint, log), stdout, own_group=own_group)
    spans = inbox.spans
    logs = inbox.logs or "helicone" in environ.get("OTEL_TRACES_EXPORTER", "").split(",")
    sessions = build_sessions(spans, destinations, logged_rows_by_id(helicone.rows, logged=logs))
    facts = RunFacts(environ, destinations, inbox.greetings, inbox.dropped, spans, sessions, bool(number))
    return Run(exit_code, spans, sessions, advise(facts), number)


def _own_helicone(servers: ExitStack) -> tuple[FakeHelicone, str]:
    """Return a new fake Helicone, and the value of the variable with its address and key."""
    key = new_key()
    helicone = servers.enter_context(serving(FakeHelicone(key=key)))
    return helicone, f"{helicone.url} {key}"


def child_environment(environ: Mapping[str, str], endpoint: str, log: str = "") -> dict[str, str]:
    """Return the environment for the application.

    Its spans reach us by an exporter of our own, beside the exporters that it has (`install/run_attach.py`). We do not
    relay what its own exporters send: we would have to speak their protocols (gRPC, files, those of vendors) with
    their certificates and retries, and exporters of a configuration file or of the code would still be missed. So no
    `OTEL_*` variable that the user has set is changed. The same is true for rows, and for the variables of the log.

    Args:
        environ: The environment of the user.
        endpoint: The address that receives the spans.
        log: The address that receives the rows, a blank, and the key; empty for no rows.
    """
    child = dict(environ)
    child[ENDPOINT] = endpoint
    if log:
        child[LOG] = log
    child[_CAPTURE] = "true"
    # `python` must be the interpreter in which we and the instrumentations are installed, activated or not.
    child["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    for kind in _SIGNALS:
        if not _has_destination(environ, kind):
            # The distro's default is gRPC to localhost:4317. Without a receiver there it would log errors.
            child[f"OTEL_{kind}_EXPORTER"] = "none"
    return child


def _has_destination(environ: Mapping[str, str], signal: str) -> bool:
    names = (f"OTEL_{signal}_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return any(environ.get(name) for name in names)


def launch(
    command: Sequence[str], environ: Mapping[str, str], stdout: IO[str] | int | None = None, *, own_group: bool = False
) -> tuple[int, int]:
    """Run a command to its end and return its exit code, as a shell reports it, and the signal that reached it or 0.

    Args:
        command: The program and its arguments.
        environ: All of its environment.
        stdout: Where its standard output goes; by default where ours goes.
        own_group: Run it in a process group of its own, and send it SIGTERM on Ctrl-C: then Python prints no traceback.
    """
    instrumented = [*_INSTRUMENT, *command]
    # The command is the one that the user typed.
    process = subprocess.Popen(instrumented, env=environ, stdout=stdout, start_new_session=own_group)  # noqa: S603
    with process, _signals_forwarded(process, own_group=own_group) as heard:
        code = process.wait()
    code = code if code >= 0 else _SIGNAL_CODES - code
    ended_by = code - _SIGNAL_CODES
    return code, heard[0] if heard else ended_by if ended_by in signal.valid_signals() else 0


@contextmanager
def _signals_forwarded(process: subprocess.Popen[bytes], *, own_group: bool) -> Iterator[list[int]]:
    """Pass signals on to a process; the list that is yielded gets their numbers."""
    heard: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        if own_group and number == signal.SIGINT:
            process.terminate()
        # Ctrl-C in a terminal reaches the whole foreground group. A second SIGINT would interrupt the shutdown.
        elif signal.Signals(number).name not in _OF_THE_TERMINAL or own_group or not _in_foreground():
            process.send_signal(number)

    known = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    # The application ignores the signals that we ignore (`nohup`) as well.
    before = {
        number: handler for number in known if (handler := signal.getsignal(number)) not in (None, signal.SIG_IGN)
    }
    for number in before:
        signal.signal(number, forward)
    try:
        yield heard
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

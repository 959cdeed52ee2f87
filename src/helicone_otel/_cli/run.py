"""`helicone-otel run`: an application under OpenTelemetry, and at its end its sessions."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from helicone_otel._destinations import Destinations
from helicone_otel._settings import Settings, SettingsError
from helicone_otel._testing.fake.keys import new_key
from helicone_otel._testing.fake.server import FakeHelicone

from .advice import Facts, advise
from .beside import beside
from .draw import draw, terminal
from .environment import child_environment
from .grow import grow
from .launch import launch
from .loopback import serving
from .receiver import Inbox, receiving
from .rows import logged
from .spans import Span
from .tree import Session, as_data


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a run.

    Attributes:
        spans: All of them, as the receiver holds them.
        notes: What explains gaps, for people.
    """

    exit_code: int
    spans: list[Span]
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
        with beside(in_view, Settings.from_environment) as view:
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

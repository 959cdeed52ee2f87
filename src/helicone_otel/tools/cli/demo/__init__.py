"""`helicone-otel demo`: run a real agent, and compare its sessions with what the servers around it saw."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ....log.rest import Api
from ....settings import Settings
from ...fakes.loopback import serving
from ...fakes.server import FakeHelicone
from ...terminal import visible
from ..beside import NoViewError, ViewBeside, running_view_at, view_beside
from ..run import Run, observe
from ..tree import SessionTree, as_data
from .check import World, disagreements
from .world import WITNESS_PATH, Town, demo_helicone

if TYPE_CHECKING:
    from rich.console import Console

_HERE: Final = Path(__file__).parent
# The demo must be the same everywhere, and must not reach other hosts. So variables that would configure it, or lead
# it to a proxy, are removed.
_REMOVED: Final = ("OTEL_", "HELICONE_", "OPENAI_", "ANTHROPIC_", "TRACELOOP_")
_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_STARTING: Final = "Starting the agent; its libraries take a few seconds"
_INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED: Final = 130
_INSTRUMENTED: Final = frozenset({"helicone", "httpx", "httpx2", "openai", "qdrant_client"})


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of `helicone-otel demo`."""
    parser.description = (
        "Run a small agent that knows nothing of helicone-otel against a stand-in for Helicone's gateway "
        "on loopback, draw its sessions, and check them against what the gateway, the vector store and the tool saw."
    )
    parser.add_argument("--json", action="store_true", help="print the sessions as JSON")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--view", action="store_true", help="show the sessions in a local view, until Ctrl-C")
    shown.add_argument("--to", metavar="URL", help="show them in a view that runs already, by its address of OTLP/HTTP")
    parser.epilog = "Exit code: 0; 1 if the sessions are not what happened; 2 if no view is at URL; 130 after Ctrl-C."
    parser.set_defaults(main=demo)


def demo(given: Namespace) -> int:
    """Run the agent, show its sessions, and return the exit code."""
    try:
        with running_view_at(given.to) if given.to is not None else view_beside(given.view, Settings) as view:
            code = _demo(view, as_json=given.json)
            if code != _INTERRUPTED:
                view.wait()
    except NoViewError as error:
        print(f"helicone-otel demo: {error}", file=sys.stderr)
        return 2
    return code


def _demo(view: ViewBeside, *, as_json: bool) -> int:
    from ..draw import draw, terminal  # noqa: PLC0415  # it needs the extra

    screen = terminal(sys.stderr if as_json else sys.stdout)
    run, world = _observed(screen, view)
    if run.signal in _INTERRUPTS:  # what an unfinished run lacks says nothing
        print("helicone-otel demo: interrupted", file=sys.stderr)
        return _INTERRUPTED
    expected = json.loads((_HERE / "expected.json").read_text(encoding="utf-8"))
    # The notes of a run explain what is missing. Here nothing may be missing.
    problems = [*disagreements(expected, run.sessions, world), *run.notes]
    if run.exit_code:
        problems.insert(0, f"the agent failed with exit code {run.exit_code}")
    if as_json:
        print(json.dumps({"sessions": as_data(run.sessions), "disagreements": problems}), flush=True)
    else:
        draw(screen, run.sessions, notes=())
        _conclude(screen, run, world, problems)
    return 1 if problems else 0


def _observed(screen: Console, view: ViewBeside) -> tuple[Run, World]:
    """Run the agent among its servers, with a line on the screen that shows what it is doing."""
    from rich.text import Text  # noqa: PLC0415  # it needs the extra

    helicone, town = demo_helicone(), Town()
    command = [sys.executable, str(_HERE / "witness.py"), str(_HERE / "agent.py")]
    status = screen.status(_STARTING)
    if not screen.is_terminal:  # where no status is shown
        screen.print(_STARTING)

    def show(line: str) -> None:
        screen.print(Text(visible(line), style="dim"))
        status.update(Text(visible(line)))

    with serving(helicone), serving(town), status, _reading(show) as output:
        environ = _environment(os.environ, helicone, town)
        run = observe(command, environ, output, helicone, view.forward, own_group=True)
        listed = _read_back(helicone, run.sessions)
    return run, World(helicone.rows, town.asked, town.leaked, listed)


def _read_back(helicone: FakeHelicone, sessions: Sequence[SessionTree]) -> dict[tuple[str, str], int]:
    api = Api(Settings(api_key=helicone.key, log_endpoint=helicone.url))
    listed = [entry for session in sessions for entry in api.sessions(session.id)]
    return {(entry["session_id"], entry["session_name"]): entry["total_requests"] for entry in listed}


def _conclude(screen: Console, run: Run, world: World, problems: list[str]) -> None:
    from rich.text import Text  # noqa: PLC0415  # it needs the extra

    screen.print()
    for problem in problems:
        screen.print(Text(f"Disagreement: {visible(problem)}", style="bold red"))
    if not problems:
        requests = sum(len(session.requests) for session in run.sessions)
        gateway, log = (len(world.at(door)) for door in ("gateway", "log"))
        screen.print(
            f"All agree: the expected tree, its {requests} requests, the headers of the {gateway} HTTP requests that "
            f"the gateway saw, the {log} rows that were logged, and what the vector store and the tool counted."
        )


def _environment(environ: Mapping[str, str], helicone: FakeHelicone, town: Town) -> dict[str, str]:
    """Return the agent's environment: all that gives it Helicone Sessions."""
    kept = {name: value for name, value in environ.items() if not _is_removed(name)}
    others = {point.name for point in entry_points(group="opentelemetry_instrumentor")} - _INSTRUMENTED
    return {
        **kept,
        "OPENAI_BASE_URL": f"{helicone.url}/v1",
        "OPENAI_API_KEY": helicone.key,
        "ANTHROPIC_BASE_URL": helicone.url,
        "ANTHROPIC_API_KEY": helicone.key,
        "HELICONE_GATEWAY_HOSTS": f"127.0.0.1:{helicone.server_port}",
        "HELICONE_SESSION_NAME": "Trip Planner",
        "HELICONE_LOG": "true",
        "HELICONE_API_KEY": helicone.key,
        "HELICONE_LOG_ENDPOINT": helicone.url,
        # The messages stay on this machine, and a view shows them.
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
        "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE": "content",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ",".join(sorted(others)),
        "TOWN_URL": town.url,
        "WITNESS_URL": f"{town.url}{WITNESS_PATH}",
    }


def _is_removed(name: str) -> bool:
    return name.startswith(_REMOVED) or name.lower() in _PROXIES


@contextmanager
def _reading(pass_on: Callable[[str], None]) -> Iterator[int]:
    """Yield a file descriptor to write to, and pass on each line that is not empty."""
    reading, writing = os.pipe()

    def read() -> None:
        with os.fdopen(reading, encoding="utf-8", errors="backslashreplace") as lines:
            for line in lines:
                # Nobody may read our output any more (rich then ends the process). The agent goes on writing.
                with suppress(BrokenPipeError, SystemExit):
                    if text := line.strip():
                        pass_on(text)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield writing
    finally:
        os.close(writing)
        thread.join()

"""`helicone-otel demo`: run a real agent, and compare its sessions with what the servers around it saw."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypedDict, TypeVar

from .... import wire
from ....log.rest import Api
from ....settings import Settings
from ...fakes.loopback import serving
from ...fakes.rows import Row
from ...fakes.server import FakeHelicone
from ...terminal import visible
from ..beside import NoViewError, ViewBeside, running_view_at, view_beside
from ..run import Run, observe
from ..tree import GatewayCall, SessionTree, Step, as_data
from .world import WITNESS_PATH, Town, demo_helicone

if TYPE_CHECKING:
    from rich.console import Console

# By path: the kind of the step, its requests by kind, and the answers of the gateway in order.
Steps: TypeAlias = Mapping[str, Mapping[str, object]]

_Key = TypeVar("_Key", bound=Hashable)

_HERE: Final = Path(__file__).parent
# The demo must be the same everywhere, and must not reach other hosts. So variables that would configure it, or lead
# it to a proxy, are removed.
_REMOVED: Final = ("OTEL_", "HELICONE_", "OPENAI_", "ANTHROPIC_", "TRACELOOP_")
_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_STARTING: Final = "Starting the agent; its libraries take a few seconds"
_INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED: Final = 130
_INSTRUMENTED: Final = frozenset({"helicone", "httpx", "httpx2", "openai", "qdrant_client"})
_TURNED_AWAY: Final = 429
_SESSION_HEADERS: Final = (wire.SESSION_ID_HEADER, wire.SESSION_NAME_HEADER, wire.SESSION_PATH_HEADER)
# The path in the town that is requested once for each request of a step.
_TOWN_PATHS: Final = {
    "upsert": "/witness/upsert",
    "query_points": "/witness/query_points",
    "search_trains": "/departures",
}


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


# --- what does not agree -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """What the servers around the agent saw.

    Attributes:
        rows: The rows of Helicone: of each request that reached the gateway, and of each that was logged.
        asked: The number of requests to the town, by path.
        leaked: The Helicone headers that arrived at the town, which is not a gateway.
        listed: The number of rows of each session, by id and name, in the answer of Helicone's read API.
    """

    rows: Sequence[Row]
    asked: Mapping[str, int]
    leaked: Iterable[str]
    listed: Mapping[tuple[str, str], int]

    def at(self, door: str) -> list[Row]:
        """Return the rows that came by one of Helicone's APIs: `gateway` or `log`."""
        return [row for row in self.rows if row.door == door]


class Expected(TypedDict):
    """A session of `expected.json`."""

    name: str
    steps: Steps


def disagreements(expected: Sequence[Expected], sessions: Sequence[SessionTree], world: World) -> list[str]:
    """Return a sentence for each thing that does not agree."""
    return [
        *_tree(expected, sessions),
        *_gateway(sessions, world.at("gateway")),
        *_log(sessions, world.at("log")),
        *_listed(sessions, world.listed),
        *(f"the row {row.id} was sent {row.sends} times" for row in world.rows if row.sends > 1),
        *_witnesses(sessions, world.asked),
        *_attributes(sessions),
        *(f"{name} left for a host that is not a gateway" for name in sorted(world.leaked)),
    ]


def steps_of(session: SessionTree) -> Steps:
    """Return a session in the form of the expected tree."""
    return {step.path: _step(step) for step in session.root.walk() if step.path != "/" or step.requests}


def _step(step: Step) -> Mapping[str, object]:
    facts: dict[str, object] = {"kind": step.kind}
    if step.requests:
        facts["requests"] = dict(Counter(request.kind for request in step.requests))
    if statuses := [request.call.status for request in step.requests if request.call is not None]:
        facts["gateway"] = statuses
    return facts


def _tree(expected: Sequence[Expected], sessions: Sequence[SessionTree]) -> Iterator[str]:
    if len(sessions) != len(expected):
        yield f"{len(expected)} sessions were expected, {len(sessions)} were drawn"
    for wanted, session in zip(expected, sessions, strict=False):
        if wanted["name"] != session.name:
            yield f"a session named {wanted['name']!r} was expected, one named {session.name!r} was drawn"
        steps, found = wanted["steps"], steps_of(session)
        for path in sorted({*steps, *found}):
            if steps.get(path) != found.get(path):
                yield f"{path}: expected {steps.get(path, 'nothing')}, drawn {found.get(path, 'nothing')}"


def _gateway(sessions: Sequence[SessionTree], rows: Sequence[Row]) -> Iterator[str]:
    """Check that the drawing has each request of the gateway, with its headers, and no other; and the rows' ids."""
    requests = [request for session in sessions for request in session.requests]
    seen: Counter[tuple[str, ...]] = Counter((str(row.status), *_place(row)) for row in rows)
    drawn: Counter[tuple[str, ...]] = Counter(
        (str(request.call.status), *_call_values(request.call)) for request in requests if request.call is not None
    )
    yield from _difference("gateway request", seen, drawn)
    by_id = {row.id: (row.status, *_place(row)) for row in rows}
    for request in requests:
        call = request.call
        # The span of a call has the id of its last row; the attempts before have no span that could have one.
        if call is not None and call.status != _TURNED_AWAY and by_id.get(request.row_id) != _row_values(call):
            yield f"{request.path}: the span has the id {request.row_id!r}, which is not that of its last row"
    answered = Counter(_kind(row) for row in rows)
    counted = Counter(request.kind for request in requests if request.call is not None)
    yield from _difference("request by the gateway's count", answered, counted)


def _log(sessions: Sequence[SessionTree], rows: Sequence[Row]) -> Iterator[str]:
    """Check that each request without a gateway call has one row in the log at the same path, and no other has."""
    requests = [(session, request) for session in sessions for request in session.requests if request.call is None]
    drawn: Counter[tuple[str, ...]] = Counter(
        (request.kind, session.id, session.name, request.path) for session, request in requests
    )
    seen: Counter[tuple[str, ...]] = Counter((_kind(row), *_place(row)) for row in rows)
    yield from _difference("row of the log", seen, drawn)
    yield from (f"the row of {row.model} at {row.session_path}: {flaw}" for row in rows for flaw in row.flaws)
    for row in rows:
        if row.badge == "Tool" and not (row.shown.details.get("input") and row.shown.result.get("message")):
            yield f"the row of {row.model} at {row.session_path} has no arguments or no result"


def _listed(sessions: Sequence[SessionTree], listed: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Check that Helicone's read API has each session, with the rows of the gateway and of the log."""
    rows = {
        (session.id, session.name): sum(
            1 if request.call is not None else len(request.rows) for request in session.requests
        )
        for session in sessions
    }
    yield from _difference("row of session", listed, rows)


def _witnesses(sessions: Sequence[SessionTree], asked: Mapping[str, int]) -> Iterator[str]:
    """Check that the vector store and the tool counted what was drawn."""
    steps = [step for session in sessions for step in session.root.walk()]
    drawn = Counter(step.segment for step in steps for _ in step.requests if step.segment in _TOWN_PATHS)
    seen = Counter({segment: asked.get(path, 0) for segment, path in _TOWN_PATHS.items()})
    yield from _difference("operation that the store or tool counted", seen, drawn)
    if not asked.get("/weather"):
        yield "the agent never called a host that is not a gateway, so nothing shows that such a host gets no headers"


def _attributes(sessions: Sequence[SessionTree]) -> Iterator[str]:
    """Check that the headers of a request agree with the attributes of its span."""
    for session in sessions:
        for request in session.requests:
            label = (session.id, session.name, request.path)
            headers = _call_values(request.call) if request.call is not None else label
            if headers != label:
                yield f"{request.path}: the span has {label}, the headers have {headers}"


def _call_values(call: GatewayCall) -> tuple[str, ...]:
    return _values({name.lower(): value for name, value in call.headers})


def _row_values(call: GatewayCall) -> tuple[int | str | None, ...]:
    return call.status, *_call_values(call)


def _values(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(headers.get(name.lower(), "") for name in _SESSION_HEADERS)


def _kind(row: Row) -> str:
    """Return the kind that the span of a row's request has."""
    if row.badge != "LLM" and row.door == "log":
        return row.model.partition(":")[0]
    return "embedding" if row.path.endswith("/embeddings") else "llm"


def _place(row: Row) -> tuple[str, ...]:
    return row.session_id or "", row.session_name, row.session_path


def _difference(what: str, seen: Mapping[_Key, int], drawn: Mapping[_Key, int]) -> Iterator[str]:
    for key in sorted({*seen, *drawn}, key=repr):
        if seen.get(key, 0) != drawn.get(key, 0):
            yield f"{what} {key}: seen {seen.get(key, 0)} times, drawn {drawn.get(key, 0)} times"

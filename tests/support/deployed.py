"""Run apps as people deploy them: real servers and workers in their own processes, instrumented with zero code.

They run in a virtual environment that is made once, from `apps/requirements.txt`. The packages that contrib
instrumentations need conflict with the `dev` extra.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from helicone_otel.tools.cli.receiver import Inbox, receiving
from helicone_otel.tools.cli.receiver import ReceivedSpan as Span
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.requests import Request
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.environments import empty_environment, installing
from tests.support.paths import REPOSITORY, TESTS

APPS = TESTS / "apps"
_VENV = TESTS / ".venv-apps"
_TIMEOUT = 60.0
# In seconds.
_SCHEDULE_DELAY = 0.1
_FAILURES = ("Traceback", "helicone-otel failed", "Failed to detach")


def binaries() -> Path:
    """Return the folder with the commands of the apps' virtual environment, which is made if it is missing."""
    install = installing(_VENV / "bin" / "python")
    requirements = APPS / "requirements.txt"
    if _is_new("environment", requirements.read_bytes() + sys.version.encode()):
        empty_environment(_VENV)
        subprocess.run([*install, "-r", requirements], check=True, timeout=500)
        _remember("environment", requirements.read_bytes() + sys.version.encode())
    if _is_new("library", (REPOSITORY / "pyproject.toml").read_bytes()):
        subprocess.run([*install, "--no-deps", "-e", REPOSITORY], check=True, timeout=200)
        _remember("library", (REPOSITORY / "pyproject.toml").read_bytes())
    return _VENV / "bin"


def _is_new(what: str, content: bytes) -> bool:
    stamp = _VENV / f"{what}.stamp"
    return not stamp.exists() or stamp.read_text() != hashlib.sha256(content).hexdigest()


def _remember(what: str, content: bytes) -> None:
    (_VENV / f"{what}.stamp").write_text(hashlib.sha256(content).hexdigest())


class Process:
    """A running server or worker, and its output."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], log: Path, sock: socket.socket | None
    ) -> None:
        self._log = log
        descriptors = () if sock is None else (sock.fileno(),)
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=APPS,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Terminate it, and wait until it has ended without failures."""
        if self.is_running:
            _let_spans_leave()
        self.terminate()

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    def terminate(self) -> None:
        """Terminate it at once, and wait until it has ended without failures."""
        if self.is_running:
            self.popen.send_signal(signal.SIGTERM)
        # uvicorn shuts down in order and then raises the signal again.
        assert self.wait() in (0, -signal.SIGTERM), self.output

    def wait(self) -> int:
        """Wait until it has ended, check that it printed no failure, and return its exit code."""
        try:
            code = self.popen.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.popen.send_signal(signal.SIGABRT)  # faulthandler prints the stacks of all threads
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout=5)
            raise AssertionError(f"the process does not end:\n{self.output}") from None
        wrong = [line for line in self.output.splitlines() if any(word in line for word in _FAILURES)]
        assert wrong == [], self.output
        return code

    def kill(self) -> None:
        """Kill it and all processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def _let_spans_leave() -> None:
    """Give ended spans time to leave: a process that a signal kills flushes nothing."""
    time.sleep(5 * _SCHEDULE_DELAY)


class Deployment:
    """A gateway, a collector, and the processes that send to them.

    Attributes:
        gateway: A fake of Helicone's gateway.
        inbox: The spans that the processes exported.
        processes: The processes, in the order in which they were started.
        environ: The environment of every process.
    """

    def __init__(self, folder: Path, gateway: FakeHelicone, inbox: Inbox, endpoint: str, stack: ExitStack) -> None:
        self.gateway = gateway
        self.inbox = inbox
        self.processes: list[Process] = []
        self._folder = folder
        self._stack = stack
        self._bin = binaries()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
        self.environ = {
            **kept,
            "PATH": os.pathsep.join([str(self._bin), os.environ["PATH"]]),
            "PYTHONPATH": str(APPS),
            "PYTHONFAULTHANDLER": "1",
            "OPENAI_API_KEY": "sk-none",
            "OPENAI_BASE_URL": f"{gateway.url}/v1",
            "HELICONE_GATEWAY_HOSTS": gateway.url.removeprefix("http://"),
            "HELICONE_SESSION_NAME": "Trips",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": str(int(_SCHEDULE_DELAY * 1000)),
        }

    def start(self, *command: str, sock: socket.socket | None = None, **environ: str) -> Process:
        """Start a process; `{fd}` in its command becomes the descriptor of the socket."""
        filled = [part.format(fd=sock.fileno()) if sock is not None else part for part in command]
        log = self._folder / f"{len(list(self._folder.iterdir()))}.log"
        process = Process(filled, {**self.environ, **environ}, log, sock)
        self._stack.callback(process.kill)
        self.processes.append(process)
        return process

    def serve(self, *command: str, **environ: str) -> tuple[Process, str]:
        """Start a server on a socket that listens already, and return it with its URL.

        Requests may be sent at once: they wait in the socket's backlog.
        """
        sock = self._stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64))
        process = self.start(*command, sock=sock, **environ)
        return process, f"http://127.0.0.1:{sock.getsockname()[1]}"

    def uvicorn(self, app: str, **environ: str) -> tuple[Process, str]:
        """Serve an app with uvicorn under `opentelemetry-instrument`."""
        return self.serve("opentelemetry-instrument", "uvicorn", app, "--fd", "{fd}", **environ)

    def stop(self) -> None:
        """Terminate all processes, and wait until they have ended."""
        if any(process.is_running for process in self.processes):
            _let_spans_leave()
        for process in self.processes:
            process.terminate()

    def requests(self, count: int) -> list[Request]:
        """Wait until this many requests have arrived at the gateway, and return all."""
        wait_until(lambda: len(self.gateway.requests("gateway")) >= count)
        return self.gateway.requests("gateway")

    def spans(self, *names: str) -> list[Span]:
        """Wait until spans of all these names were exported, and return all spans."""
        wait_until(lambda: set(names) <= {span.name for span in self.inbox.spans})
        return self.inbox.spans


@contextmanager
def deploy(folder: Path) -> Iterator[Deployment]:
    """Run a gateway and a collector, and kill all processes when the block ends."""
    inbox = Inbox()
    with ExitStack() as stack:
        gateway = stack.enter_context(serving(FakeHelicone()))
        endpoint = stack.enter_context(receiving(inbox))
        yield Deployment(folder, gateway, inbox, endpoint, stack)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, for a minute at most.

    It does not fail, because the assertion that follows has the better message.
    """
    deadline = time.monotonic() + _TIMEOUT
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def sessions(requests: Sequence[Request]) -> list[tuple[str | None, str | None, str | None]]:
    """Return the session id, path and name in the headers of each request."""
    return [
        tuple(request.header(f"Helicone-Session-{part}") for part in ("Id", "Path", "Name"))  # type: ignore[misc]
        for request in requests
    ]

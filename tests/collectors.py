"""Real collectors on loopback: what is not there to run skips the test, with the reason."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIGS = Path(__file__).parent / "collector"
BUILT = CONFIGS / "build" / "otelcol"
_PATIENCE = 30.0


def otelcol(*configs: Path) -> list[str]:
    """Return the command that runs OpenTelemetry's own with these files, of which later ones add to earlier ones."""
    found = os.environ.get("OTELCOL_BIN") or shutil.which("otelcol-contrib") or shutil.which("otelcol")
    if found is None and BUILT.exists():
        found = str(BUILT)
    if found is None:
        why = "there is no collector: OTELCOL_BIN, otelcol-contrib on PATH, or `python tests/collector/build.py`"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    return [found, *(f"--config={path}" for path in configs)]


def rotel(*options: str) -> list[str]:
    """Return the command that runs Rotel, a collector written in Rust that shares no code with OpenTelemetry's."""
    spec = find_spec("rotel")
    if spec is None or spec.origin is None:
        pytest.skip("rotel is not installed: it has wheels for Linux on x86_64 only")
    agent = Path(spec.origin).with_name("rotel-agent")
    tried = subprocess.run([agent, "--version"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"rotel does not start here: {tried.stderr.strip()}")
    return [str(agent), "start", *options]


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class Collector:
    """A collector that runs, can be killed, and comes back with the same ports and files.

    Args:
        command: Runs it in the foreground.
        environ: The variables that its configuration speaks of.
        ports: Where it will listen once it is ready.
        folder: Where its output is kept.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], ports: Sequence[int], folder: Path) -> None:
        self._command = command
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
        self.environ = {**kept, **environ}
        self._ports = ports
        self._log = folder / "collector.log"

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _PATIENCE
        for port in self._ports:
            while not _listens(port):
                assert self._process.poll() is None, self.output
                assert time.monotonic() < deadline, self.output
                time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and wait until it has sent what it could."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(timeout=_PATIENCE) == 0, self.output


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(*collectors: Collector) -> Iterator[None]:
    """Run collectors while the block runs, those that others send to first."""
    with ExitStack() as stack:
        for collector in collectors:
            collector.start()
            stack.callback(collector.kill)
        yield
        for collector in reversed(collectors):
            collector.stop()

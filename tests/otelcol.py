"""Real collectors, started on loopback: the binary is found or the tests are skipped, with the reason."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIGS = Path(__file__).parent / "collector"
BUILT = CONFIGS / "build" / "otelcol"
_PATIENCE = 30.0


def binary() -> str:
    """Return the collector to run; where there is none the test is skipped, or fails if `CI` is set."""
    found = os.environ.get("OTELCOL_BIN") or shutil.which("otelcol-contrib") or shutil.which("otelcol")
    if found is None and BUILT.exists():
        found = str(BUILT)
    if found is None:
        why = "there is no collector: OTELCOL_BIN, otelcol-contrib on PATH, or `python tests/collector/build.py`"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    return found


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


class Collector:
    """A collector that runs, can be killed, and comes back with the same ports and files.

    Args:
        configs: Its configuration files.
        environ: The variables that these speak of.
        ports: Where it will listen once it is ready.
        folder: Where its output is kept.
    """

    def __init__(self, configs: Sequence[Path], environ: Mapping[str, str], ports: Sequence[int], folder: Path) -> None:
        self._command = [binary(), *(f"--config={path}" for path in configs)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
        self._environ = {**kept, **environ}
        self._ports = ports
        self._log = folder / "collector.log"

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
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

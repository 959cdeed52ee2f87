"""Runs a command under `opentelemetry-instrument`, as if nobody stood in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, Final

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

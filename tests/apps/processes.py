"""Ask the model in a session, and again in a child process: `python processes.py fork|spawn`."""

from __future__ import annotations

import multiprocessing
import sys

from model import ask
from opentelemetry import trace

from helicone_otel import session, step


def work(name: str) -> None:
    """Ask the model in a span."""
    with trace.get_tracer("processes").start_as_current_span(name):
        ask(name)
    # Children of multiprocessing end without calling `atexit` functions.
    trace.get_tracer_provider().force_flush()


def main() -> None:
    """Ask before the child starts, in the child, and after it has ended."""
    with session("Trips", id="s-1"), step("plan"):
        work("before")
        child = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=("child",))
        child.start()
        child.join(30)
        work("after")
    sys.exit(child.exitcode)


if __name__ == "__main__":
    main()

"""Run tools in greenlets: `python greenlets.py gevent|eventlet first|imported|configured|logged|launched`.

The second argument says when the app lets itself be patched: before it imports our library, after that, after
`configure()`, after the first row. `launched`: at its start, under `opentelemetry-instrument`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import ModuleType

LIBRARY, WHEN = sys.argv[1:]


def patch() -> ModuleType:
    """Let the library of greenlets patch the standard library, and return it."""
    if LIBRARY == "gevent":
        import gevent.monkey

        gevent.monkey.patch_all()
        return gevent
    import eventlet

    eventlet.monkey_patch()
    return eventlet


def provide() -> None:
    """Make a provider, and log what no gateway saw."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    from helicone_otel import configure

    trace.set_tracer_provider(TracerProvider())
    configure(log=True)


def work() -> Callable[[int], None]:
    """Return a function that runs a tool twice in a session."""
    import time

    from helicone_otel import session, tool

    @tool
    def look(number: int) -> int:
        time.sleep(0.01)
        return number

    def run(number: int) -> None:
        with session("Trips", id=f"s-{number}"):
            look(number)
            look(number)

    return run


def main() -> None:
    """Run the tools in thirty greenlets, flush, and run them once more before the end."""
    greenlets = patch() if WHEN in {"first", "launched"} else None
    import helicone_otel

    helicone_otel.feedback  # noqa: B018  # loads all that logs
    greenlets = greenlets or (patch() if WHEN == "imported" else None)
    if WHEN != "launched":
        provide()
    greenlets = greenlets or (patch() if WHEN == "configured" else None)
    run = work()
    run(-1)
    greenlets = greenlets or patch()
    running = [greenlets.spawn(run, number) for number in range(30)]
    for one in running:
        one.get() if LIBRARY == "gevent" else one.wait()
    if WHEN != "logged" and (url := os.environ.get("HTTPS_URL")):
        import requests

        print("answered", requests.get(url, verify=os.environ["HTTPS_CA"], timeout=20).status_code)
    from opentelemetry import trace

    print("flushed", trace.get_tracer_provider().force_flush(5000))
    run(30)
    print("ended", flush=True)


if __name__ == "__main__":
    main()

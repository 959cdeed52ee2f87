"""A WSGI app that runs a tool in the session of the path: `gunicorn greenlets_web:application`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from helicone_otel import session, tool


@tool
def look(name: str) -> str:
    """Wait a moment."""
    time.sleep(0.01)
    return name


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer `ok`."""
    name = environ["PATH_INFO"].strip("/")
    if name:
        with session("Trips", id=name):
            look(name)
    start_response("200 OK", [])
    return [b"ok"]

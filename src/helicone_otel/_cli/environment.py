"""The environment of an application under `run`: the user's own, and the little that must be set."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .._by_name import ENDPOINT, LOG

_CAPTURE: Final = "HELICONE_CAPTURE_HEADERS"
_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")


def child_environment(environ: Mapping[str, str], endpoint: str, log: str = "") -> dict[str, str]:
    """Return the environment for the application.

    Its spans reach us by an exporter of our own beside whatever it exports to already
    (`attach.py`). To forward what it sends instead would mean to speak its protocol (gRPC, files,
    vendors' exporters), with its certificates and retries, and could not cover what a
    configuration file or the code sets up. So no `OTEL_*` variable of the user's is touched. The same
    holds for rows, and for the variables of the log.

    Args:
        environ: The user's.
        endpoint: Where spans are received.
        log: Where rows are, and the key; nothing if they are not wanted.
    """
    child = dict(environ)
    child[ENDPOINT] = endpoint
    if log:
        child[LOG] = log
    child[_CAPTURE] = "true"
    # `python` means the interpreter that we and the instrumentations are installed for, activated or not.
    child["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    for signal in _SIGNALS:
        if not _has_destination(environ, signal):
            # The distro's default is gRPC to localhost:4317, where nobody listens: it would log errors.
            child[f"OTEL_{signal}_EXPORTER"] = "none"
    return child


def _has_destination(environ: Mapping[str, str], signal: str) -> bool:
    names = (f"OTEL_{signal}_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    return any(environ.get(name) for name in names)

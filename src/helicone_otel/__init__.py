"""Helicone Sessions for apps that are instrumented with OpenTelemetry.

Nothing that is imported from here imports `opentelemetry.propagate` or an exporter: with
`OTEL_PROPAGATORS=…,helicone` this package is loaded *by* that module, half-way through its own import.
"""

from ._bootstrap import configure
from ._context import session, step
from ._processor import HeliconeSpanProcessor
from ._propagator import HeliconePropagator
from ._registry import current_session
from ._session import Session, SessionPath
from ._settings import Settings, SettingsError
from ._settled import SessionSpanExporter

__all__ = [
    "HeliconePropagator",
    "HeliconeSpanProcessor",
    "Session",
    "SessionPath",
    "SessionSpanExporter",
    "Settings",
    "SettingsError",
    "configure",
    "current_session",
    "session",
    "step",
]

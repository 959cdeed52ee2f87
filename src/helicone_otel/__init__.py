"""Helicone Sessions for apps that are instrumented with OpenTelemetry.

The public names are `__version__` and those that `__all__` lists here, in `helicone_otel.testing` and in
`helicone_otel.notebooks`, and nothing else. The modules have plain names, but they are internal: they may move or
change in any release.

Importing this package loads no other module of it: each name is loaded when it is first used. Two importers
need that. pytest imports the package in every run, for its fixtures. With `OTEL_PROPAGATORS=…,helicone`,
`opentelemetry.propagate` imports it while it is half imported itself. So nothing that this module imports
may import `opentelemetry.propagate` or an exporter.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from .install.configure import configure as configure
    from .log.exporter import HeliconeSpanExporter as HeliconeSpanExporter
    from .log.rest import HeliconeError as HeliconeError
    from .log.rest import feedback as feedback
    from .log.rows.content import Content as Content
    from .manual.decorators import data as data
    from .manual.decorators import tool as tool
    from .manual.decorators import vector_query as vector_query
    from .otel.exporter import SessionSpanExporter as SessionSpanExporter
    from .otel.processor import HeliconeSpanProcessor as HeliconeSpanProcessor
    from .otel.propagator import HeliconePropagator as HeliconePropagator
    from .otel.sampler import SessionSampler as SessionSampler
    from .sessions.context import session as session
    from .sessions.context import step as step
    from .sessions.model import Session as Session
    from .sessions.model import SessionPath as SessionPath
    from .settings import Settings as Settings
    from .settings import SettingsError as SettingsError
    from .spans.schema import Dialect as Dialect
    from .spans.schema import Row as Row
    from .tools.diagnostics import doctor as doctor
    from .tracking.registry import current_session as current_session

_HOMES = {
    "Content": "log.rows",
    "Dialect": "spans.schema",
    "HeliconeError": "log.rest",
    "HeliconePropagator": "otel.propagator",
    "HeliconeSpanExporter": "log.exporter",
    "HeliconeSpanProcessor": "otel.processor",
    "Row": "spans.schema",
    "Session": "sessions.model",
    "SessionPath": "sessions.model",
    "SessionSampler": "otel.sampler",
    "SessionSpanExporter": "otel.exporter",
    "Settings": "settings",
    "SettingsError": "settings",
    "configure": "install.configure",
    "current_session": "tracking.registry",
    "data": "manual.decorators",
    "doctor": "tools.diagnostics",
    "feedback": "log.rest",
    "session": "sessions.context",
    "step": "sessions.context",
    "tool": "manual.decorators",
    "vector_query": "manual.decorators",
}

__all__ = [
    "Content",
    "Dialect",
    "HeliconeError",
    "HeliconePropagator",
    "HeliconeSpanExporter",
    "HeliconeSpanProcessor",
    "Row",
    "Session",
    "SessionPath",
    "SessionSampler",
    "SessionSpanExporter",
    "Settings",
    "SettingsError",
    "configure",
    "current_session",
    "data",
    "doctor",
    "feedback",
    "session",
    "step",
    "tool",
    "vector_query",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def _version() -> str:
    # It takes time to load, and most apps never ask.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("helicone-otel")
    except PackageNotFoundError:  # a copy of the sources that is not installed
        return "unknown"


def __dir__() -> list[str]:
    return __all__

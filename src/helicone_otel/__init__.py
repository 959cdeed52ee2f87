"""Helicone Sessions for apps that are instrumented with OpenTelemetry.

Names are loaded when they are first used. pytest imports this package in every run of everyone who
has it installed, for the sake of its fixture, and `opentelemetry.propagate` does so half-way through its
own import, with `OTEL_PROPAGATORS=…,helicone`: so nothing that is imported from here imports
`opentelemetry.propagate` or an exporter, and importing the package alone imports nothing at all.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._api import HeliconeError as HeliconeError
    from ._bootstrap import configure as configure
    from ._context import session as session
    from ._context import step as step
    from ._doctor import doctor as doctor
    from ._exporter import HeliconeSpanExporter as HeliconeSpanExporter
    from ._feedback import feedback as feedback
    from ._manual import data as data
    from ._manual import tool as tool
    from ._manual import vector_query as vector_query
    from ._processor import HeliconeSpanProcessor as HeliconeSpanProcessor
    from ._propagator import HeliconePropagator as HeliconePropagator
    from ._records import Content as Content
    from ._registry import current_session as current_session
    from ._sampler import SessionSampler as SessionSampler
    from ._session import Session as Session
    from ._session import SessionPath as SessionPath
    from ._settings import Settings as Settings
    from ._settings import SettingsError as SettingsError
    from ._settled import SessionSpanExporter as SessionSpanExporter
    from ._spans import Dialect as Dialect
    from ._spans import Row as Row

_HOMES = {
    "Content": "_records",
    "Dialect": "_spans",
    "HeliconeError": "_api",
    "HeliconePropagator": "_propagator",
    "HeliconeSpanExporter": "_exporter",
    "HeliconeSpanProcessor": "_processor",
    "Row": "_spans",
    "Session": "_session",
    "SessionPath": "_session",
    "SessionSampler": "_sampler",
    "SessionSpanExporter": "_settled",
    "Settings": "_settings",
    "SettingsError": "_settings",
    "configure": "_bootstrap",
    "current_session": "_registry",
    "data": "_manual",
    "doctor": "_doctor",
    "feedback": "_feedback",
    "session": "_context",
    "step": "_context",
    "tool": "_manual",
    "vector_query": "_manual",
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
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

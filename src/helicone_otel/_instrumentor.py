"""The zero-code door: what `opentelemetry-instrument` and configuration files load."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # it names no `__all__`

from ._bootstrap import INSTALLATION
from ._cli.environment import ENDPOINT
from ._guard import logger, swallow
from ._settings import Settings, SettingsError


class HeliconeInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped at the floor version
    """Adds Helicone Sessions to whatever provider the app has or will have.

    Switched off by `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=helicone`. A failure is logged and leaves
    the app as it was: an exception here would keep the instrumentors after this one from running.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: there is nothing that must be installed."""
        return ()

    def _instrument(self, **_: Any) -> None:
        try:
            INSTALLATION.install(Settings.from_environment())
            if endpoint := os.environ.get(ENDPOINT):
                from ._cli.attach import attach  # noqa: PLC0415  # an exporter, which only `run` needs

                attach(INSTALLATION, endpoint)
        except SettingsError as error:
            logger.error("helicone-otel is off: %s", error)
        except Exception as error:  # noqa: BLE001  # the app must start as if we were not there
            swallow("instrument", error)

    def _uninstrument(self, **_: Any) -> None:
        INSTALLATION.uninstall()

"""The zero-code door: what `opentelemetry-instrument` and configuration files load."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # it names no `__all__`

from ..failures import log_that_library_is_off
from .entry_points import ENDPOINT, LOG, is_switched_off


class HeliconeInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped at the floor version
    """Adds Helicone Sessions to whatever provider the app has or will have.

    Switched off by `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=helicone`. A failure is one line in the log
    and leaves the app as it was: an exception here, while this module is imported included, would
    keep the instrumentors after this one from running.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return nothing: there is nothing that must be installed."""
        return ()

    def _instrument(self, **_: Any) -> None:
        if is_switched_off():
            return
        try:
            from ..settings import Settings  # noqa: PLC0415
            from .configure import INSTALLATION, log_as_set  # noqa: PLC0415  # see the class's docstring

            settings = Settings.from_environment()
            INSTALLATION.install(settings)
            log_as_set(settings)
            if endpoint := os.environ.get(ENDPOINT):
                from .run_attach import attach  # noqa: PLC0415  # an exporter, which only `run` needs

                attach(INSTALLATION, endpoint, os.environ.get(LOG, ""))
        except Exception as error:  # noqa: BLE001  # the app must start as if we were not there
            log_that_library_is_off(error)

    def _uninstrument(self, **_: Any) -> None:
        from .configure import INSTALLATION  # noqa: PLC0415  # it is known by now, or cannot be loaded

        INSTALLATION.uninstall()

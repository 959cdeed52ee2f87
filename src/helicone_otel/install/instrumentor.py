"""The instrumentor that `opentelemetry-instrument` and configuration files load: the library without any code."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # it names no `__all__`

from ..failures import log_that_library_is_off
from .entry_points import ENDPOINT, LOG, is_switched_off


class HeliconeInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # untyped at the floor version
    """Adds Helicone Sessions to the provider that the app has, and to those that it makes later.

    `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=helicone` switches it off. A failure is one line in the log and leaves the
    app as it was. An exception, also one while this module is imported, would keep the instrumentors after this one
    from running. So other modules are imported inside `try`.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return no packages: the instrumentor needs none to be installed."""
        return ()

    def _instrument(self, **options: Any) -> None:
        """Install the library.

        Args:
            options: What a configuration file says below `instrumentation/development`, `python`, `helicone`: values of
                settings, by the fields of `Settings`. A launcher passes options of its own, too.
        """
        if is_switched_off():
            return
        try:
            # See the docstring of the class.
            from .configure import INSTALLATION, install_from_environment  # noqa: PLC0415

            install_from_environment(options)
            if endpoint := os.environ.get(ENDPOINT):
                from .run_attach import attach  # noqa: PLC0415  # loads an exporter, which only `run` needs

                attach(INSTALLATION, endpoint, os.environ.get(LOG, ""))
        except Exception as error:  # noqa: BLE001  # the app must start as if we were not there
            log_that_library_is_off(error)

    def _uninstrument(self, **_: Any) -> None:
        from .configure import INSTALLATION  # noqa: PLC0415  # `_instrument` has loaded it

        INSTALLATION.uninstall()

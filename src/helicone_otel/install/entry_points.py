"""The functions that OpenTelemetry calls for `OTEL_PROPAGATORS=…,helicone` and `OTEL_TRACES_SAMPLER=helicone_session`.

Neither may raise. OpenTelemetry calls the first one while it imports `opentelemetry.propagate`, so an exception would
end the app at its start. If the second one fails for a configuration file, the app gets no SDK at all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator

from ..failures import log_that_library_is_off, logger

if TYPE_CHECKING:
    from ..otel.sampler import SessionSampler

# `helicone-otel run` sets these two in the app that it starts. The first is the URL to which the app sends its spans,
# beside its own exporters. The second is for its rows: the URL of the run's Helicone log, a blank, and a key for it.
ENDPOINT: Final = "HELICONE_RUN_ENDPOINT"
LOG: Final = "HELICONE_RUN_LOG"
# The header by which the app tells a run that it logs to the Helicone of its settings, too.
LOGS: Final = "X-Helicone-Otel-Logs"
_RATIO: Final = "HELICONE_SESSION_SAMPLING_RATIO"


def propagator() -> TextMapPropagator:
    """Return the propagator, or one that does nothing if ours is switched off or fails."""
    if is_switched_off():
        return CompositePropagator([])
    try:
        from ..otel.propagator import HeliconePropagator  # noqa: PLC0415  # its import may fail, and is caught here

        return HeliconePropagator()
    except Exception as error:  # noqa: BLE001  # see the module's docstring
        log_that_library_is_off(error)
        return CompositePropagator([])


def session_sampler(argument: str | None = None) -> SessionSampler:
    """Return the sampler of sessions. If its ratio is not valid, it keeps all of them and logs one line.

    Args:
        argument: The value of `OTEL_TRACES_SAMPLER_ARG`. The SDK passes no arguments of a configuration file on;
            then `HELICONE_SESSION_SAMPLING_RATIO` is read.
    """
    from ..otel.sampler import SessionSampler  # noqa: PLC0415  # apps with only the propagator do not need it

    variable, text = "OTEL_TRACES_SAMPLER_ARG", (argument or "").strip()
    if not text:
        variable, text = _RATIO, os.environ.get(_RATIO, "").strip() or "1"
    try:
        return SessionSampler(float(text))
    except ValueError:
        # Without a traceback: the line names the variable and the values that it can have.
        logger.error("helicone-otel keeps all sessions: %s=%.60r is not a number from 0 to 1", variable, text)
        return SessionSampler()


def is_switched_off() -> bool:
    """Tell whether `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` names us.

    `opentelemetry-instrument` reads this variable before it loads an instrumentor. But it does not for propagators,
    and a configuration file loads an instrumentation without reading it.
    """
    disabled = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    return not {"helicone", "*"}.isdisjoint(name.strip() for name in disabled)

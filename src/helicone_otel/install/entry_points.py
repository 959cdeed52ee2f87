"""What `OTEL_PROPAGATORS=…,helicone` and `OTEL_TRACES_SAMPLER=helicone_session` load.

The propagator is loaded half-way through the import of `opentelemetry.propagate`, and an exception there
ends the app before it has begun. One in a sampler that a configuration file names loses the whole SDK.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator

from ..failures import log_that_library_is_off, logger

if TYPE_CHECKING:
    from ..otel.sampler import SessionSampler

# Set by `helicone-otel run` in the app that it starts: where that is to send its spans as well.
ENDPOINT: Final = "HELICONE_RUN_ENDPOINT"
# The same for its rows: where to, a blank, and the key with which they are taken there.
LOG: Final = "HELICONE_RUN_LOG"
_RATIO: Final = "HELICONE_SESSION_SAMPLING_RATIO"


def propagator() -> TextMapPropagator:
    """Return the propagator, or one that does nothing where ours is switched off or cannot be loaded."""
    if is_switched_off():
        return CompositePropagator([])
    try:
        from ..otel.propagator import HeliconePropagator  # noqa: PLC0415  # whatever fails in there must fail in here

        return HeliconePropagator()
    except Exception as error:  # noqa: BLE001  # see the module's docstring
        log_that_library_is_off(error)
        return CompositePropagator([])


def session_sampler(argument: str | None = None) -> SessionSampler:
    """Return the sampler of sessions; one that keeps everything where the ratio cannot be understood.

    Args:
        argument: `OTEL_TRACES_SAMPLER_ARG`. Of a configuration file the SDK hands over no arguments; the
            ratio is then that of the settings.
    """
    from ..otel.sampler import SessionSampler  # noqa: PLC0415  # the propagator needs none of it

    source, told = "OTEL_TRACES_SAMPLER_ARG", (argument or "").strip()
    if not told:
        source, told = _RATIO, os.environ.get(_RATIO, "").strip() or "1"
    try:
        return SessionSampler(float(told))
    except ValueError:
        # In one line: which setting, and what fits.
        logger.error("helicone-otel samples nothing out: %s=%.60r is no ratio from 0 to 1", source, told)
        return SessionSampler()


def is_switched_off() -> bool:
    """Tell whether the environment keeps us out.

    The launcher asks this variable before it loads an instrumentor; but nobody asks it about a
    propagator, or about an instrumentation that a configuration file names.
    """
    named = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    return not {"helicone", "*"}.isdisjoint(name.strip() for name in named)

"""What `OTEL_PROPAGATORS=…,helicone` loads.

It is loaded half-way through the import of `opentelemetry.propagate`, and an exception there ends the
app before it has begun.
"""

from __future__ import annotations

import os
from typing import Final

from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator

from ._guard import stay_out

# Set by `helicone-otel run` in the app that it starts: where that is to send its spans as well.
ENDPOINT: Final = "HELICONE_RUN_ENDPOINT"
# The same for its rows: where to, a blank, and the key with which they are taken there.
LOG: Final = "HELICONE_RUN_LOG"


def propagator() -> TextMapPropagator:
    """Return the propagator, or one that does nothing where ours is switched off or cannot be loaded."""
    if is_switched_off():
        return CompositePropagator([])
    try:
        from ._propagator import HeliconePropagator  # noqa: PLC0415  # whatever fails in there must fail in here

        return HeliconePropagator()
    except Exception as error:  # noqa: BLE001  # see the module's docstring
        stay_out(error)
        return CompositePropagator([])


def is_switched_off() -> bool:
    """Tell whether the environment keeps us out.

    The launcher asks this variable before it loads an instrumentor; but nobody asks it about a
    propagator, or about an instrumentation that a configuration file names.
    """
    named = os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")
    return not {"helicone", "*"}.isdisjoint(name.strip() for name in named)

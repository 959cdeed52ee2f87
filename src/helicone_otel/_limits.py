"""How much is held back and for how long, as OpenTelemetry's variables for its own processor say.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from ._guard import warn_once

_VARIABLES: Final = {
    "delay": ("OTEL_BSP_SCHEDULE_DELAY", 5000),
    "queue": ("OTEL_BSP_MAX_QUEUE_SIZE", 2048),
    "batch": ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
    "timeout": ("OTEL_BSP_EXPORT_TIMEOUT", 30000),
}


class Limits(NamedTuple):
    """How much is held back and for how long.

    Attributes:
        delay: How long a span waits at most before it becomes a row, in milliseconds.
        queue: How many spans, and how many rows, wait at most.
        batch: As soon as so many spans wait, they become rows.
        timeout: How long a request may take, and a shutdown, in milliseconds.
    """

    delay: int
    queue: int
    batch: int
    timeout: int

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Limits:
        """Read the limits; a value that cannot be used counts as unset, as it does for OpenTelemetry."""
        environ = os.environ if environ is None else environ
        values = {field: _positive(environ, *variable) for field, variable in _VARIABLES.items()}
        limits = cls(**values)
        return limits._replace(batch=min(limits.batch, limits.queue))


def _positive(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not int(text[:12]):
        warn_once(f"{variable} is no positive number of at most twelve digits; {default} it is.")
        return default
    return int(text[:12])

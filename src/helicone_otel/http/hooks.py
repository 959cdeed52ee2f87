"""The transport hook: writes headers where a propagator cannot.

An app without HTTP instrumentation calls no propagator. A bare carrier hides what the caller wrote. A span that is
sampled out does not say where its request goes. A redirect carries headers to whatever host it names. The hook is
called where a request leaves, with the headers as they will be sent. It makes no span.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry import trace

from ..destinations import Destination, call_kind
from .headers import adopt_caller_headers, write_headers

if TYPE_CHECKING:
    from ..tracking.registry import Registry


def is_enabled(registry: Registry) -> bool:
    """Tell whether requests get headers at all.

    A hook that somebody has wrapped with a function of their own remains after an uninstall. And OpenTelemetry has a
    switch by which instrumentations are suppressed.
    """
    return registry.active and _is_instrumentation_enabled()()


def put_headers(
    registry: Registry,
    destination: Destination,
    path: str,
    carrier: object,
    write: Callable[[str, str], None],
    reads_utf8: Callable[[], bool],
) -> None:
    """Write the session headers of a request that is about to leave.

    Args:
        registry: Finds the session and path.
        destination: Where the request goes: a gateway or an own service.
        path: The path of its URL, or the whole URL.
        carrier: Its headers, as they are now.
        write: Writes one header: the name and the text.
        reads_utf8: Tells whether the host reads values as UTF-8.
    """
    if destination is Destination.GATEWAY:
        # Each attempt is a row of its own, and only here does a request leave exactly once.
        location = registry.locator.locate_gateway_call(call_kind(path), new_row_id)
    else:
        location = registry.locator.locate()
    record = location.sender if location is not None else None
    if record is None:
        record = registry.record_of(trace.get_current_span())
    if location is None:
        if record is not None:
            adopt_caller_headers(registry, record, destination, carrier)
        return
    write_headers(registry, location, record, destination, carrier, write, reads_utf8)


def new_row_id() -> str:
    """Return a random id for the row that a gateway is about to make: a UUIDv4."""
    # `uuid.uuid4` takes twice as long, for the sake of two more random bits.
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@functools.cache
def _is_instrumentation_enabled() -> Callable[[], bool]:
    # Not imported above: it imports `opentelemetry.propagate`, see the package's docstring.
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled  # noqa: PLC0415

    return is_instrumentation_enabled

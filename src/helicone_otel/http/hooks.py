"""The transport hook: for what a propagator cannot reach.

An app without HTTP instrumentation calls no propagator; a bare carrier hides what the caller set; a
sampled-out span does not say where its request goes; a redirect carries headers to whatever host it
names. The hook sits innermost, where a request's headers stand as they will leave. It makes no span.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from opentelemetry import trace

from .. import wire
from ..destinations import Destination
from ..tracking.locate import Location
from ..tracking.registry import Registry
from ..tracking.requests import new_row_id
from ..tracking.resolver import call_kind
from .headers import Headers, adopt_caller_headers, write_headers


def is_due(registry: Registry) -> bool:
    """Tell whether a request to a listed host gets headers at all.

    A hook that somebody wrapped with a function of their own stays behind when all else was taken out.
    """
    return registry.active and _is_enabled()()


def put_headers(
    registry: Registry, destination: Destination, path: str, carrier: object, write: Callable[[str, str], None]
) -> Headers:
    """Bring the session headers of a request about to leave in order.

    Args:
        registry: Knows whose session holds here.
        destination: Where the request goes, to a host that is on a list.
        path: The path of its URL, or the whole of it.
        carrier: Its headers, as they stand.
        write: Writes one header.

    Returns:
        Which of the headers that leave are ours.
    """
    if destination is Destination.GATEWAY:
        location = registry.locate_gateway_call(call_kind(path))
        if location is not None:
            # Each attempt is a row of its own, and only here does a request leave exactly once.
            session, path_there, headers, stands_at, sender, _ = location
            row_id = new_row_id()
            headers = (*headers, (wire.REQUEST_ID_HEADER, row_id))
            location = Location(session, path_there, headers, stands_at, sender, row_id)
    else:
        location = registry.locate()
    record = location.sender if location is not None else None
    if record is None:
        record = registry.record_of(trace.get_current_span())
    if location is None:
        if record is not None:
            adopt_caller_headers(registry, record, destination, carrier)
        return ()
    return write_headers(registry, location, record, destination, carrier, write)


@functools.cache
def _is_enabled() -> Callable[[], bool]:
    # Not imported above: it imports `opentelemetry.propagate`, see the package's docstring.
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled  # noqa: PLC0415

    return is_instrumentation_enabled

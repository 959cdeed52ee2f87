"""What stands in a request's headers already, and what we add. Shared by propagator and hook."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from . import _wire
from ._destinations import Destination
from ._record import Record
from ._registry import Location, Registry

SESSION_HEADERS: Final = (_wire.SESSION_ID_HEADER, _wire.SESSION_PATH_HEADER, _wire.SESSION_NAME_HEADER)
_CANONICAL: Final = {name.lower(): name for name in SESSION_HEADERS}

Headers = tuple[tuple[str, str], ...]


def headers_of(location: Location) -> Headers:
    """Return the headers that say where a piece of work is, in wire form."""
    return ((_wire.SESSION_PATH_HEADER, location.path), *location.session.headers)


def write_headers(
    registry: Registry,
    location: Location,
    record: Record | None,
    destination: Destination,
    carrier: object,
    write: Callable[[str, str], None],
) -> Headers:
    """Write a request's headers, sparing those that the caller wrote itself.

    With a session id of its own the set is the caller's, and none of ours is added; with only a
    path or name the rest is filled in. Either way the request's span is labelled with what leaves.

    Args:
        registry: Is told what left.
        location: Where the request is made.
        record: The span that sends the request, if there is one.
        destination: Where the request goes.
        carrier: The request's headers, as they stand.
        write: Writes one header.

    Returns:
        What was written.
    """
    ours = headers_of(location)
    theirs = session_headers_in(carrier)
    # An instrumentation may inject twice for one request: what we wrote is not the caller's.
    if theirs and not theirs.items() <= dict(ours).items():
        return _fill_in(registry, ours, theirs, record, destination, write)
    for name, value in ours:
        write(name, value)
    registry.sent(location if record is None else location._replace(record=record), ours, destination)
    return ours


def _fill_in(
    registry: Registry,
    ours: Headers,
    theirs: Mapping[str, str],
    record: Record | None,
    destination: Destination,
    write: Callable[[str, str], None],
) -> Headers:
    missing: Headers = ()
    if _wire.SESSION_ID_HEADER not in theirs:
        missing = tuple(header for header in ours if header[0] not in theirs)
    for name, value in missing:
        write(name, value)
    if record is not None:
        registry.obey(record, {**theirs, **dict(missing)}, destination)
    return missing


def session_headers_in(carrier: object) -> dict[str, str]:
    """Return the session headers that a carrier has already, by their canonical names."""
    if isinstance(carrier, dict):
        # A dict tells upper from lower case; HTTP does not.
        named = ((_CANONICAL.get(name.lower()), value) for name, value in carrier.items() if isinstance(name, str))
        return {name: value for name, value in named if name}
    if isinstance(carrier, Mapping):
        return {name: carrier[name] for name in SESSION_HEADERS if name in carrier}
    return {}

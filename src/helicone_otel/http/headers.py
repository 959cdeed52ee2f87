"""Writes session headers into a request, and leaves the caller's own. Shared by the propagator and the hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from .. import wire
from ..destinations import Destination
from ..injected import PREFIX, text_of

if TYPE_CHECKING:
    from ..tracking.locate import Location
    from ..tracking.records import Record
    from ..tracking.registry import Registry

SESSION_HEADERS: Final = wire.SESSION_HEADERS

_NAME: Final = itemgetter(0)
_PREFIX: Final = PREFIX.encode()

Headers = tuple[tuple[str, str], ...]


def write_headers(
    registry: Registry,
    location: Location,
    record: Record | None,
    destination: Destination,
    carrier: object,
    write: Callable[[str, str], None],
) -> Headers:
    """Write a request's session headers, except those that the caller wrote itself.

    If the caller wrote a session id, the whole set is the caller's and none of ours is added. If it wrote only a
    path or a name, the rest is filled in. Either way the request's span is labelled with what leaves.

    Args:
        registry: Notes what left.
        location: Where the request is made.
        record: The record of the span that sends the request, if there is one.
        destination: Where the request goes.
        carrier: The request's headers, as they are now.
        write: Writes one header.

    Returns:
        The headers that leave and are ours.
    """
    wanted = location.headers
    present = _present(carrier, wanted)
    sender = record if record is not None else location.record
    if not present:
        for name, value in wanted:
            write(name, value)
        registry.locator.sent(sender, wanted, destination, location.record, location.row_id)
        return wanted
    # An instrumentation may inject twice for one request: what we wrote is not the caller's.
    values = dict(wanted)
    theirs = {name: value for name, value in present.items() if values.get(name) != value}
    if wire.REQUEST_ID_HEADER in values and sender is not None and _is_of_attempt_before(sender, theirs):
        del theirs[wire.REQUEST_ID_HEADER]
    ours: Headers = ()
    if wire.SESSION_ID_HEADER not in theirs:
        ours = tuple(header for header in wanted if header[0] not in theirs)
    for name, value in ours:
        if present.get(name) != value:
            write(name, value)
    leaving = {**theirs, **dict(ours)}
    if theirs.keys().isdisjoint(SESSION_HEADERS):
        registry.locator.sent(sender, tuple(leaving.items()), destination, location.record, wire.row_id_in(leaving))
    elif record is not None:
        registry.locator.adopt_caller_headers(record, leaving, destination)
    return ours


def _is_of_attempt_before(sender: Record, theirs: Mapping[str, str]) -> bool:
    """Tell whether the row's id is ours: urllib3 tries again with the headers of the attempt before."""
    row_id = (wire.REQUEST_ID_HEADER, theirs.get(wire.REQUEST_ID_HEADER))
    return any(row_id in above.sent_headers for above in sender.line())


def adopt_caller_headers(registry: Registry, record: Record, destination: Destination, carrier: object) -> None:
    """Label a request's span with the session that its caller wrote, where there is none of ours."""
    theirs = _present(carrier, ())
    if wire.SESSION_ID_HEADER in theirs:
        registry.locator.adopt_caller_headers(record, theirs, destination)


def _present(carrier: object, wanted: Headers) -> dict[str, str]:
    """Return the Helicone headers that a carrier has already, by our spelling of their names."""
    # To ask httpx's headers for one name costs more than to look through all names at once.
    raw = carrier if isinstance(carrier, list) else getattr(carrier, "raw", None)
    if isinstance(raw, list):
        if _PREFIX not in b"".join(map(_NAME, raw)).lower():
            return {}
        lines: Iterable[tuple[object, object]] = raw
    elif isinstance(carrier, Mapping):
        lines = carrier.items()
    else:
        return {}  # only the carrier's own setter can read it
    # Not every mapping knows that HTTP does not distinguish upper and lower case.
    found: dict[str, object] = {}
    for name, value in lines:
        lower = name.lower() if isinstance(name, str) else text_of(name).lower()
        if lower.startswith(PREFIX):
            found[lower] = value
    if not found:
        return {}
    names = (*(name for name, _ in wanted), *SESSION_HEADERS, wire.REQUEST_ID_HEADER)
    return {name: text_of(found[key]) for name in names if (key := name.lower()) in found}

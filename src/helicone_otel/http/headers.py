"""Writes session headers into a request, and leaves the caller's own. Shared by the propagator and the hooks.

Values are in wire form until here. What is not ASCII is written as UTF-8 to a host that reads it, and percent-encoded
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from .. import wire
from ..destinations import Destination
from ..injected import PREFIX
from ..wire import header_text, percent_encoded

if TYPE_CHECKING:
    from ..tracking.locate import Location
    from ..tracking.records import Record
    from ..tracking.registry import Registry

SESSION_HEADERS: Final = wire.SESSION_HEADERS

_NAME: Final = itemgetter(0)
_PREFIX: Final = PREFIX.encode()

Headers = tuple[tuple[str, str], ...]


def in_ascii() -> bool:
    """Tell that a receiver is not known to read UTF-8: the `reads_utf8` of whoever does not know the client."""
    return False


def write_headers(
    registry: Registry,
    location: Location,
    record: Record | None,
    destination: Destination,
    carrier: object,
    write: Callable[[str, str], None],
    reads_utf8: Callable[[], bool] = in_ascii,
) -> tuple[Headers, Record | None]:
    """Write a request's session headers, except those that the caller wrote itself.

    If the caller wrote a session id, the whole set is the caller's and none of ours is added. If it wrote only a
    path or a name, the rest is filled in. Either way the request's span is labelled with what leaves.

    Args:
        registry: Notes what left.
        location: Where the request is made.
        record: The record of the span that sends the request, if there is one.
        destination: Where the request goes.
        carrier: The request's headers, as they are now.
        write: Writes one header: the name and the text.
        reads_utf8: Tells whether the receiver reads values as UTF-8; asked only if one is not ASCII.

    Returns:
        The headers that leave and are ours, in wire form; and the record of the call, if a gateway makes its row.
    """
    wanted = location.headers
    present = _present(carrier, wanted)
    sender = record if record is not None else location.record
    if not present:
        for name, value in wanted:
            write(name, value if value.isascii() else _encoded(value, reads_utf8))
        return wanted, registry.locator.sent(sender, wanted, destination, location.record)
    # An instrumentation may inject twice for one request: what we wrote is not the caller's, in whatever form.
    values = dict(wanted)
    theirs = {name: value for name, value in present.items() if not _is_ours(value, values.get(name))}
    ours: Headers = ()
    if wire.SESSION_ID_HEADER not in theirs:
        ours = tuple(header for header in wanted if header[0] not in theirs)
    for name, value in ours:
        encoded = _encoded(value, reads_utf8)
        if present.get(name) != encoded:
            if name in present:
                _remove(carrier, name)
            write(name, encoded)
    leaving = {**theirs, **dict(ours)}
    call: Record | None = None
    if theirs.keys().isdisjoint(SESSION_HEADERS):
        row_id = wire.row_id_in(leaving)
        call = registry.locator.sent(sender, tuple(leaving.items()), destination, location.record, row_id)
    elif record is not None:
        call = registry.locator.adopt_caller_headers(record, leaving, destination)
    return ours, call


def _encoded(value: str, reads_utf8: Callable[[], bool]) -> str:
    return value if value.isascii() or reads_utf8() else percent_encoded(value)


def _is_ours(text: str, value: str | None) -> bool:
    return value is not None and (text == value or text == percent_encoded(value))


def _remove(carrier: object, name: str) -> None:
    """Remove a header from a carrier, however its name is spelled there."""
    key = name.lower()
    if isinstance(carrier, list):
        carrier[:] = [line for line in carrier if header_text(line[0]).lower() != key]
    elif isinstance(carrier, MutableMapping):
        for spelled in [spelled for spelled in carrier if header_text(spelled).lower() == key]:
            del carrier[spelled]


def adopt_caller_headers(
    registry: Registry, record: Record, destination: Destination, carrier: object
) -> Record | None:
    """Label a request's span with the session that its caller wrote, where there is none of ours.

    Returns:
        The record of the call, if a gateway makes its row.
    """
    theirs = _present(carrier, ())
    if wire.SESSION_ID_HEADER not in theirs:
        return None
    return registry.locator.adopt_caller_headers(record, theirs, destination)


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
        lower = name.lower() if isinstance(name, str) else header_text(name).lower()
        if lower.startswith(PREFIX):
            found[lower] = value
    if not found:
        return {}
    names = (*(name for name, _ in wanted), *SESSION_HEADERS, wire.REQUEST_ID_HEADER)
    return {name: header_text(found[key]) for name in names if (key := name.lower()) in found}

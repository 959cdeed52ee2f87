"""What stands in a request's headers already, and what we add. Shared by propagator and hook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Final

from .. import wire
from ..caches import Recent
from ..destinations import Destination
from ..tracking.locate import Location
from ..tracking.records import Record
from ..tracking.registry import Registry

SESSION_HEADERS: Final = wire.SESSION_HEADERS

PREFIX: Final = "helicone-"

_FIRST: Final = itemgetter(0)
_OURS: Final = PREFIX.encode()

Headers = tuple[tuple[str, str], ...]


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
        Which of the headers that leave are ours.
    """
    wanted = location.headers
    present = _present(carrier, wanted)
    sender = record if record is not None else location.record
    if not present:
        for name, value in wanted:
            write(name, value)
        registry.sent(sender, wanted, destination, location.record, location.row_id)
        return wanted
    # An instrumentation may inject twice for one request: what we wrote is not the caller's.
    said = dict(wanted)
    theirs = {name: value for name, value in present.items() if said.get(name) != value}
    if wire.REQUEST_ID_HEADER in said and sender is not None and _is_of_attempt_before(sender, theirs):
        del theirs[wire.REQUEST_ID_HEADER]
    ours: Headers = ()
    if wire.SESSION_ID_HEADER not in theirs:
        ours = tuple(header for header in wanted if header[0] not in theirs)
    for name, value in ours:
        if present.get(name) != value:
            write(name, value)
    leaving = {**theirs, **dict(ours)}
    if theirs.keys().isdisjoint(SESSION_HEADERS):
        registry.sent(sender, tuple(leaving.items()), destination, location.record, wire.row_id_in(leaving))
    elif record is not None:
        registry.adopt_caller_headers(record, leaving, destination)
    return ours


def _is_of_attempt_before(sender: Record, theirs: Mapping[str, str]) -> bool:
    """Tell whether the id of the row is ours: urllib3 tries again with the headers of the attempt before."""
    row_id = (wire.REQUEST_ID_HEADER, theirs.get(wire.REQUEST_ID_HEADER))
    return any(row_id in above.sent_headers for above in sender.line())


def adopt_caller_headers(registry: Registry, record: Record, destination: Destination, carrier: object) -> None:
    """Label a request's span with the session that its caller wrote, where there is none of ours."""
    theirs = _present(carrier, ())
    if wire.SESSION_ID_HEADER in theirs:
        registry.adopt_caller_headers(record, theirs, destination)


def _present(carrier: object, wanted: Headers) -> dict[str, str]:
    """Return which of our headers a carrier has already, by our spelling of their names."""
    # To ask httpx's headers for a name costs more than to look through all names at once.
    raw = carrier if isinstance(carrier, list) else getattr(carrier, "raw", None)
    if isinstance(raw, list):
        if _OURS not in b"".join(map(_FIRST, raw)).lower():
            return {}
        lines: Iterable[tuple[object, object]] = raw
    elif isinstance(carrier, Mapping):
        lines = carrier.items()
    else:
        return {}  # a carrier that only its own setter knows to handle
    # Not every mapping knows that HTTP tells no upper from lower case.
    there = {text: value for name, value in lines if (text := text_of(name).lower()).startswith(PREFIX)}
    if not there:
        return {}
    spelled = (*(name for name, _ in wanted), *SESSION_HEADERS, wire.REQUEST_ID_HEADER)
    return {name: text_of(there[lower]) for name in spelled if (lower := name.lower()) in there}


def text_of(value: object) -> str:
    """Return the name or the value of a header as text."""
    # httpx, requests and urllib3 hold bytes as well.
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


_MAX_WRITTEN: Final = 1024
_ID: Final = wire.SESSION_ID_HEADER.encode()
# Every set has an id. To look for its name costs less than to look at all names: this is on the way of
# every request to a host that is on no list, in an app that injects by hand.
ID_SPELLINGS: Final = frozenset({_ID, _ID.lower(), _ID.upper(), _ID.capitalize()})


class InjectedHeaders(Recent[frozenset[tuple[str, str]], None]):
    """The sets of headers that were written last, their names in lower case; empty until there is one."""

    def note(self, headers: Headers) -> None:
        """Remember a set of headers as the latest."""
        lines = frozenset((name.lower(), value) for name, value in headers)
        self.pop(lines, None)
        self.put(lines, None)

    def among(self, lines: Iterable[tuple[object, object]]) -> set[object]:
        """Return the names, as they are spelled there, of the headers among these that we wrote.

        Ours is only a set that is there whole: an app may well send the id of its session to a proxy of
        its own.
        """
        there = {
            (text, text_of(value)): name for name, value in lines if (text := text_of(name).lower()).startswith(PREFIX)
        }
        if not there:
            return set()
        return {there[line] for ours in tuple(self) if ours <= there.keys() for line in ours}


# One for the process, as the hooks are: whose propagator wrote does not matter to a stranger.
INJECTED: Final = InjectedHeaders(_MAX_WRITTEN)

"""Which session headers did the propagator put into requests? Needed where a redirect leads to another host.

Whoever sends a request, the propagator does not know how its client writes text. So what it writes is ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from . import wire
from .caches import Recent
from .wire import header_text, percent_encoded

PREFIX: Final = "helicone-"

_MAX_SETS: Final = 1024
_ID: Final = wire.SESSION_ID_HEADER.encode()
# Every set has a session id. To look for its name costs less than to look at all names: each request to a host that
# is on no list is looked at, in an app that injects by hand.
ID_SPELLINGS: Final = frozenset({_ID, _ID.lower(), _ID.upper(), _ID.capitalize()})


class InjectedHeaders(Recent[frozenset[tuple[str, str]], None]):
    """The sets of headers that were injected last, as they were written, with their names in lower case."""

    def __init__(self) -> None:
        super().__init__(_MAX_SETS)

    def note(self, headers: Iterable[tuple[str, str]]) -> None:
        """Remember a set of headers, given in wire form, as the latest."""
        lines = frozenset(
            (name.lower(), value if value.isascii() else percent_encoded(value)) for name, value in headers
        )
        self.pop(lines, None)
        self.put(lines, None)

    def among(self, headers: Iterable[tuple[object, object]]) -> set[object]:
        """Return the names of those headers that we injected, as they are spelled there.

        Only a set that is there as a whole is ours: an app may well send the id of its session to a proxy of
        its own.
        """
        found = {
            (text, header_text(value)): name
            for name, value in headers
            if (text := header_text(name).lower()).startswith(PREFIX)
        }
        if not found:
            return set()
        return {found[line] for ours in tuple(self) if ours <= found.keys() for line in ours}

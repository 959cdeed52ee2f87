"""What the propagator wrote lately: clients carry it along a redirect, where the hooks take it out again.

An HTTP instrumentation whose client is hooked writes nothing, because the hook does. An app that injects
by hand, below a span of its own, hands its client headers of ours that look like the app's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from . import _wire
from ._carriers import PREFIX, Headers, text_of
from ._memory import Recent

_MAX_WRITTEN: Final = 1024
_ID: Final = _wire.SESSION_ID_HEADER.encode()
# Every set has an id. To look for its name costs less than to look at all names: this is on the way of
# every request to a host that is on no list, in an app that injects by hand.
ID_SPELLINGS: Final = frozenset({_ID, _ID.lower(), _ID.upper(), _ID.capitalize()})


class Written(Recent[frozenset[tuple[str, str]], None]):
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
WRITTEN: Final = Written(_MAX_WRITTEN)

"""Which session headers did the propagator put into requests? Needed where a redirect leads to another host.

Whoever sends a request, the propagator does not know how its client writes text. So what it writes is ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from . import wire
from .caches import Generations, Recent
from .wire import header_text, percent_encoded

PREFIX: Final = "helicone-"

# In headers, of which a session has two to seven: at most 20 MB for both generations.
_MAX_LINES: Final = 65_536
# Requests on their way: a redirect comes at once.
_MAX_REQUESTS: Final = 1024
_ID_NAME: Final = wire.SESSION_ID_HEADER.lower()
_SESSION_NAMES: Final = frozenset(name.lower() for name in wire.SESSION_HEADERS)
_NEEDED: Final = frozenset({_ID_NAME, wire.SESSION_PATH_HEADER.lower()})

# In the place of a session id, which is never empty.
_ANY: Final = ""

_Line = tuple[str, str]


class InjectedHeaders:
    """The headers that were injected last, each with the session id beside it, and the requests that carried them.

    Only hashes are remembered. An app may well send the id of its session, or a path of its own below it, to a proxy
    of its own. So a header is taken for injected only in one of two cases: the id and the path beside it are injected,
    and nothing of the session is the app's; or the same request has just gone to a listed host, whatever the app had
    changed in it or taken out of it, and now follows a redirect.

    Attributes:
        noted: Whether anything was injected. An attribute, because each request asks.
    """

    def __init__(self) -> None:
        self.clear()

    def __len__(self) -> int:
        return len(self._lines)

    def clear(self) -> None:
        """Forget all of them."""
        self.noted = False
        self._lines: Generations[int, bool] = Generations(_MAX_LINES)
        self._carried: Recent[int, bool] = Recent(_MAX_REQUESTS)

    def note(self, headers: Iterable[_Line]) -> None:
        """Remember headers, given in wire form, among them a session id."""
        lines = [(name.lower(), value if value.isascii() else percent_encoded(value)) for name, value in headers]
        session_id = _id_in(lines)
        self.noted, young = True, self._lines.young
        for beside in (session_id, _ANY):
            for line in lines:
                if (key := hash((beside, line))) not in young:
                    self._lines.put(key, True)

    def note_carried(self, headers: Iterable[tuple[object, object]]) -> None:
        """Remember that a request with these headers goes to a listed host: a redirect may follow."""
        found = _helicones(headers)
        if self._injected(found, _ANY):
            self._carried.put(hash(frozenset(found)), True)

    def among(self, headers: Iterable[tuple[object, object]]) -> set[object]:
        """Return the names of those headers that we injected, as they are spelled there."""
        found = _helicones(headers)
        if not found:
            return set()
        if hash(frozenset(found)) in self._carried:
            return {found[line] for line in self._injected(found, _ANY)}
        ours = self._injected(found, _id_in(found))
        is_whole = {name for name, _ in ours} >= _NEEDED
        is_whole = is_whole and all(line in ours for line in found if line[0] in _SESSION_NAMES)
        return {found[line] for line in ours} if is_whole else set()

    def _injected(self, found: Iterable[_Line], beside: str | None) -> set[_Line]:
        """Return those headers that were injected beside a session id, or beside any."""
        lines = self._lines
        return {line for line in found if (key := hash((beside, line))) in lines.young or key in lines.old}


def _id_in(lines: Iterable[_Line]) -> str | None:
    return next((value for name, value in lines if name == _ID_NAME), None)


def _helicones(headers: Iterable[tuple[object, object]]) -> dict[_Line, object]:
    """Return the Helicone headers among others, with their names as they are spelled there."""
    return {
        (text, header_text(value)): name
        for name, value in headers
        if (text := header_text(name).lower()).startswith(PREFIX)
    }

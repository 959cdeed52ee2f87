"""The two values everything else speaks of: a session and a path inside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from .. import wire
from ..failures import warn_once
from ..wire import bounded

_BLANKS_AROUND_SLASH = r"\s*/\s*"


@dataclass(frozen=True)
class SessionPath:
    """A path such as `/review/security`: conceptual levels, outermost first.

    The same work always has the same path, so a segment names a function and never an occurrence
    (https://docs.helicone.ai/features/sessions). Segments are kept in wire form; blanks become
    `_`, empty levels vanish, and what lies deeper than 16 levels is cut.

    Args:
        text: The path, starting with `/`.

    Raises:
        TypeError: `text` is not a string.
        ValueError: `text` does not start with `/`.
    """

    segments: tuple[str, ...]

    def __init__(self, text: str = "/") -> None:
        if not isinstance(text, str):
            raise TypeError(f"a session path is a str such as '/review', not {type(text).__name__}")
        if not text.lstrip().startswith("/"):
            shown = text.strip()[:40]
            raise ValueError(f"a session path starts with '/': write {'/' + shown!r}, not {shown!r}")
        object.__setattr__(self, "segments", path_segments(text))

    @classmethod
    def of(cls, segments: Iterable[str]) -> SessionPath:
        """Return the path of segments that are in wire form already."""
        path = cls.__new__(cls)
        object.__setattr__(path, "segments", bounded(tuple(segments)))
        return path

    def __truediv__(self, segment: str) -> SessionPath:
        """Return the path one level deeper; a `/` inside `segment` becomes `_`."""
        if not isinstance(segment, str):
            return NotImplemented
        return SessionPath.of(self.segments + _non_empty([segment]))

    def __str__(self) -> str:
        return "/" + "/".join(self.segments)


def path_segments(text: str) -> tuple[str, ...]:
    """Return the segments of a text in which `/` separates levels; no leading `/` is needed."""
    return bounded(_non_empty(re.split(_BLANKS_AROUND_SLASH, text[: 16 * wire.MAX_PATH])))


def _non_empty(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(segment for name in names if (segment := wire.wire_segment(name)))


@dataclass(frozen=True)
class Session:
    """One task of an agent: what Helicone groups rows by, (id, name), and what belongs to it.

    Neither id nor name ever changes inside a session. The record is immutable; its wire form is
    computed once, so that starting a span or writing headers only reads.

    Attributes:
        id: As given, not encoded.
        name: Human-readable, shared by all sessions of the same kind; `None` means unnamed.
        path: The path at which everything in the session begins.
        user_id: For `Helicone-User-Id`.
        properties: For `Helicone-Property-<name>`; names are header tokens.
        provisional: The id was made up from the trace, nobody chose it.
    """

    id: str
    name: str | None = None
    path: SessionPath = field(default_factory=SessionPath)
    user_id: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict, hash=False)
    provisional: bool = False
    wire_id: str = field(init=False, repr=False, compare=False)
    wire_name: str = field(init=False, repr=False, compare=False)
    headers: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    """The headers of the session but for its path, in wire form."""

    def __post_init__(self) -> None:
        wire_name = wire.wire_text(self.name) if self.name else ""
        object.__setattr__(self, "properties", MappingProxyType(_safe_properties(self.properties)))
        object.__setattr__(self, "wire_id", wire.wire_text(self.id))
        object.__setattr__(self, "wire_name", wire_name)
        object.__setattr__(self, "headers", tuple(self._headers()))

    def __reduce__(self) -> tuple[type[Session], tuple[object, ...]]:
        # What makes `properties` read-only can be neither pickled nor copied.
        return Session, (self.id, self.name, self.path, self.user_id, dict(self.properties), self.provisional)

    def _headers(self) -> Iterable[tuple[str, str]]:
        # An empty header counts as absent (Helicone tests for truth), so none is ever written.
        yield wire.SESSION_ID_HEADER, self.wire_id
        if self.wire_name:
            yield wire.SESSION_NAME_HEADER, self.wire_name
        if self.user_id and (user_id := wire.wire_text(self.user_id)):
            yield wire.USER_ID_HEADER, user_id
        for name, value in self.properties.items():
            yield wire.PROPERTY_HEADER_PREFIX + name, value


class SessionDetails(NamedTuple):
    """What spans tell beside a session's id: whose it is, and its properties."""

    user_id: str | None
    properties: Mapping[str, str]

    def added_to(self, session: Session) -> Session:
        """Return a session that has these too; what it has already stays."""
        user_id = session.user_id or self.user_id
        properties = {**self.properties, **session.properties}
        if user_id == session.user_id and len(properties) == len(session.properties):
            return session
        return replace(session, user_id=user_id, properties=properties)


def _safe_properties(properties: Mapping[Any, Any]) -> dict[str, str]:
    kept: dict[str, str] = {}
    for name, value in properties.items():
        if not isinstance(name, str) or not wire.is_property_name(name):
            warn_once(
                "A session property was left out: its name must be a header token (letters, digits, '-', '_', '.')."
            )
        elif len(kept) == wire.MAX_PROPERTIES:
            warn_once(f"A session has more than {wire.MAX_PROPERTIES} properties; the rest is left out.")
        elif value is not None and (text := wire.wire_text(str(value))):
            kept[name] = text
    return kept

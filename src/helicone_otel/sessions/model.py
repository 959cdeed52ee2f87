"""The values `Session` and `SessionPath`: an id and a name, and a path of levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from importlib import import_module
from types import MappingProxyType
from typing import Any, ClassVar, Final

from .. import wire
from ..failures import warn_once
from ..values import Value
from ..wire import bounded


class SessionPath(Value):
    """A path such as `/review/security`: conceptual levels, outermost first.

    The same work always has the same path, so a segment names a function and never an occurrence
    (https://docs.helicone.ai/features/sessions). Segments are in wire form: blanks become `_`, and empty
    levels are left out. A path has at most 16 levels and 512 bytes of UTF-8.

        path = SessionPath("/review") / "security"
        str(path)  # "/review/security"

    Args:
        text: The path, starting with `/`.

    Attributes:
        segments: The levels in wire form, outermost first.

    Raises:
        TypeError: `text` is not a string.
        ValueError: `text` does not start with `/`.
    """

    segments: tuple[str, ...]

    _compared: ClassVar = ("segments",)
    _hashed: ClassVar = _compared
    _printed: ClassVar = _compared

    def __init__(self, text: str = "/") -> None:
        if not isinstance(text, str):
            raise TypeError(f"a session path must be a str such as '/review', not {type(text).__name__}")
        if not text.lstrip().startswith("/"):
            start = text.strip()[:40]
            raise ValueError(f"a session path must start with '/': write {'/' + start!r}, not {start!r}")
        vars(self)["segments"] = path_segments(text)

    @classmethod
    def of(cls, segments: Iterable[str]) -> SessionPath:
        """Return the path with these segments, which must be in wire form already."""
        path = cls.__new__(cls)
        vars(path)["segments"] = bounded(tuple(segments))
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
    return bounded(_non_empty(text[: 16 * wire.MAX_PATH].split("/")))


def _non_empty(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(segment for name in names if (segment := wire.wire_segment(name)))


_ROOT: Final = SessionPath()
_NO_PROPERTIES: Final[Mapping[str, str]] = MappingProxyType({})


class Session(Value):
    """One task of an agent. Helicone groups rows by session id and name.

    The id and the name never change inside a session. The value is immutable. It computes its wire form once,
    so that a span that starts and headers that leave only read it.

        with session("Trip Planning", id=conversation_id) as opened:
            print(opened.id, opened.name)

    Attributes:
        id: The id as given, not encoded.
        name: Human-readable, and the same for all sessions of a kind; `None` if the session has no name.
        path: The path at which everything in the session begins.
        user_id: The user's id, for the header `Helicone-User-Id`; `None` if there is none.
        properties: Values by name, for the headers `Helicone-Property-<name>`; names are header tokens.
        provisional: Whether nobody chose the id, so that it is the trace's.
        wire_id: The id in wire form.
        wire_name: The name in wire form; empty if there is none.
        valid_id: The id for attributes such as `session.id`: not encoded, at most 1,024 characters.
        valid_user_id: The user's id in the same form; empty if there is none.
        headers: The headers of the session in wire form, without the path.
    """

    id: str
    name: str | None
    path: SessionPath
    user_id: str | None
    properties: Mapping[str, str]
    provisional: bool

    wire_id: str = field(init=False, repr=False, compare=False)
    wire_name: str = field(init=False, repr=False, compare=False)
    valid_id: str = field(init=False, repr=False, compare=False)
    valid_user_id: str = field(init=False, repr=False, compare=False)
    headers: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)

    _compared: ClassVar = ("id", "name", "path", "user_id", "properties", "provisional")
    _hashed: ClassVar = ("id", "name", "path", "user_id", "provisional")
    _printed: ClassVar = _compared

    def __init__(
        self,
        id: str,  # noqa: A002  # the word users know
        name: str | None = None,
        path: SessionPath = _ROOT,
        user_id: str | None = None,
        properties: Mapping[str, str] = _NO_PROPERTIES,
        provisional: bool = False,
    ) -> None:
        fields: dict[str, object] = vars(self)
        fields["id"] = id
        fields["name"] = name
        fields["path"] = path
        fields["user_id"] = user_id
        fields["properties"] = MappingProxyType(_safe_properties(properties))
        fields["provisional"] = provisional
        fields["wire_id"] = wire.wire_text(id)
        fields["wire_name"] = wire.wire_text(name) if name else ""
        fields["valid_id"] = wire.valid_text(id)
        fields["valid_user_id"] = wire.valid_text(user_id) if user_id else ""
        fields["headers"] = tuple(self._headers())

    def __reduce__(self) -> tuple[type[Session], tuple[object, ...]]:
        # A `MappingProxyType`, which makes `properties` read-only, can be neither pickled nor copied.
        return Session, (self.id, self.name, self.path, self.user_id, dict(self.properties), self.provisional)

    def _repr_html_(self) -> str | None:
        """Return the drawing that a notebook shows: id, path and a link to the view, and more if spans are kept."""
        # By its name, as the package loads its public names: it is built on what is built on this module.
        drawn: str | None = import_module("helicone_otel.notebooks").session_as_html(self)
        return drawn

    def _headers(self) -> Iterable[tuple[str, str]]:
        # Helicone treats an empty header as absent, so an empty one is never written.
        yield wire.SESSION_ID_HEADER, self.wire_id
        if self.wire_name:
            yield wire.SESSION_NAME_HEADER, self.wire_name
        if self.user_id and (user_id := wire.wire_text(self.user_id)):
            yield wire.USER_ID_HEADER, user_id
        for name, text in self.properties.items():
            yield wire.PROPERTY_HEADER_PREFIX + name, text


class SessionDetails:
    """The user's id and the properties that attributes of a span give to its session."""

    __slots__ = ("properties", "user_id")

    def __init__(self, user_id: str | None, properties: Mapping[str, str]) -> None:
        self.user_id = user_id
        self.properties = properties

    def added_to(self, session: Session) -> Session:
        """Return a session with these details added; its own user id and properties win."""
        user_id = session.user_id or self.user_id
        properties = {**self.properties, **session.properties}
        if user_id == session.user_id and len(properties) == len(session.properties):
            return session
        return replace(session, user_id=user_id, properties=properties)


def _safe_properties(properties: Mapping[Any, Any]) -> dict[str, str]:
    kept: dict[str, str] = {}
    size = 0
    for name, content in properties.items():
        if not isinstance(name, str) or not wire.is_property_name(name):
            warn_once(
                "A session property was left out: its name must be a header token (letters, digits, '-', '_', '.')."
            )
        elif len(kept) == wire.MAX_PROPERTIES:
            warn_once(f"A session has more than {wire.MAX_PROPERTIES} properties; the others were left out.")
        elif content is not None and (text := wire.wire_text(str(content))):
            size += len(text) if text.isascii() else len(wire.percent_encoded(text))
            if size > wire.MAX_PROPERTIES_SIZE:
                warn_once("The properties of a session are too long for headers; the last ones were left out.")
                break
            kept[name] = text
    return kept

"""What Helicone reads from headers, or from the `meta` of a log, which it makes headers of: session, ids and keys.

It uses the `Headers` of the WHATWG (https://fetch.spec.whatwg.org/#headers-class): names in any case,
outer blanks stripped, and an error for what cannot be a header. Those of the worker's runtime hold any text, and read
headers as UTF-8. Those of Node, in which jawn runs, have one character for each byte.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_INNER: Final = re.compile(r"[\r\n\0]")
_BLANKS: Final = " \t\r\n"
_LAST_BYTE: Final = "\xff"
# Versions 1 to 5 of RFC 9562's variant. For anything else, Helicone makes an id of its own.
_REQUEST_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z", re.IGNORECASE
)
_PROPERTY: Final = "helicone-property-"
# Headers that become properties of the same name, in this spelling.
_COPIED: Final = (
    "Helicone-Session-Id",
    "Helicone-Session-Path",
    "Helicone-Session-Name",
    "Helicone-Prompt-Id",
    "Helicone-Cache-Enabled",
    "Helicone-Cache-Seed",
    "Helicone-Cache-Bucket-Max-Size",
    "Helicone-Cache-Control",
    "Helicone-Experiment-Id",
)

# Built like Helicone's own keys, so that a search for leaked keys finds these harmless ones.
KEY: Final = "sk-helicone-testing-fixture-nothing-private"
WRITE_ONLY_KEY: Final = "pk-helicone-testing-fixture-nothing-private"
# The organization of both keys, and of requests to the gateway without a key of Helicone's.
DEFAULT: Final = "default"
# What Helicone's worker recognises a key of its European region by.
_EUROPEAN: Final = "helicone-eu"
_WELL_FORMED: Final = re.compile(r"[sp]k(-helicone)?(-eu)?(-cp)?(-rl)?(-\w{7}){4}\Z", re.ASCII)
_KEY_HEADERS: Final = ("authorization", "x-api-key", "api-key")


class HeadersError(Exception):
    """Something cannot be a header: `new Headers(…)` throws, and Helicone answers 500."""


class HeliconeHeaders(NamedTuple):
    """The Helicone headers of a request.

    Attributes:
        request_id: The id that was sent if it is a UUID, else a random one.
        user_id: Empty if there is none.
        properties: Session id, path and name under Helicone's own names, others under theirs in lower case.
        omits: `request`, `response` or both: the bodies that are not stored.
    """

    request_id: str
    user_id: str
    properties: Mapping[str, str]
    omits: frozenset[str]


def from_http(headers: Iterable[tuple[str, str]], *, node: bool = False) -> dict[str, str]:
    """Return the headers of a request by their names in lower case. Values of one name are joined.

    Args:
        headers: Names and values, with one character for each byte.
        node: Whether Node reads them, and not the worker's runtime.
    """
    read = str if node else as_utf8
    return _joined((name, read(value.strip(_BLANKS))) for name, value in headers)


def as_utf8(value: str) -> str:
    """Return what the worker's runtime reads of a header. What is not UTF-8 is lost.

    Args:
        value: The header, with one character for each byte.
    """
    return value.encode("latin-1").decode("utf-8", "replace")


def from_meta(meta: object, *, node: bool = False) -> dict[str, str]:
    """Return the headers that JavaScript makes of a value of JSON, by their names in lower case.

    Args:
        meta: The value.
        node: Whether Node makes them, and not the worker's runtime.

    Raises:
        HeadersError: The value, a name or a value in it cannot be made a header.
    """
    pairs = [(name, value.strip(_BLANKS)) for name, value in _pairs(meta)]
    for name, value in pairs:
        if not _TOKEN.match(name):
            raise HeadersError(f"{name!r} cannot be the name of a header")
        if _INNER.search(value) or (node and max(value, default="") > _LAST_BYTE):
            raise HeadersError(f"the value of {name} cannot be in a header")
    # Half of a surrogate pair is no text.
    return _joined((name, value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")) for name, value in pairs)


def helicone_headers(headers: Mapping[str, str]) -> HeliconeHeaders:
    """Return the Helicone headers among others, by their names in lower case. An empty header counts as none."""
    properties = {name: value for name in _COPIED if (value := headers.get(name.lower()))}
    if headers.get("helicone-posthog-key"):
        properties["Helicone-Sent-To-Posthog"] = "true"
    for name, value in headers.items():
        if name.startswith(_PROPERTY) and name != _PROPERTY:
            properties[name.removeprefix(_PROPERTY)] = value
    wanted = headers.get("helicone-request-id", "")
    return HeliconeHeaders(
        wanted if _REQUEST_ID.match(wanted) else str(uuid.uuid4()),
        headers.get("helicone-user-id", ""),
        properties,
        frozenset(side for side in ("request", "response") if headers.get(f"helicone-omit-{side}") == "true"),
    )


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def _pairs(meta: object) -> Iterator[tuple[str, str]]:
    if isinstance(meta, Mapping):
        yield from ((name, as_text(value)) for name, value in meta.items())
    elif isinstance(meta, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in meta):  # noqa: PLR2004
        yield from ((as_text(name), as_text(value)) for name, value in meta)
    else:
        raise HeadersError(f"no headers can be made of {meta!r:.60}")


def as_text(value: Any) -> str:
    """Return what JavaScript's `String(value)` makes of a value of JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case dict():
            return "[object Object]"
        case list():
            return ",".join("" if entry is None else as_text(entry) for entry in value)
        case _:
            return str(value)


class KeyOwner(NamedTuple):
    """The owner of a key.

    Attributes:
        organization: Its rows are seen by the keys of this organization only.
        reads: Whether jawn lets the key use `GET`. A key that begins with `pk-` may only use `POST` and `PUT`.
    """

    organization: str
    reads: bool


def new_key() -> str:
    """Return a random key."""
    return "-".join(["sk-helicone", *(secrets.token_hex(4)[:7] for _ in range(4))])


def is_well_formed(key: str) -> bool:
    """Tell whether a key looks like one of Helicone's."""
    return _WELL_FORMED.match(key) is not None


def has_any_key(headers: Mapping[str, str]) -> bool:
    """Tell whether any header could hold a key, which is all that the worker checks first."""
    return any(headers.get(name) for name in _KEY_HEADERS)


def key_of(headers: Mapping[str, str]) -> str:
    """Return Helicone's key from the headers of a request, or an empty text.

    `Helicone-Auth` goes before `Authorization`, which may hold the provider's key and ours with a comma in between.
    """
    value = headers.get("helicone-auth") or headers.get("authorization", "")
    if "Bearer " not in value:
        return ""
    keys = [part.strip().removeprefix("Bearer ").strip() for part in value.split(",")]
    return next((key for key in keys if is_well_formed(key)), keys[0])


class Keys:
    """The keys that exist. Other keys are refused, even if they are well formed."""

    def __init__(self, key: str = KEY) -> None:
        self._owners: dict[str, KeyOwner] = {}
        self.admit(key)
        self.admit(WRITE_ONLY_KEY)

    def admit(self, key: str, organization: str = DEFAULT) -> None:
        """Add a key.

        Raises:
            ValueError: It is not built like Helicone's keys.
        """
        if not is_well_formed(key):
            raise ValueError("key: one of Helicone's is sk- or pk-, then helicone-, then four times seven characters")
        self._owners[key] = KeyOwner(organization, reads=key.startswith("sk-"))

    def owner(self, key: str) -> KeyOwner | None:
        """Return the owner of a key, or `None` if there is no such key."""
        return self._owners.get(key)

    def of_region(self, *, is_european: bool) -> Keys:
        """Return the keys that are known in Europe, or elsewhere: each region has a database of its own."""
        regional = Keys()
        regional._owners = {key: owner for key, owner in self._owners.items() if (_EUROPEAN in key) == is_european}
        return regional

"""What Helicone reads from headers, or from a log's `meta`, which it turns into headers first.

It uses the `Headers` of the WHATWG (https://fetch.spec.whatwg.org/#headers-class): names in any case,
outer blanks stripped, and an error for whatever could not be a header.
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
# Versions 1 to 5 of RFC 9562's variant; whatever else is sent, another id is made up.
_REQUEST_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z", re.IGNORECASE
)
_PROPERTY: Final = "helicone-property-"
# Headers that become properties of the same name, spelled like this.
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


class HeadersError(Exception):
    """What `new Headers(…)` throws; Helicone answers 500."""


class Said(NamedTuple):
    """What the headers of a row say.

    Attributes:
        request_id: Always one that Helicone accepts.
        user_id: Empty if there is none.
    """

    request_id: str
    user_id: str
    properties: Mapping[str, str]
    omits: frozenset[str]


def from_http(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers of a request by their lower-case names; those sent twice are joined."""
    return _joined((name, value.strip(_BLANKS)) for name, value in headers)


def from_meta(meta: object) -> dict[str, str]:
    """Return the headers that JavaScript makes of a value of JSON, by their lower-case names.

    Raises:
        HeadersError: It throws.
    """
    pairs = [(name, value.strip(_BLANKS)) for name, value in _pairs(meta)]
    for name, value in pairs:
        if not _TOKEN.match(name):
            raise HeadersError(f"{name!r} is no name of a header")
        if _INNER.search(value) or max(value, default="") > _LAST_BYTE:
            raise HeadersError(f"the value of {name} cannot be that of a header")
    return _joined(pairs)


def said(headers: Mapping[str, str]) -> Said:
    """Read headers as Helicone does: an empty one counts as none."""
    properties = {name: value for name in _COPIED if (value := headers.get(name.lower()))}
    if headers.get("helicone-posthog-key"):
        properties["Helicone-Sent-To-Posthog"] = "true"
    for name, value in headers.items():
        if name.startswith(_PROPERTY) and name != _PROPERTY:
            properties[name.removeprefix(_PROPERTY)] = value
    wanted = headers.get("helicone-request-id", "")
    return Said(
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


# Made of the same parts as Helicone's own, so that whoever looks for leaked ones finds these harmless.
KEY: Final = "sk-helicone-testing-fixture-nothing-private"
WRITE_ONLY_KEY: Final = "pk-helicone-testing-fixture-nothing-private"
# The organisation of both, and of requests to the gateway that show no key of Helicone's.
DEFAULT: Final = "default"
_WELL_FORMED: Final = re.compile(r"[sp]k(-helicone)?(-eu)?(-cp)?(-rl)?(-\w{7}){4}\Z", re.ASCII)
_SHOWN: Final = ("authorization", "x-api-key", "api-key")


class Owner(NamedTuple):
    """Whom a key belongs to.

    Attributes:
        reads: Whether it is good for queries; every key that begins with `pk-` is good for logs only.
    """

    organization: str
    reads: bool


def new_key() -> str:
    """Return a key that nobody else has."""
    return "-".join(["sk-helicone", *(secrets.token_hex(4)[:7] for _ in range(4))])


def is_well_formed(key: str) -> bool:
    """Tell whether a key looks like one of Helicone's."""
    return _WELL_FORMED.match(key) is not None


def shows_any(headers: Mapping[str, str]) -> bool:
    """Tell whether there is anything that could be a key, which is all that the worker asks first."""
    return any(headers.get(name) for name in _SHOWN)


def key_of(headers: Mapping[str, str]) -> str:
    """Return Helicone's key from the headers of a request, or nothing.

    `Helicone-Auth` goes before `Authorization`, which may hold the provider's key and ours with a comma in between.
    """
    shown = headers.get("helicone-auth") or headers.get("authorization", "")
    if "Bearer " not in shown:
        return ""
    keys = [part.strip().removeprefix("Bearer ").strip() for part in shown.split(",")]
    return next((key for key in keys if is_well_formed(key)), keys[0])


class Keys:
    """The keys that exist. One that does not is well formed at best."""

    def __init__(self, key: str = KEY) -> None:
        self._owners: dict[str, Owner] = {}
        self.admit(key)
        self.admit(WRITE_ONLY_KEY)

    def admit(self, key: str, organization: str = DEFAULT) -> None:
        """Let a key exist.

        Raises:
            ValueError: It is none that Helicone would give out.
        """
        if not is_well_formed(key):
            raise ValueError("a key of Helicone's is sk- or pk-, then helicone-, then four times seven characters")
        self._owners[key] = Owner(organization, reads=key.startswith("sk-"))

    def owner(self, key: str) -> Owner | None:
        """Return whom a key belongs to, if it exists."""
        return self._owners.get(key)

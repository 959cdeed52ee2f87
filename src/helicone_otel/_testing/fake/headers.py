"""What Helicone reads from headers, or from a log's `meta`, which it turns into headers first.

It uses the `Headers` of the WHATWG (https://fetch.spec.whatwg.org/#headers-class): names in any case,
outer blanks stripped, and an error for whatever could not be a header.
"""

from __future__ import annotations

import re
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

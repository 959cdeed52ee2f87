"""Who may write and who may read: Helicone's keys, and the organisations that they belong to."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

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

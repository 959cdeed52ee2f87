"""A request as it arrived, and what is answered to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from .rows import Row

JSON_TYPE: Final = "application/json"
# Headers of Helicone's that tell nothing of a session.
_ASIDE: Final = frozenset({"helicone-auth", "helicone-request-id"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it arrived.

    Attributes:
        head: The request line and the headers with the empty line after them, byte for byte.
        body: The body, byte for byte.
        method: Such as `POST`.
        path: With the query.
        headers: Names and values in the order and the case in which they were sent.
    """

    head: bytes = field(repr=False)
    body: bytes = field(repr=False)
    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    @property
    def helicone_headers(self) -> dict[str, str]:
        """The `Helicone-*` headers in the case in which they were sent.

        The key in `Helicone-Auth` is left out, and so is `Helicone-Request-Id`, which is another one each time.
        """
        return {name: value for name, value in self.headers if name.lower() not in _ASIDE and _is_helicones(name)}

    @property
    def request_id(self) -> str | None:
        """The id of the row that Helicone makes of this request: `helicone.request.id` on its span."""
        return self.header("Helicone-Request-Id")

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the value of a header, whatever case its name was sent in, or `None`."""
        return next((value for sent, value in self.headers if sent.lower() == name.lower()), None)


class Reply(NamedTuple):
    """An answer.

    Attributes:
        seconds: How long it takes until it is there, all in all.
        events: Parts that are sent one by one instead of the body.
    """

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    events: tuple[bytes, ...] = ()


class Outcome(NamedTuple):
    """What came of a request: an answer, and rows if some are made of it."""

    reply: Reply
    rows: tuple[Row, ...] = ()


def in_json(status: int, body: Mapping[str, object], *headers: tuple[str, str]) -> Reply:
    """Return an answer in JSON."""
    return Reply(status, json.dumps(body).encode(), JSON_TYPE, headers)


def in_text(status: int, text: str, *headers: tuple[str, str]) -> Reply:
    """Return an answer in plain text."""
    return Reply(status, text.encode(), "text/plain;charset=UTF-8", headers)


def refused(status: int, error: str) -> Outcome:
    """Return the answer to what is not accepted."""
    return Outcome(in_json(status, {"error": error}))


def _is_helicones(name: str) -> bool:
    return name.lower().startswith("helicone-")

"""What an answer, or none, means for a row.

Helicone says `ok` with 200; a 200 that says anything else is a failure
(https://github.com/Helicone/helicone/blob/main/worker/src/lib/managers/AsyncLogManager.ts).
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, NamedTuple

# Longer than this no server is waited for at a time, whatever it says.
MAX_WAIT: Final = 60.0
_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]*)?")
_TOKEN: Final = re.compile(r"[sp]k-[\w-]+")
_MAX_SHOWN: Final = 120


class Delivery(enum.Enum):
    """What becomes of a row."""

    DELIVERED = "delivered"
    LATER = "later"
    REFUSED = "refused"


class DeliveryResult(NamedTuple):
    """What becomes of a row, and why.

    Attributes:
        reason: For people; the same for all rows of which the same is true.
        detail: What the server said itself.
        wait: How many seconds the server asks us to wait.
        answered: The server answered, or took its time: it may be this row that it cannot stand.
        stale: A connection that had been open for a while was gone: that is no fault of the server's.
    """

    delivery: Delivery
    reason: str = ""
    detail: str = ""
    wait: float | None = None
    answered: bool = False
    stale: bool = False


def judge(status: int, headers: Mapping[str, str], body: bytes) -> DeliveryResult:
    """Judge an answer."""
    if status == HTTPStatus.OK:
        if body.strip() in {b"ok", b'"ok"'}:
            return DeliveryResult(Delivery.DELIVERED)
        return DeliveryResult(Delivery.REFUSED, "Helicone answered 200 without saying ok", said(body))
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        wait = retry_after(headers.get("Retry-After"))
        return DeliveryResult(Delivery.LATER, f"Helicone answered {status}", wait=wait, answered=True)
    return DeliveryResult(Delivery.REFUSED, _REFUSALS.get(status) or _refusal(status), said(body))


def _refusal(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"Helicone's address answered {status}, a redirect: it is not followed, because the key would go along"
    return f"Helicone answered {status}"


_REFUSALS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "Helicone refused the key (401): check HELICONE_API_KEY, or what key_for returned",
    HTTPStatus.FORBIDDEN: "Helicone refused the key (403): check HELICONE_API_KEY, or what key_for returned",
    HTTPStatus.NOT_FOUND: "there is no log at this address (404): check HELICONE_LOG_ENDPOINT",
}


def said(body: bytes) -> str:
    """Return what an answer says, short and in one line, without anything that looks like a key."""
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
        text = str(parsed["error"]) if isinstance(parsed, dict) and "error" in parsed else text
    except ValueError:
        pass
    line = " ".join(_TOKEN.sub("***", text).split())
    return "".join(character if character.isprintable() else "?" for character in line)[:_MAX_SHOWN]


def retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Return how many seconds a `Retry-After` asks for, at most `MAX_WAIT`; `None` if it says nothing.

    https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        return min(float(text), MAX_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max((moment - (now or datetime.now(UTC))).total_seconds(), 0.0), MAX_WAIT)

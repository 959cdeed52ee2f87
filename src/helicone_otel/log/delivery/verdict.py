"""Decides what the answer of Helicone means for a row: delivered, to be sent later, or refused.

Helicone's worker answers `ok`, its API server nothing. A success with another body is a failure
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

# The longest pause, in seconds, even if a server asks for more.
MAX_WAIT: Final = 60.0
_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
# By status: why a row is refused, for people.
_REFUSALS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "Helicone refused the key (401): check HELICONE_API_KEY, or what key_for returned",
    HTTPStatus.FORBIDDEN: "Helicone refused the key (403): check HELICONE_API_KEY, or what key_for returned",
    HTTPStatus.NOT_FOUND: "there is no log at this address (404): check HELICONE_LOG_ENDPOINT",
}
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]*)?")
_TOKEN: Final = re.compile(r"[sp]k-[\w-]+")
_MAX_SHOWN: Final = 120


class Delivery(enum.Enum):
    """Whether a row was delivered."""

    DELIVERED = "delivered"
    LATER = "later"
    REFUSED = "refused"


class DeliveryResult(NamedTuple):
    """Whether a row was delivered, and why not.

    Attributes:
        reason: Why not, for people. It is the same text for all rows with the same reason.
        detail: The server's own message, or the type of the error.
        wait: How many seconds the server asks us to wait.
        answered: The server answered, or took too long: the fault may be the row's.
        stale: A connection that had been open for a while was gone, which is not the server's fault.
    """

    delivery: Delivery
    reason: str = ""
    detail: str = ""
    wait: float | None = None
    answered: bool = False
    stale: bool = False


def is_success(status: int) -> bool:
    """Tell whether a status is a success: 200 or another from 200 to 299."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def result_of_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, is_api_server: bool = False
) -> DeliveryResult:
    """Return what the answer to a row means.

    Args:
        status: The status of the answer.
        headers: Its headers.
        body: Its body.
        is_api_server: Whether the row was sent to Helicone's API server, and not to its worker.
    """
    if is_success(status):
        if body.strip() in ({b""} if is_api_server else {b"ok", b'"ok"'}):
            return DeliveryResult(Delivery.DELIVERED)
        fault = "with a body, which its API server does not" if is_api_server else "without saying ok"
        return DeliveryResult(Delivery.REFUSED, f"Helicone answered {status} {fault}", error_text(body))
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        wait = retry_after(headers.get("Retry-After"))
        return DeliveryResult(Delivery.LATER, f"Helicone answered {status}", wait=wait, answered=True)
    return DeliveryResult(Delivery.REFUSED, _REFUSALS.get(status) or _refusal(status), error_text(body))


def _refusal(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return (
            f"Helicone's address answered {status}, a redirect: it is not followed, because the key would be sent there"
        )
    return f"Helicone answered {status}"


def error_text(body: bytes) -> str:
    """Return the error in the body of an answer, in one short line, without anything that looks like a key."""
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
        text = str(parsed["error"]) if isinstance(parsed, dict) and "error" in parsed else text
    except ValueError:
        pass
    line = " ".join(_TOKEN.sub("***", text).split())
    return "".join(character if character.isprintable() else "?" for character in line)[:_MAX_SHOWN]


def retry_after(text: str | None, now: datetime | None = None) -> float | None:
    """Return how many seconds a `Retry-After` asks for, at most `MAX_WAIT`; `None` if it cannot be read.

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

"""Decides what the answer of Helicone means for a row: delivered, to be sent later, or refused.

Helicone's worker answers `ok`, its API server nothing. A success with another body is a failure
(https://github.com/Helicone/helicone/blob/main/worker/src/lib/managers/AsyncLogManager.ts).
"""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, NamedTuple

from .answer import Answer
from .quotes import error_text

# The longest pause, in seconds, even if a server asks for more.
MAX_WAIT: Final = 60.0
# The state of the server, or of a proxy before it: the same row may be accepted later, however often it is put off.
_STATES: Final = frozenset(
    {
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
        HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED,
        529,  # "the site is overloaded", which Cloudflare and others send
    }
)
# By status: why a row is refused, for people.
_REFUSALS: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "Helicone refused the key (401): check HELICONE_API_KEY, or what key_for returned",
    HTTPStatus.FORBIDDEN: "Helicone refused the key (403): check HELICONE_API_KEY, or what key_for returned",
    HTTPStatus.NOT_FOUND: "there is no log at this address (404): check HELICONE_LOG_ENDPOINT",
}
_OK: Final = (b"ok", b'"ok"')
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]*)?")


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
        limited: The server says that rows come too fast.
        blames_row: It may be the row that is at fault, if others are delivered.
    """

    delivery: Delivery
    reason: str = ""
    detail: str = ""
    wait: float | None = None
    limited: bool = False
    blames_row: bool = False


BROKEN_OFF: Final = DeliveryResult(Delivery.LATER, "the connection to Helicone broke off", blames_row=True)


def is_success(status: int) -> bool:
    """Tell whether a status is a success: 200 or another from 200 to 299."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def result_of_answer(answer: Answer, key: str, *, is_api_server: bool = False) -> DeliveryResult:
    """Return what the answer to a row means.

    Args:
        answer: The answer.
        key: The key that was sent, which is not shown if the server quotes it.
        is_api_server: Whether the row was sent to Helicone's API server, and not to its worker.
    """
    status, body = answer.status, answer.body.strip()
    if is_success(status):
        if body in ((b"",) if is_api_server else _OK):
            return DeliveryResult(Delivery.DELIVERED)
        if answer.is_open_ended and not is_api_server and any(whole.startswith(body) for whole in _OK):
            return BROKEN_OFF  # only the end of the connection says where such an answer ends
        fault = "with a body, which its API server does not" if is_api_server else "without saying ok"
        return DeliveryResult(Delivery.REFUSED, f"Helicone answered {status} {fault}", error_text(answer.body, key))
    if status in _STATES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return DeliveryResult(
            Delivery.LATER,
            f"Helicone answered {status}",
            wait=retry_after(answer.headers.get("retry-after")),
            limited=status == HTTPStatus.TOO_MANY_REQUESTS,
            blames_row=status not in _STATES,
        )
    return DeliveryResult(Delivery.REFUSED, _REFUSALS.get(status) or _refusal(status), error_text(body, key))


def _refusal(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return (
            f"Helicone's address answered {status}, a redirect: it is not followed, because the key would be sent there"
        )
    return f"Helicone answered {status}"


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

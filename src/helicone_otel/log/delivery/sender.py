"""Sends one row once, and says what became of it."""

from __future__ import annotations

import encodings.idna  # noqa: F401  # or the first connection would load it, and a fork would not wait for that
import re
import ssl
import time
from typing import Final

# As a whole first: a thread that begins with a part of a package holds the lock of that part while it waits for the
# package. If the app imports the package just then, and so that part, Python fails the app's import (`_DeadlockError`).
import urllib3  # noqa: F401
from urllib3.util.ssl_match_hostname import CertificateError

from ...endpoints import is_api_server
from .connections import Connections, address_of
from .http_call import HttpCall, NoConnectionError, answer_to
from .lane import PendingRow
from .quotes import quoted
from .verdict import BROKEN_OFF, Delivery, DeliveryResult, result_of_answer


class RowSender:
    """Sends rows to Helicone.

    Args:
        endpoint: The address of its log. The environment may name a proxy for it.
        connections: How many connections stay open at most.
        seconds: How long one request may take as a whole.
    """

    def __init__(self, endpoint: str, connections: int, seconds: float) -> None:
        self._seconds = seconds
        self._is_api_server = is_api_server(endpoint)
        self._connections = Connections(connections)
        # A proxy that cannot be used is a mistake that people see when the app starts.
        self._connections.proxy_of(address_of(endpoint))

    def send(self, row: PendingRow, seconds: float | None = None) -> DeliveryResult:
        """Send a row, and return the result. Never raises.

        Args:
            row: The row.
            seconds: How long it may take, if that is less than usual.
        """
        within = min(self._seconds, seconds) if seconds is not None else self._seconds
        result = self._sent(row, time.monotonic() + within)
        # A caller with less time than usual cut it short: that is not the row's fault.
        return result if within >= self._seconds else result._replace(blames_row=False)

    def leave(self) -> None:
        """Close the connections that only this thread can use, before it ends."""
        self._connections.leave()

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._connections.close()

    def _sent(self, row: PendingRow, until: float) -> DeliveryResult:
        try:
            answer = answer_to(HttpCall("POST", row.url, row.key, row.body), self._connections, until)
        except NoConnectionError as error:
            return _result_of_connecting(error.__cause__)
        except Exception as error:  # noqa: BLE001  # of any kind: this row failed, and the next may not
            return _result_of_exchange(error)
        return result_of_answer(answer, row.key, is_api_server=self._is_api_server)


# --- errors ---------------------------------------------------------------------------------------------

_TOO_LATE: Final = DeliveryResult(Delivery.LATER, "Helicone did not answer in time", blames_row=True)
_UNREACHABLE: Final = DeliveryResult(Delivery.LATER, "Helicone cannot be reached")
_UNTRUSTED: Final = DeliveryResult(
    Delivery.REFUSED, "no encrypted connection to its address can be trusted, so nothing is sent there"
)
# Reasons why OpenSSL trusts a certificate now, but not at another time: it is not valid yet, or no longer.
# https://github.com/openssl/openssl/blob/master/include/openssl/x509_vfy.h.in
_TIMES: Final = frozenset({9, 10})
_NO_TUNNEL: Final = re.compile(r"Tunnel connection failed: ([0-9]{3})\b")


def _result_of_exchange(error: Exception) -> DeliveryResult:
    result = _TOO_LATE if isinstance(error, TimeoutError) else BROKEN_OFF
    # No text of an error is logged, because it may contain what was sent.
    return result._replace(detail=type(error).__name__)


def is_untrusted(error: BaseException | None) -> bool:
    """Tell whether a connection failed because a certificate is not trusted. All else may be different next time."""
    return isinstance(error, CertificateError) or (
        isinstance(error, ssl.SSLCertVerificationError) and error.verify_code not in _TIMES
    )


def _result_of_connecting(error: BaseException | None) -> DeliveryResult:
    if is_untrusted(error):
        return _UNTRUSTED._replace(detail=quoted(str(error)))
    if no_tunnel := _NO_TUNNEL.search(str(error)):
        return _UNREACHABLE._replace(detail=f"the proxy answered {no_tunnel[1]}")
    reason = error.reason if isinstance(error, ssl.SSLError) and isinstance(error.reason, str) else ""
    return _UNREACHABLE._replace(detail=f"{type(error).__name__} {reason}".strip())

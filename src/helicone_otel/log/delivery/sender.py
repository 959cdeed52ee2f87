"""Sends one row once, within a deadline, over connections that stay open."""

from __future__ import annotations

import encodings.idna  # noqa: F401  # loaded now, or the first connection would load it in a thread: see `Client`
import re
import ssl
import time
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from urllib3.util.ssl_match_hostname import CertificateError

from ...endpoints import is_api_server
from .answer import Answer, BrokenAnswerError, read_answer
from .connections import Address, Connection, Connections, address_of
from .lane import PendingRow
from .quotes import quoted
from .verdict import BROKEN_OFF, Delivery, DeliveryResult, result_of_answer

_HEADERS: Final = "Accept-Encoding: identity\r\nContent-Type: application/json\r\nUser-Agent: helicone-otel\r\n"


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
        result = self._sent(row, address_of(row.url), time.monotonic() + within)
        # A caller with less time than usual cut it short: that is not the row's fault.
        return result if within >= self._seconds else result._replace(blames_row=False)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._connections.close()

    def _sent(self, row: PendingRow, address: Address, until: float) -> DeliveryResult:
        if (connection := self._connections.resting(address)) is not None:
            try:
                return self._posted(row, address, connection, until)
            except Exception as error:  # noqa: BLE001  # of any kind: this row failed, and the next may not
                if not _was_gone(error):
                    return _result_of_exchange(error)
        try:
            connection = self._connections.opened(address, until)
        except Exception as error:  # noqa: BLE001  # the same
            return _result_of_connecting(error)
        try:
            return self._posted(row, address, connection, until)
        except Exception as error:  # noqa: BLE001  # the same
            return _result_of_exchange(error)

    def _posted(self, row: PendingRow, address: Address, connection: Connection, until: float) -> DeliveryResult:
        answer: Answer | None = None
        try:
            connection.send(_head(row, connection), row.body, until)
            answer = read_answer(connection.receiver(until))
        finally:
            if answer is not None and answer.keeps_open:
                self._connections.keep(address, connection)
            else:
                connection.close()
        return result_of_answer(answer, row.key, is_api_server=self._is_api_server)


def _head(row: PendingRow, connection: Connection) -> bytes:
    host, path = _host_and_path(row.url)
    to_proxy = connection.proxy_headers
    where = path if to_proxy is None else row.url
    further = "".join(f"{name}: {value}\r\n" for name, value in to_proxy.items()) if to_proxy else ""
    return (
        f"POST {where} HTTP/1.1\r\nHost: {host}\r\n{_HEADERS}{further}"
        f"Authorization: Bearer {row.key}\r\nContent-Length: {len(row.body)}\r\n\r\n"
    ).encode("ascii")


@lru_cache(256)
def _host_and_path(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path


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


def _was_gone(error: Exception) -> bool:
    """Tell whether a connection was closed before an answer came, which is not the server's fault if it had rested."""
    if isinstance(error, BrokenAnswerError):
        return error.is_empty
    return isinstance(error, OSError) and not isinstance(error, TimeoutError)


def _result_of_exchange(error: Exception) -> DeliveryResult:
    result = _TOO_LATE if isinstance(error, TimeoutError) else BROKEN_OFF
    # No text of an error is logged, because it may contain what was sent.
    return result._replace(detail=type(error).__name__)


def _result_of_connecting(error: Exception) -> DeliveryResult:
    """Only a certificate that is not trusted is final. All else may be different the next time."""
    if isinstance(error, CertificateError) or (
        isinstance(error, ssl.SSLCertVerificationError) and error.verify_code not in _TIMES
    ):
        return _UNTRUSTED._replace(detail=quoted(str(error)))
    if no_tunnel := _NO_TUNNEL.search(str(error)):
        return _UNREACHABLE._replace(detail=f"the proxy answered {no_tunnel[1]}")
    reason = error.reason if isinstance(error, ssl.SSLError) and isinstance(error.reason, str) else ""
    return _UNREACHABLE._replace(detail=f"{type(error).__name__} {reason}".strip())

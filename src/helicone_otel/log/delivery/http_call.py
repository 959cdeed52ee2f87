"""Makes one HTTP call within a deadline, over connections that stay open."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from .answer import MAX_BODY, Answer, BrokenAnswerError, read_answer
from .connections import Address, Connection, Connections, address_of

_HEADERS: Final = "Accept-Encoding: identity\r\nContent-Type: application/json\r\nUser-Agent: helicone-otel\r\n"


class HttpCall(NamedTuple):
    """A call of Helicone's log or API.

    Attributes:
        method: Such as `POST`.
        url: The URL, without a query.
        key: The API key.
        body: The body, in JSON.
        max_answer: How many bytes of the answer's body are read.
    """

    method: str
    url: str
    key: str
    body: bytes
    max_answer: int = MAX_BODY

    def __repr__(self) -> str:
        return f"HttpCall({self.method!r}, {self.url!r})"


class NoConnectionError(Exception):
    """No connection could be opened. Its cause says why."""


def answer_to(call: HttpCall, connections: Connections, until: float) -> Answer:
    """Make a call, and return the answer.

    Args:
        call: The call.
        connections: Opens the connection, or has one that rests.
        until: By when, by the monotonic clock.

    Raises:
        NoConnectionError: No connection could be opened.
        TimeoutError: There was no answer in time.
        Exception: The connection broke off, or what came is no answer.
    """
    address = address_of(call.url)
    if (connection := connections.resting(address)) is not None:
        try:
            return _exchanged(call, connections, address, connection, until)
        except (OSError, BrokenAnswerError) as error:
            if not _was_gone(error):
                raise
    try:
        connection = connections.opened(address, until)
    except Exception as error:
        raise NoConnectionError from error
    return _exchanged(call, connections, address, connection, until)


def _exchanged(
    call: HttpCall, connections: Connections, address: Address, connection: Connection, until: float
) -> Answer:
    answer: Answer | None = None
    try:
        connection.send(_head(call, connection), call.body, until)
        answer = read_answer(connection.receiver(until), call.max_answer)
    finally:
        if answer is not None and answer.keeps_open:
            connections.keep(address, connection)
        else:
            connection.close()
    return answer


def _was_gone(error: Exception) -> bool:
    """Tell whether a connection was closed before an answer came, which is not the server's fault if it had rested."""
    if isinstance(error, BrokenAnswerError):
        return error.is_empty
    return not isinstance(error, TimeoutError)


def _head(call: HttpCall, connection: Connection) -> bytes:
    host, path = _host_and_path(call.url)
    to_proxy = connection.proxy_headers
    where = path if to_proxy is None else call.url
    further = "".join(f"{name}: {value}\r\n" for name, value in to_proxy.items()) if to_proxy else ""
    return (
        f"{call.method} {where} HTTP/1.1\r\nHost: {host}\r\n{_HEADERS}{further}"
        f"Authorization: Bearer {call.key}\r\nContent-Length: {len(call.body)}\r\n\r\n"
    ).encode("ascii")


@lru_cache(256)
def _host_and_path(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path

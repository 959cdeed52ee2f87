"""Reads the answer to one HTTP/1.1 request, and notices if it is cut short.

`http.client` takes a head without its end for a whole one, and a body that is too short for the body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

# Helicone's log answers with two letters, or with none. Of a longer body the beginning is read.
MAX_BODY: Final = 65536
_MAX_HEAD: Final = 65536
_MAX_INTERIM: Final = 16
_AT_ONCE: Final = 65536
_STATUS: Final = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?", re.DOTALL)
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_END_OF_LINE: Final = re.compile(rb"\r?\n")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?", re.DOTALL)
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class BrokenAnswerError(Exception):
    """The connection ended within an answer, or what came is no answer.

    Attributes:
        is_empty: Nothing of an answer came.
    """

    def __init__(self, *, is_empty: bool = False) -> None:
        super().__init__("an answer that is cut short, or is no HTTP")
        self.is_empty = is_empty


class Answer(NamedTuple):
    """An answer.

    Attributes:
        status: The status.
        headers: The headers by their names in lower case. Of equal names, the first.
        body: The body, or the beginning of a long one.
        is_open_ended: The body ends where the connection ends, so nobody can tell whether it is whole.
        keeps_open: The connection can be used for another request.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_open_ended: bool = False
    keeps_open: bool = False


def read_answer(receive: Callable[[int], bytes], most: int = MAX_BODY) -> Answer:
    """Read an answer.

    Args:
        receive: Returns up to so many bytes, as `socket.recv` does; none at the end.
        most: How many bytes of the body are read.

    Raises:
        BrokenAnswerError: It is cut short, or no HTTP/1.
        OSError: As `receive` raises it.
    """
    stream = _Stream(receive)
    for _ in range(_MAX_INTERIM):
        is_current, status, headers = _parsed_head(stream.upto(_END_OF_HEAD, _MAX_HEAD))
        if status >= HTTPStatus.OK or status == HTTPStatus.SWITCHING_PROTOCOLS:
            break
    else:
        raise BrokenAnswerError
    body, is_whole, is_open_ended = _body(stream, status, headers, most)
    stays = is_current and "close" not in headers.get("connection", "").lower()
    # Bytes that nobody asked for would be taken for the next answer.
    keeps_open = stays and is_whole and not is_open_ended and not stream.left
    return Answer(status, headers, body, is_open_ended, keeps_open)


class _Stream:
    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive = receive
        self.left = b""
        self._is_empty = True

    def more(self) -> bool:
        """Receive some bytes; return false at the end."""
        received = self._receive(_AT_ONCE)
        self.left += received
        self._is_empty = self._is_empty and not received
        return bool(received)

    def upto(self, end: re.Pattern[bytes], most: int) -> bytes:
        """Return what comes before an end, of so many bytes at most."""
        while (found := end.search(self.left)) is None:
            if len(self.left) > most or not self.more():
                raise BrokenAnswerError(is_empty=self._is_empty)
        before, self.left = self.left[: found.start()], self.left[found.end() :]
        return before

    def exactly(self, size: int) -> bytes:
        """Return so many bytes."""
        while len(self.left) < size:
            if not self.more():
                raise BrokenAnswerError
        taken, self.left = self.left[:size], self.left[size:]
        return taken


def _parsed_head(head: bytes) -> tuple[bool, int, dict[str, str]]:
    """Return whether the version is 1.1, the status, and the headers."""
    first, *lines = _END_OF_LINE.split(head)
    if (matched := _STATUS.fullmatch(first)) is None:
        raise BrokenAnswerError
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        known = headers.setdefault(name.lower(), value.strip())
        if known != value.strip() and name.lower() == "content-length":
            raise BrokenAnswerError
    return matched[1] == b"1", int(matched[2]), headers


def _body(stream: _Stream, status: int, headers: Mapping[str, str], most: int) -> tuple[bytes, bool, bool]:
    """Return the body, whether all of it was read, and whether only the end of the connection ends it."""
    if status in _WITHOUT_BODY:
        return b"", True, False
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() == "chunked":
            return *_chunked_body(stream, most), False
    elif (length := headers.get("content-length")) is not None:
        if not _LENGTH.fullmatch(length):
            raise BrokenAnswerError
        size = min(int(length), most)
        return stream.exactly(size), size == int(length), False
    while len(stream.left) < most and stream.more():
        pass
    return stream.exactly(min(len(stream.left), most)), False, True


def _chunked_body(stream: _Stream, most: int) -> tuple[bytes, bool]:
    body = b""
    while True:
        matched = _CHUNK.fullmatch(stream.upto(_END_OF_LINE, _MAX_HEAD))
        if matched is None:
            raise BrokenAnswerError
        size = int(matched[1], 16)
        if not size:
            break
        if len(body) + size > most:
            return body + stream.exactly(most - len(body)), False
        body += stream.exactly(size)
        if stream.upto(_END_OF_LINE, _MAX_HEAD):
            raise BrokenAnswerError
    while stream.upto(_END_OF_LINE, _MAX_HEAD):  # trailers
        pass
    return body, True

"""HTTP/1.1 as it goes over the wire: requests byte for byte, answers as troubled as they are to be."""

from __future__ import annotations

import io
import os
import socket
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from ..._cli.loopback import QuietHandler
from .gateway import HEADER_LINE
from .requests import Reply, Request, refused
from .troubles import Trouble

if TYPE_CHECKING:
    from .server import FakeHelicone

_MAX_LINE: Final = 65536
# What Node takes, and the only limit on headers that anybody found (431 beyond).
_MAX_HEAD: Final = 16 * 1024
# What jawn takes; the worker says no before.
_MAX_BODY: Final = 50 * 1024 * 1024
_HANG_UP_AT_ONCE: Final = struct.pack("ii", 1, 0)


class Handler(QuietHandler):
    """Reads a request, has it answered, and sends the answer."""

    server: FakeHelicone
    raw_requestline: bytes
    # Head and body leave as one, which is twice as fast.
    wbufsize = 65536

    def parse_request(self) -> bool:
        # The parent's parser keeps no bytes, so it is given them at second hand.
        lines = [self.raw_requestline]
        while lines[-1] not in (b"\r\n", b"\n", b""):
            lines.append(self.rfile.readline(_MAX_LINE))
        self._lines = lines
        if sum(map(len, lines)) > _MAX_HEAD:
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n")
            return False
        stream, self.rfile = self.rfile, io.BytesIO(b"".join(lines[1:]))
        try:
            return super().parse_request()
        finally:
            self.rfile = stream

    def do_POST(self) -> None:  # noqa: N802  # http.server's name
        self._answer(length="")

    def do_PUT(self) -> None:  # noqa: N802  # http.server's name
        self._answer(length="")

    def do_GET(self) -> None:  # noqa: N802  # http.server's name
        self._answer(length="0")

    def _answer(self, length: str) -> None:
        request = self._request(length)
        if request is None:
            self.close_connection = True
            outcome, trouble = refused(411, "The request has no Content-Length, or one that is too large."), Trouble()
        else:
            outcome, trouble = self.server.answer(request)
        if self.server.closing.wait(trouble.seconds):
            self.close_connection = True
        elif trouble.reset:
            self._reset()
        elif trouble.trickle:
            self._trickle(outcome.reply, trouble.trickle)
        else:
            self._send(outcome.reply)

    def _request(self, length: str) -> Request | None:
        matches = (HEADER_LINE.match(line) for line in self._lines[1:])
        headers = tuple((match[1].decode("latin-1"), match[2].decode("latin-1")) for match in matches if match)
        length = {name.lower(): value for name, value in headers}.get("content-length", length)
        if not length.isdigit() or int(length) > _MAX_BODY:
            return None
        return Request(b"".join(self._lines), self.rfile.read(int(length)), self.command, self.path, headers)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in _headers(reply):
            self.send_header(name, value)
        self.end_headers()
        if reply.events:
            self._send_events(reply)
        elif self._waited(reply.seconds):
            self.wfile.write(reply.body)

    def _send_events(self, reply: Reply) -> None:
        for event in reply.events:
            if not self._waited(reply.seconds / len(reply.events)):
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _trickle(self, reply: Reply, seconds: float) -> None:
        wire, self.wfile = self.wfile, io.BytesIO()
        try:
            self._send(reply)
            whole = self.wfile.getvalue()
        finally:
            self.wfile = wire
        for byte in whole:
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()
            if not self._waited(seconds):
                return

    def _waited(self, seconds: float) -> bool:
        """Wait, and tell whether anybody still does."""
        return not (seconds and self.server.closing.wait(seconds))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP_AT_ONCE)
        # The server would say goodbye first if it still had the socket.
        os.close(self.connection.detach())


def _headers(reply: Reply) -> Iterator[tuple[str, str]]:
    if reply.content_type:
        yield "Content-Type", reply.content_type
    yield from (("Transfer-Encoding", "chunked"),) if reply.events else (("Content-Length", str(len(reply.body))),)
    yield from reply.headers

"""HTTP servers on a port of 127.0.0.1, which close all they opened."""

from __future__ import annotations

import io
import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Final, TypeVar

from .requests import HEADER_LINE, ApiResult, Reply, Request, Trouble, refused

_MAX_LINE: Final = 65536
# Node's limit; beyond it Helicone answers 431. No other limit on headers is known.
_MAX_HEAD: Final = 16 * 1024
# More than each of Helicone's servers takes: they refuse smaller bodies with texts of their own.
_MAX_BODY: Final = 50 * 1024 * 1024
_MAX_DIGITS: Final = 12
_ORIGIN: Final = re.compile(r"\Ahttps?://[^/]*", re.IGNORECASE)
# `SO_LINGER` with no time: closing resets the connection.
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class LoopbackServer(ThreadingHTTPServer):
    """Listens on a port of 127.0.0.1, with one thread for each connection.

    Args:
        handler: Handles the requests of one connection.
        port: The port; 0 for a free one.

    Raises:
        OSError: The port is in use, or this user may not listen there.
    """

    # Threads end with the process, and `server_close` does not wait for them: a client may keep its connection open.
    daemon_threads = True
    block_on_close = False
    # Clients may all connect at once. At the default of 5 the kernel lets some wait for a second, or resets them.
    request_queue_size = 128
    # Some versions of Python let two servers share a port.
    allow_reuse_port = False

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), handler)

    def server_bind(self) -> None:
        """Bind the socket without a look-up of the name of 127.0.0.1, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing when a client closes its connection half-way: the terminal belongs to the application."""

    @property
    def url(self) -> str:
        """The address, such as `http://127.0.0.1:35821`."""
        return f"http://127.0.0.1:{self.server_port}"


class QuietHandler(BaseHTTPRequestHandler):
    """Keeps connections open between requests, and prints nothing."""

    protocol_version = "HTTP/1.1"
    # Head and body of an answer are two writes. Without this the second one waits 40 ms for an ACK.
    disable_nagle_algorithm = True
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
        """Print nothing: the terminal belongs to the application."""


_Server = TypeVar("_Server", bound=LoopbackServer)


@contextmanager
def serving(server: _Server) -> Iterator[_Server]:
    """Serve while the block runs, and close the server at its end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class AnsweringServer(LoopbackServer):
    """Reads whole requests, lets a subclass answer them, and can fail while it sends the reply.

    Attributes:
        closing: Set when the server closes, so that slow replies end.

    Args:
        port: The port; 0 for a free one.
    """

    def __init__(self, port: int = 0) -> None:
        self.closing = threading.Event()
        super().__init__(_AnsweringHandler, port)

    def answer(self, request: Request) -> tuple[ApiResult, Trouble]:
        """Return the outcome of a request, and what goes wrong while its reply is sent. Called from many threads."""
        raise NotImplementedError

    def server_close(self) -> None:
        """Close the server, and end the replies that are still being sent."""
        self.closing.set()
        super().server_close()


class _AnsweringHandler(QuietHandler):
    """Reads requests of one connection, and sends the replies."""

    server: AnsweringServer
    raw_requestline: bytes
    # Head and body leave in one write, which is twice as fast.
    wbufsize = 65536

    def parse_request(self) -> bool:
        """Read the head of a request; keep its bytes, which the parent's parser does not."""
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

    def do_POST(self) -> None:  # the name that http.server calls
        self._answer(default_length="")

    def do_PUT(self) -> None:  # the name that http.server calls
        self._answer(default_length="")

    def do_GET(self) -> None:  # the name that http.server calls
        self._answer(default_length="0")

    def _answer(self, default_length: str) -> None:
        request = self._request(default_length)
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
        elif trouble.cut is not None:
            self.close_connection = True
            self.wfile.write(self._bytes_of(outcome.reply)[: trouble.cut])
        else:
            self._send(outcome.reply)

    def _request(self, default_length: str) -> Request | None:
        matches = (HEADER_LINE.match(line) for line in self._lines[1:])
        headers = tuple((match[1].decode("latin-1"), match[2].decode("latin-1")) for match in matches if match)
        length = {name.lower(): value for name, value in headers}.get("content-length", default_length)
        if not (length.isascii() and length.isdigit()) or len(length) > _MAX_DIGITS or int(length) > _MAX_BODY:
            return None
        # A client for which this server is a proxy sends the whole URL.
        path = _ORIGIN.sub("", self.path)
        return Request(b"".join(self._lines), self.rfile.read(int(length)), self.command, path, headers)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in _headers(reply):
            self.send_header(name, value)
        self.end_headers()
        if reply.events:
            self._send_events(reply)
        elif self._wait(reply.seconds):
            self.wfile.write(reply.body)

    def _send_events(self, reply: Reply) -> None:
        for event in reply.events:
            if not self._wait(reply.seconds / len(reply.events)):
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _trickle(self, reply: Reply, seconds: float) -> None:
        for byte in self._bytes_of(reply):
            self.wfile.write(bytes((byte,)))
            self.wfile.flush()
            if not self._wait(seconds):
                return

    def _bytes_of(self, reply: Reply) -> bytes:
        connection, self.wfile = self.wfile, io.BytesIO()
        try:
            self._send(reply)
            return self.wfile.getvalue()
        finally:
            self.wfile = connection

    def _wait(self, seconds: float) -> bool:
        """Wait, and return whether the server still runs."""
        return not (seconds and self.server.closing.wait(seconds))

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        # If the server still had the socket, it would shut the connection down first, without a reset.
        os.close(self.connection.detach())


def _headers(reply: Reply) -> Iterator[tuple[str, str]]:
    if reply.content_type:
        yield "Content-Type", reply.content_type
    yield from (("Transfer-Encoding", "chunked"),) if reply.events else (("Content-Length", str(len(reply.body))),)
    yield from reply.headers

"""An HTTP server on loopback that leaves nothing behind; the receiver and the demo's stand-ins use it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TypeVar


class LoopbackServer(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1. One thread per connection, none of which outlives it."""

    daemon_threads = True
    # A client that is still alive holds its connection open; closing must not wait for it.
    block_on_close = False
    # Clients may all connect at once; at the default of 5 the kernel lets some wait for a second, or resets them.
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def server_bind(self) -> None:
        # The parent asks the name service for the name of 127.0.0.1, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent when a client was killed half-way: the terminal belongs to the application."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class QuietHandler(BaseHTTPRequestHandler):
    """Keeps connections open between requests, and prints nothing."""

    protocol_version = "HTTP/1.1"
    # The head and the body of an answer are two writes; without this the second waits 40 ms for an ACK.
    disable_nagle_algorithm = True
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent calls it so
        """Stay silent: the terminal belongs to the application."""


_Server = TypeVar("_Server", bound=LoopbackServer)


@contextmanager
def serving(server: _Server) -> Iterator[_Server]:
    """Serve while the block runs."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

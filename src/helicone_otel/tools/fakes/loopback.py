"""An HTTP server on a free port of 127.0.0.1 that leaves no thread and no socket behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TypeVar


class LoopbackServer(ThreadingHTTPServer):
    """Listens on a free port of 127.0.0.1, with one thread for each connection.

    Args:
        handler: Handles the requests of one connection.
    """

    # Threads end with the process, and `server_close` does not wait for them: a client may keep its connection open.
    daemon_threads = True
    block_on_close = False
    # Clients may all connect at once. At the default of 5 the kernel lets some wait for a second, or resets them.
    request_queue_size = 128

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

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

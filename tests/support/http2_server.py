"""A gateway that speaks HTTP/2, to clients that know so beforehand."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived, StreamEnded


class Http2Wire:
    """The server, and what it has seen.

    Attributes:
        url: Its address.
        row_ids: The id of the row that was made of each request.
        statuses: The next statuses; 200 when there are none left.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: list[dict[str, str]] = []
        self.row_ids: list[str] = []
        self.statuses: list[int] = []

    @property
    def netloc(self) -> str:
        return self.url.removeprefix("http://")


@contextmanager
def listening_http2() -> Iterator[Http2Wire]:
    """Answer requests on a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.02)
        wire = Http2Wire(f"http://127.0.0.1:{server.getsockname()[1]}")
        over = threading.Event()
        thread = threading.Thread(target=_accept, args=(server, wire, over))
        thread.start()
        try:
            yield wire
        finally:
            over.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # on Linux, the thread need not wait for its timeout
            thread.join()


def _accept(server: socket.socket, wire: Http2Wire, over: threading.Event) -> None:
    while not over.is_set():
        with suppress(OSError):
            connection, _ = server.accept()
            connection.settimeout(None)
            threading.Thread(target=_serve, args=(connection, wire), daemon=True).start()


def _serve(connection: socket.socket, wire: Http2Wire) -> None:
    protocol = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    protocol.initiate_connection()
    with connection, suppress(OSError):
        connection.sendall(protocol.data_to_send())
        while received := connection.recv(65536):
            for event in protocol.receive_data(received):
                if isinstance(event, RequestReceived):
                    wire.headers.append(dict(event.headers))
                elif isinstance(event, StreamEnded):
                    wire.row_ids.append(str(uuid.uuid4()))
                    status = wire.statuses.pop(0) if wire.statuses else 200
                    answer = [(":status", str(status)), ("helicone-id", wire.row_ids[-1])]
                    protocol.send_headers(event.stream_id, answer, end_stream=True)
            connection.sendall(protocol.data_to_send())

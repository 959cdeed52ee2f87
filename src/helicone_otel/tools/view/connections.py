"""Bounds what the clients of a server can hold: the time that it waits for one of them, and their number.

uvicorn limits the size of a head (with h11, 64 KiB) and the time between two requests on a connection. It limits
neither the time that a head may take, nor the time that a client may take to read an answer. And if it limits the
number of connections, a few hundred slow ones keep all others out.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# The limit for the head of a request. A head usually arrives in one packet.
HEAD_SECONDS = 10.0
# The limit for the time in which a client reads nothing of an answer.
READ_SECONDS = 30.0
# The connections that may stay, and those that may be open at once. Many can come in the moment in which a client has
# connected and its request is on its way, so that a connection may stay for a moment in any case.
MAX_CONNECTIONS = 96
MAX_AT_ONCE = 400
GRACE_SECONDS = 1.0


class ClientTimeoutProtocol(H11Protocol):
    """Closes connections whose clients are too slow.

    A head may take `HEAD_SECONDS`, and a client that reads an answer may pause for `READ_SECONDS`. When there are
    `MAX_CONNECTIONS`, a new one takes the place of the one whose client has kept the server waiting longest, but not of
    one that waits for less than `GRACE_SECONDS`, unless there are `MAX_AT_ONCE`.
    """

    _since: float | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Wait for the first head."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._wait_for_head()
        _make_room(self.connections, self._began)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    # --- requests -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering or self.timeout_keep_alive_task is not None:
            self._since = None
        elif self._since is None:
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        self._since = self.loop.time()
        self.loop.call_later(HEAD_SECONDS, self._close_if_waiting, self._since)

    def _close_if_waiting(self, since: float) -> None:
        if self._since == since and not self.transport.is_closing():
            self.transport.close()

    # --- answers ------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """Wait until the client has read what was written."""
        super().pause_writing()
        self._stop_waiting_for_reader()
        self._reading = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Write the next part."""
        super().resume_writing()
        self._stop_waiting_for_reader()

    def _stop_waiting_for_reader(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._began = self.loop.time()
        super().on_response_complete()

    # --- the number of connections ------------------------------------------------------------

    @property
    def waits_since(self) -> float | None:
        """When the server began to wait for this client; `None` while the client waits for the server."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body or self.flow.write_paused:
            return self._began
        return None


def _make_room(connections: set[Any], now: float) -> None:
    over = len(connections) - MAX_CONNECTIONS
    if over <= 0:
        return
    waiting = sorted((one for one in connections if one.waits_since is not None), key=lambda one: one.waits_since)
    too_many = len(connections) - MAX_AT_ONCE
    for number, one in enumerate(waiting[:over]):
        if number >= too_many and now - one.waits_since < GRACE_SECONDS:
            return
        connections.discard(one)  # it is lost only when the loop comes to it
        one.transport.abort()

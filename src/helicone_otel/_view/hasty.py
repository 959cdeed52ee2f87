"""HTTP for clients that say soon what they want."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# A head takes one packet.
SECONDS = 10.0


class Hasty(H11Protocol):
    """Speaks HTTP, and closes connections on which no request has come for a while.

    uvicorn bounds how large a head may be (with h11, 64 KiB), and how long a connection may idle between two
    requests, but not how long the head of one may take: a few hundred such connections would keep all others out.
    """

    _since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as it is there
        """Take a connection."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering or self.timeout_keep_alive_task is not None:
            self._since = None
        elif self._since is None:
            self._wait()

    def _wait(self) -> None:
        self._since = self.loop.time()
        self.loop.call_later(SECONDS, self._look, self._since)

    def _look(self, since: float) -> None:
        if self._since == since and not self.transport.is_closing():
            self.transport.close()

"""HTTP for clients that say soon what they want."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

# A head takes one packet.
SECONDS = 10.0


class Hasty(H11Protocol):
    """Speaks HTTP, and closes connections on which no request has come for a while.

    uvicorn bounds how large a head may be (with h11, 64 KiB), and how long a connection may idle between two
    requests, but not how long the first may take: a few hundred such connections would keep all others out.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as it is there
        """Take a connection."""
        super().connection_made(transport)
        self.loop.call_later(SECONDS, self._look)

    def _look(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()

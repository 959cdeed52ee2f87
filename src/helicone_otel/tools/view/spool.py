"""Long answers, on the disk: a client that reads slowly costs little memory, and equal exports are kept once."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import weakref
from collections.abc import AsyncIterator, Iterable
from typing import Final

# All answers that are still being sent. Beyond that, the oldest is broken off.
MAX_SPOOLED = 512 * 1024 * 1024
_CHUNK: Final = 64 * 1024


class Spooled:
    """The bytes of one answer, in a temporary file that is removed when nobody needs it any more.

    Args:
        parts: What to keep.

    Attributes:
        size: The number of bytes.
    """

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with this object
        self._lock = threading.Lock()
        self.close = weakref.finalize(self, self._file.close)
        self.size = sum(map(self._file.write, parts))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield all bytes, in parts of 64 KiB.

        Raises:
            ValueError: The answer has been broken off.
        """
        sent = 0
        while sent < self.size:
            chunk = await asyncio.to_thread(self._read, sent)
            yield chunk
            sent += len(chunk)

    def _read(self, start: int) -> bytes:
        with self._lock:
            self._file.seek(start)
            return self._file.read(_CHUNK)


class Spool:
    """All answers that are being sent, within a bound."""

    def __init__(self) -> None:
        # In the order in which they were made.
        self._sending: list[weakref.ref[Spooled]] = []
        self._lock = threading.Lock()

    def keep(self, parts: Iterable[bytes]) -> Spooled:
        """Return an answer with these bytes; break off the oldest ones if all together take too much."""
        made = Spooled(parts)
        with self._lock:
            sending = [one for reference in self._sending if (one := reference()) is not None]
            size = made.size + sum(one.size for one in sending)
            while size > MAX_SPOOLED and sending:
                oldest = sending.pop(0)
                size -= oldest.size
                oldest.close()
            self._sending = [weakref.ref(one) for one in (*sending, made)]
        return made

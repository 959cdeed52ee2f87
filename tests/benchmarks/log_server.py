"""A stand-in for Helicone's log in a process of its own: `python -m tests.benchmarks.log_server MILLISECONDS`.

It answers each request after that time. It prints its address, and then reads commands from its input: `down` closes
the port, `up` opens it again, and `rows` prints how many different rows have arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator

from tests.support.paths import REPOSITORY

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_ID = re.compile(rb'"Helicone-Request-Id": ?"([^"]*)"')
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class LogServer:
    """The server process, as the benchmark uses it.

    Attributes:
        url: Its address.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._line()

    def rows(self) -> int:
        """Return how many rows have arrived."""
        self.command("rows")
        return int(self._line())

    def command(self, command: str) -> None:
        """Send a command: `down`, `up` or `rows`."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextlib.contextmanager
def serving(milliseconds: int = 20) -> Iterator[LogServer]:
    """Run the server while the block runs; it answers each request after this time."""
    command = [sys.executable, "-m", "tests.benchmarks.log_server", str(milliseconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        try:
            yield LogServer(process)
        finally:
            process.kill()


class _Log:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: set[bytes] = set()
        self._anonymous = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self._port, limit=2**24, backlog=512)
        self._port = self._server.sockets[0].getsockname()[1]

    def down(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def run_commands(self) -> None:
        await self.up()
        print(f"http://127.0.0.1:{self._port}", flush=True)
        commands = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        while line := (await commands.readline()).strip():
            if line == b"down":
                self.down()
            elif line == b"up":
                await self.up()
            else:
                print(len(self._seen) + self._anonymous, flush=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                await asyncio.sleep(self._seconds)
                if found := _ID.search(body):
                    self._seen.add(found[1])
                else:
                    self._anonymous += 1
                writer.write(_OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


if __name__ == "__main__":
    asyncio.run(_Log(int(sys.argv[1]) / 1000).run_commands())

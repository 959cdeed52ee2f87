"""A view that runs: the store, the doors, the pages."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from ...settings import Settings
from .database import Store
from .events import Changes
from .intake import Intake
from .labelling import TraceLabeller
from .pages import Pages
from .receivers import Receivers
from .sockets import Places, UsageError, bound, shown, taken
from .worker import Worker

if TYPE_CHECKING:
    from .grpc import GrpcDoor

# A head takes one packet.
SECONDS = 10.0


class HeadTimeoutProtocol(H11Protocol):
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


_GRACE: Final = 2.0
_START_SECONDS: Final = 20.0
_KEEP_ALIVE: Final = 30
_MAX_CONNECTIONS: Final = 256


class View:
    """A view that runs.

    Attributes:
        url: The address of its pages.
        http_url: That of OTLP/HTTP and Helicone's log API; `None` if it does not listen for them, as `grpc_address`.
        intake: Takes spans and rows from within this process.
        worker: Places them.
    """

    def __init__(self, store: Store, settings: Settings, places: Places) -> None:
        self.store = store
        self._changes = Changes(store)
        self.worker = Worker(store, TraceLabeller(settings), self._changes.tell)
        self.intake = Intake(store, self.worker, self._changes.tell)
        with ExitStack() as stack:
            sockets = [stack.enter_context(closing(bound(places.host, places.pages, "the pages")))]
            if places.http is not None:
                sockets.append(stack.enter_context(closing(bound(places.host, places.http, "OTLP/HTTP"))))
            self._grpc = _grpc_door(self.intake, places)
            stack.pop_all()  # from here on they are the servers' to close
        addresses = [f"http://{shown(places.host)}:{one.getsockname()[1]}" for one in sockets]
        self.url, self.http_url = addresses[0], addresses[1] if len(addresses) > 1 else None
        self.grpc_address = f"{shown(places.host)}:{self._grpc.port}" if self._grpc is not None else None
        # The second, if there is one, belongs to the receivers.
        applications = self._applications(frozenset(places.names) | {places.host})
        self._servers = [_Server(application, one) for application, one in zip(applications, sockets, strict=False)]
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="view-http", daemon=True)

    def _applications(self, names: frozenset[str]) -> list[Any]:
        pages = Pages(self.store, self._changes, self._status)
        return [pages.app(names), Receivers(self.intake).app(names)]

    def _status(self) -> dict[str, Any]:
        return {
            "waiting": self.worker.waiting,
            "refused": self.intake.refused,
            "version": version("helicone-otel"),
            "receivers": {"grpc": self.grpc_address, "http": self.http_url},
        }

    def start(self) -> None:
        """Begin to listen and to serve."""
        self.worker.start()
        self._thread.start()
        if self._grpc is not None:
            self._grpc.start()
        if not self._ready.wait(_START_SECONDS):
            raise UsageError("the server does not start")

    def stop(self) -> None:
        """End: answer what was asked, write what arrived, close."""
        if self._grpc is not None:
            self._grpc.stop(_GRACE)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)
            self._thread.join(2 * _GRACE + 1)
        self.worker.stop()
        self.store.close()

    def _end(self) -> None:
        self._changes.close()
        for server in self._servers:
            server.should_exit = True

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changes.serve(self._loop)
        serving = asyncio.gather(*(server.serve(sockets=[server.listens]) for server in self._servers))
        # uvicorn tells of its start by no event.
        while not all(server.started for server in self._servers) and not serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self._ready.set()
        await serving


class _Server(uvicorn.Server):
    """A server whose end is decided elsewhere."""

    def __init__(self, application: Any, listens: socket.socket) -> None:
        self.listens = listens
        super().__init__(
            uvicorn.Config(
                application,
                log_config=None,
                log_level="critical",
                access_log=False,
                lifespan="off",
                http=HeadTimeoutProtocol,
                ws="none",
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=int(_GRACE),
                limit_concurrency=_MAX_CONNECTIONS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to whoever started the view."""
        yield


@contextmanager
def viewing(file: Path | None, settings: Settings, places: Places) -> Iterator[View]:
    """Yield a view that runs while the block does.

    Args:
        file: Where everything is kept; a temporary one if not given.
        settings: The user's.
        places: Where it listens.

    Raises:
        UsageError: A port is taken.
        StoreError: The file cannot be used.
    """
    store = Store(file)
    try:
        view = View(store, settings, places)
    except BaseException:
        store.close()
        raise
    try:
        view.start()
        yield view
    finally:
        view.stop()


def _grpc_door(intake: Intake, places: Places) -> GrpcDoor | None:
    if places.grpc is None:
        return None
    # Asked first, because gRPC's own library writes to the terminal when it is taken.
    bound(places.host, places.grpc, "OTLP/gRPC").close()
    # gRPC takes a second to load where it is not cached, and files are looked at without it.
    from .grpc import GrpcDoor, PortError  # noqa: PLC0415

    try:
        return GrpcDoor(intake, places.host, places.grpc)
    except PortError as error:
        raise UsageError(taken(places.grpc, "OTLP/gRPC")) from error

"""Runs a view: its database, its receivers and its pages."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from ...settings import Settings
from .database import Database
from .events import ChangeFeed
from .intake import Intake
from .labelling import TraceLabeller
from .limits import ClientTimeoutProtocol, Decoder
from .pages import Pages
from .receivers import HttpReceivers
from .retention import KEEP_ALL, Retention, RetentionWorker
from .sockets import ListenOptions, UsageError, listening_socket, port_in_use, url_host
from .text_index import Indexer
from .worker import LabelWorker

if TYPE_CHECKING:
    from .grpc import GrpcReceiver

_STOP_SECONDS: Final = 2.0
_START_SECONDS: Final = 20.0
_KEEP_ALIVE_SECONDS: Final = 30


class View:
    """A view that can be started and stopped once.

    Attributes:
        url: The address of the pages.
        http_url: The address of OTLP/HTTP and Helicone's log API; `None` if the view does not receive there.
        grpc_address: Host and port of OTLP/gRPC; `None` if the view does not receive there.
        database: Keeps everything that arrives.
        intake: Accepts spans and rows from this process.
        worker: Labels the spans.
        indexer: Indexes the requests.
        retention: Removes what is not kept any more.
    """

    def __init__(
        self, database: Database, settings: Settings, options: ListenOptions, retention: Retention = KEEP_ALL
    ) -> None:
        self.database = database
        self._changes = ChangeFeed(database)
        self.indexer = Indexer(database)
        self.worker = LabelWorker(database, TraceLabeller(settings), self._changed)
        self.intake = Intake(database, self.worker, self._changed)
        self.retention = RetentionWorker(database, retention, self._changed)
        self._decoder = Decoder()
        self._pages = Pages(database, self._changes, settings, self._status)
        with ExitStack() as stack:
            sockets = [stack.enter_context(closing(listening_socket(options.host, options.pages, "the pages")))]
            if options.http is not None:
                sockets.append(stack.enter_context(closing(listening_socket(options.host, options.http, "OTLP/HTTP"))))
            self._grpc = _grpc_receiver(self.intake, self._decoder, options)
            stack.pop_all()  # from here on the servers close the sockets
        addresses = [f"http://{url_host(options.host)}:{one.getsockname()[1]}" for one in sockets]
        self.url, self.http_url = addresses[0], addresses[1] if len(addresses) > 1 else None
        self.grpc_address = f"{url_host(options.host)}:{self._grpc.port}" if self._grpc is not None else None
        # The first socket is for the pages; the second one, if there is one, is for the receivers.
        applications = self._applications(frozenset(options.names) | {options.host})
        self._servers = [_Server(application, one) for application, one in zip(applications, sockets, strict=False)]
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="view-http", daemon=True)

    def _changed(self, sessions: Iterable[int]) -> None:
        self._changes.publish(sessions)
        self.indexer.changed()

    def _applications(self, names: frozenset[str]) -> list[Any]:
        return [self._pages.app(names), HttpReceivers(self.intake, self._decoder).app(names)]

    def _status(self) -> dict[str, Any]:
        return {
            "waiting": self.worker.waiting,
            "refused": self.intake.refused,
            "removed": self.retention.removed,
            "retention": self.retention.retention._asdict(),
            "version": version("helicone-otel"),
            "receivers": {"grpc": self.grpc_address, "http": self.http_url},
        }

    def start(self) -> None:
        """Start to listen, in threads of the view's own."""
        self.worker.start()
        self.indexer.start()
        self.retention.start()
        self._thread.start()
        if self._grpc is not None:
            self._grpc.start()
        if not self._ready.wait(_START_SECONDS):
            raise UsageError("the server does not start")

    def stop(self) -> None:
        """Finish running requests, write everything that has arrived, and close the database."""
        if self._grpc is not None:
            self._grpc.stop(_STOP_SECONDS)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop_servers)
            self._thread.join(2 * _STOP_SECONDS + 1)
        self._decoder.close()
        self._pages.close()
        self.retention.stop()
        self.worker.stop()
        self.indexer.stop()
        self.database.close()

    def _stop_servers(self) -> None:
        self._changes.close()
        for server in self._servers:
            server.should_exit = True

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changes.serve(self._loop)
        serving = asyncio.gather(*(server.serve(sockets=[server.socket]) for server in self._servers))
        # uvicorn has no event for its start.
        while not all(server.started for server in self._servers) and not serving.done():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self._ready.set()
        await serving


@contextmanager
def running_view(
    file: Path | None, settings: Settings, options: ListenOptions, retention: Retention = KEEP_ALL
) -> Iterator[View]:
    """Yield a view that runs while the block does.

    Args:
        file: Where to keep the database; `None` for a temporary one.
        settings: The user's settings for gateways, session attributes and custom dialects.
        options: Where to listen.
        retention: What is kept; by default everything.

    Raises:
        UsageError: A port is in use.
        DatabaseError: The file cannot be used.
    """
    database = Database(file)
    try:
        view = View(database, settings, options, retention)
    except BaseException:
        database.close()
        raise
    try:
        view.start()
        yield view
    finally:
        view.stop()


def _grpc_receiver(intake: Intake, decoder: Decoder, options: ListenOptions) -> GrpcReceiver | None:
    if options.grpc is None:
        return None
    # The port is checked first, because gRPC's library writes to the terminal if it is in use.
    listening_socket(options.host, options.grpc, "OTLP/gRPC").close()
    # gRPC can take a second to load, and a view of files does not need it.
    from .grpc import GrpcReceiver, PortError  # noqa: PLC0415

    try:
        return GrpcReceiver(intake, decoder, options.host, options.grpc)
    except PortError as error:
        raise port_in_use(options.grpc, "OTLP/gRPC") from error


# --- uvicorn ------------------------------------------------------------------------------------------


class _Server(uvicorn.Server):
    """An HTTP server on a socket that listens already. The view decides when it ends."""

    def __init__(self, application: Any, listening: socket.socket) -> None:
        self.socket = listening
        super().__init__(
            uvicorn.Config(
                application,
                log_config=None,
                log_level="critical",
                access_log=False,
                lifespan="off",
                http=ClientTimeoutProtocol,
                ws="none",
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(_STOP_SECONDS),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the code that started the view."""
        yield

"""The server: which door a request goes in by, and what is remembered of it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from . import jawn_api, log_api, otlp_api, read_api
from .gateway import Provider, passed_on
from .headers import KEY, WRITE_ONLY_KEY, Keys, from_http
from .loopback import AnsweringServer
from .provider import ScriptedProvider
from .requests import Door, Outcome, Request, Trouble, Troubles, in_text, refused
from .rows import MAX_ROWS, Row, Store

Opened: TypeAlias = Callable[[Request], Outcome]

_MAX_BYTES: Final = 256 * 1024 * 1024


class FakeHelicone(AnsweringServer):
    """A Helicone on loopback.

    Attributes:
        key: A key that may write and read.
        write_only_key: One that may only write.
        keys: All keys that exist.
        store: The rows.
        troubles: What will go wrong.
        closing: Set when the server ends, so that nobody waits for its slow answers.
    """

    key: str = KEY
    write_only_key: str = WRITE_ONLY_KEY

    def __init__(self, provider: Provider | None = None, *, key: str = KEY, max_rows: int = MAX_ROWS) -> None:
        self.key = key
        self.keys = Keys(key)
        self.store = Store(max_rows)
        self.troubles = Troubles()
        self._provider = provider or ScriptedProvider()
        self._doors = self._doors_by_path()
        self._seen: deque[tuple[Door, Request]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        super().__init__()

    @property
    def rows(self) -> list[Row]:
        """All rows, the oldest first."""
        return self.store.rows()

    def requests(self, door: Door) -> list[Request]:
        """Return the requests that came in by a door, the oldest first."""
        with self._lock:
            return [request for by, request in self._seen if by == door]

    def forget(self) -> None:
        """Forget rows and requests, and let all be well; keys stay."""
        self.troubles.end()
        self.store.forget()
        with self._lock:
            self._seen.clear()
            self._bytes = 0

    def answer(self, request: Request) -> tuple[Outcome, Trouble]:
        """Answer a request, and store what becomes rows."""
        door, open_ = self._door(request)
        self._remember(door, request)
        trouble = self.troubles.take(door)
        if not trouble.makes_rows and not trouble.drop:
            return Outcome(trouble.reply or in_text(200, "")), trouble
        try:
            outcome = open_(request)
        except Exception as error:  # noqa: BLE001  # without an answer nobody would know whose fault it was
            outcome = refused(500, f"the fake Helicone failed itself: {type(error).__name__}: {error}")
        if trouble.makes_rows:
            self.store.add(outcome.rows, len(request.body))
        return Outcome(trouble.reply or outcome.reply), trouble

    def _remember(self, door: Door, request: Request) -> None:
        with self._lock:
            self._seen.append((door, request))
            self._bytes += _size(request)
            while self._bytes > _MAX_BYTES:
                self._bytes -= _size(self._seen.popleft()[1])

    def _doors_by_path(self) -> dict[str, tuple[Door, Opened]]:
        logs: dict[str, Opened] = {path: partial(log_api.log, path=path, keys=self.keys) for path in log_api.PROVIDERS}
        logs |= {path: self._for_readers(jawn_api.log) for path in jawn_api.PATHS}
        logs[jawn_api.TYPED_PATH] = self._for_readers(jawn_api.log_typed)
        return {
            **{path: ("log", opened) for path, opened in logs.items()},
            otlp_api.JSON_PATH: ("otlp", self._for_readers(otlp_api.receive_json)),
            otlp_api.PROTOBUF_PATH: ("otlp", self._for_readers(otlp_api.receive_protobuf)),
        }

    def _door(self, request: Request) -> tuple[Door, Opened]:
        path = request.path.partition("?")[0]
        if request.method == "POST" and (door := self._doors.get(path)):
            return door
        if path.startswith(read_api.STARTS):
            return "api", self._for_readers(partial(read_api.query, store=self.store))
        if path.rpartition("/")[2].startswith("log"):
            return "log", lambda _: Outcome(in_text(400, "invalid path"))
        return "gateway", lambda request: passed_on(request, self._provider, self.keys)

    def _for_readers(self, open_: Callable[[Request, str], Outcome]) -> Opened:
        """Return a door of jawn's, which a key opens only if it may read."""

        def ask(request: Request) -> Outcome:
            key = from_http(request.headers).get("authorization", "").removeprefix("Bearer ").strip()
            owner = self.keys.owner(key)
            if owner is None or not owner.reads:
                return refused(401, "Invalid API key, or one without the permission to read")
            return open_(request, owner.organization)

        return ask


def _size(request: Request) -> int:
    # The object itself takes some memory, too.
    return len(request.head) + len(request.body) + 1024

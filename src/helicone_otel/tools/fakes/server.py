"""The fake Helicone: one server with all APIs, which keeps the rows and the requests that arrived."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

from . import jawn_api, log_api, otlp_api, read_api
from .gateway import Provider, forward
from .headers import KEY, WRITE_ONLY_KEY, Keys, from_http
from .loopback import AnsweringServer
from .provider import ScriptedProvider
from .requests import ApiResult, Door, Request, Trouble, Troubles, in_text, refused
from .rows import MAX_ROWS, Row, RowStore

_Api: TypeAlias = Callable[[Request], ApiResult]

# Of the requests that are kept.
_MAX_BYTES: Final = 256 * 1024 * 1024


class FakeHelicone(AnsweringServer):
    """A Helicone on loopback.

    Attributes:
        key: A key that may write and read.
        write_only_key: A key that may only write.
        keys: All keys that exist.
        store: The rows.
        troubles: What will go wrong with the next requests.
        closing: Set when the server closes, so that slow replies end.

    Args:
        provider: Answers the requests to the gateway; by default a `ScriptedProvider`.
        key: The key that may write and read.
        max_rows: How many rows are kept; beyond that the oldest are dropped.
    """

    key: str = KEY
    write_only_key: str = WRITE_ONLY_KEY

    def __init__(self, provider: Provider | None = None, *, key: str = KEY, max_rows: int = MAX_ROWS) -> None:
        self.key = key
        self.keys = Keys(key)
        self.store = RowStore(max_rows)
        self.troubles = Troubles()
        self._provider = provider or ScriptedProvider()
        self._apis = self._apis_by_path()
        self._seen: deque[tuple[Door, Request]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        super().__init__()

    @property
    def rows(self) -> list[Row]:
        """All rows, the oldest first."""
        return self.store.rows()

    def requests(self, door: Door) -> list[Request]:
        """Return the requests to one of the APIs, the oldest first."""
        with self._lock:
            return [request for by, request in self._seen if by == door]

    def forget(self) -> None:
        """Remove all rows, requests and troubles; the keys stay."""
        self.troubles.end()
        self.store.forget()
        with self._lock:
            self._seen.clear()
            self._bytes = 0

    def answer(self, request: Request) -> tuple[ApiResult, Trouble]:
        """Answer a request, and store the rows that are made of it."""
        door, api = self._api_of(request)
        self._remember(door, request)
        trouble = self.troubles.take(door)
        if not trouble.makes_rows and not trouble.drop:
            return ApiResult(trouble.reply or in_text(200, "")), trouble
        try:
            result = api(request)
        except Exception as error:  # noqa: BLE001  # without a reply the test could not tell what failed
            result = refused(500, f"the fake Helicone has a bug: {type(error).__name__}: {error}")
        if trouble.makes_rows:
            self.store.add(result.rows, len(request.body))
        return ApiResult(trouble.reply or result.reply), trouble

    def _remember(self, door: Door, request: Request) -> None:
        with self._lock:
            self._seen.append((door, request))
            self._bytes += _size(request)
            while self._bytes > _MAX_BYTES:
                self._bytes -= _size(self._seen.popleft()[1])

    def _apis_by_path(self) -> dict[str, tuple[Door, _Api]]:
        logs: dict[str, _Api] = {path: partial(log_api.log, path=path, keys=self.keys) for path in log_api.PROVIDERS}
        logs |= {path: self._for_readers(jawn_api.log) for path in jawn_api.PATHS}
        logs[jawn_api.TYPED_PATH] = self._for_readers(jawn_api.log_typed)
        return {
            **{path: ("log", api) for path, api in logs.items()},
            otlp_api.JSON_PATH: ("otlp", self._for_readers(otlp_api.receive_json)),
            otlp_api.PROTOBUF_PATH: ("otlp", self._for_readers(otlp_api.receive_protobuf)),
        }

    def _api_of(self, request: Request) -> tuple[Door, _Api]:
        path = request.path.partition("?")[0]
        if request.method == "POST" and (found := self._apis.get(path)):
            return found
        if path.startswith(read_api.STARTS):
            return "api", self._for_readers(partial(read_api.query, store=self.store))
        if path.rpartition("/")[2].startswith("log"):
            return "log", lambda _: ApiResult(in_text(400, "invalid path"))
        return "gateway", lambda request: forward(request, self._provider, self.keys)

    def _for_readers(self, api: Callable[[Request, str], ApiResult]) -> _Api:
        """Return an API of jawn, which takes only keys that may read."""

        def answer(request: Request) -> ApiResult:
            key = from_http(request.headers).get("authorization", "").removeprefix("Bearer ").strip()
            owner = self.keys.owner(key)
            if owner is None or not owner.reads:
                return refused(401, "Invalid API key, or one without the permission to read")
            return api(request, owner.organization)

        return answer


def _size(request: Request) -> int:
    # 1024 for the object itself.
    return len(request.head) + len(request.body) + 1024

"""The fake Helicone: one server with all APIs, which keeps the rows and the requests that arrived.

Asked under a name of Helicone's, as by a client for which it is a proxy, it has the API of that host only.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from ...destinations import HELICONE_DOMAINS
from . import jawn_api, log_api, otlp_api, read_api
from .gateway import ROW_ID, Gateway, Provider
from .headers import DEFAULT, KEY, WRITE_ONLY_KEY, Keys
from .loopback import AnsweringServer
from .provider import ScriptedProvider
from .requests import ApiResult, Door, Reply, Request, Trouble, Troubles, in_text, refused
from .rows import MAX_ROWS, Row, RowStore

_Api: TypeAlias = Callable[[Request], ApiResult]

# The hosts on a route of Helicone's worker: those of its log, and those of its gateways.
# https://github.com/Helicone/helicone/blob/main/worker/wrangler.toml, `env.production`
LOG_HOSTS: Final = frozenset({"api.worker.helicone.ai", *(f"api{at}.hconeai.com" for at in ("", ".us", ".eu"))})
_GATEWAYS: Final = {
    ".helicone.ai": "ai-gateway anthropic bedrock cerebras deepinfra deepseek firecrawl fireworks gateway generate "
    "google groq hyperbolic llama llmmapper mistral nebius novita nvidia oai openrouter perplexity predibase qstash "
    "together vercel x",
    ".us.helicone.ai": "anthropic gateway groq hyperbolic oai openrouter together",
    ".hconeai.com": "anthropic fireworks gateway groq oai openrouter predibase together",
    ".us.hconeai.com": "anthropic gateway groq oai openrouter together",
    ".eu.hconeai.com": "anthropic gateway groq oai openrouter together",
}
GATEWAY_HOSTS: Final = frozenset(f"{name}{end}" for end, names in _GATEWAYS.items() for name in names.split())
# The hosts of jawn, which are not the worker's. https://docs.helicone.ai/rest/request/post-v1requestquery-clickhouse
API_HOSTS: Final = frozenset({"api.helicone.ai", "eu.api.helicone.ai"})
# Jawn's paths, and those that only look like them.
_OF_JAWN: Final = ("/v1/trace/", *read_api.STARTS)
_GATEWAY_OF_JAWN: Final = ("/v1/gateway/oai/", "/v1/gateway/anthropic/")
# Of the requests that are kept.
_MAX_BYTES: Final = 256 * 1024 * 1024


class FakeHelicone(AnsweringServer):
    """A Helicone on loopback.

        def test_the_log_is_empty(fake_helicone: FakeHelicone) -> None:
            assert fake_helicone.requests("log") == []

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
        worker: Whether it has the worker's log and gateway. Without them it is jawn alone, Helicone's API server, as
            most people host it.
        needs_key: Whether requests to the gateway make rows only with a key that exists, as at Helicone. The library
            does not send it, so tests of what it does send need none.
    """

    key: str = KEY
    write_only_key: str = WRITE_ONLY_KEY

    def __init__(
        self,
        provider: Provider | None = None,
        *,
        key: str = KEY,
        max_rows: int = MAX_ROWS,
        worker: bool = True,
        needs_key: bool = False,
        port: int = 0,
    ) -> None:
        self.key = key
        self.keys = Keys(key)
        self.store = RowStore(max_rows)
        self.troubles = Troubles()
        self._gateway = Gateway(provider or ScriptedProvider(), self.keys, needs_key=needs_key)
        self._has_worker = worker
        # By the number of their arrival.
        self._seen: OrderedDict[int, tuple[Door, Request]] = OrderedDict()
        self._arrived = 0
        self._bytes = 0
        self._lock = threading.Lock()
        super().__init__(port)

    @property
    def rows(self) -> list[Row]:
        """All rows, the oldest first."""
        return self.store.rows()

    @property
    def without_row(self) -> int:
        """How many requests the gateway answered that made no row, because they had no key."""
        return self._gateway.without_row

    def requests(self, door: Door) -> list[Request]:
        """Return the requests to one of the APIs, the oldest first."""
        with self._lock:
            return [request for by, request in self._seen.values() if by == door]

    def session_page(self, name: str, session_id: str) -> list[Row]:
        """Return the rows that Helicone's page of a session shows after a click on the session in the list.

        Raises:
            PageError: The page answers 500, because there is a `%` in the name or the id.
        """
        return read_api.session_page(self.store, DEFAULT, name, session_id)

    def forget(self) -> None:
        """Remove all rows, requests and troubles; the keys stay."""
        self.troubles.end()
        self.store.forget()
        self._gateway.forget()
        with self._lock:
            self._seen.clear()
            self._bytes = 0

    def answer(self, request: Request) -> tuple[ApiResult, Trouble]:
        """Answer a request, and store the rows that are made of it."""
        door, api = self._api_of(request)
        number = self._remember(door, request)
        trouble = self.troubles.take(door, request)
        if not trouble.makes_rows and not trouble.drop:
            return ApiResult(trouble.reply or in_text(200, "")), trouble
        try:
            result = api(request)
        except Exception as error:  # noqa: BLE001  # without a reply the test could not tell what failed
            result = refused(500, f"the fake Helicone has a bug: {type(error).__name__}: {error}")
        if trouble.makes_rows:
            self.store.add(result.rows, len(request.body))
        reply = trouble.reply or result.reply
        self._note_row_id(number, reply)
        return ApiResult(reply), trouble

    def _remember(self, door: Door, request: Request) -> int:
        with self._lock:
            self._arrived += 1
            self._seen[self._arrived] = door, request
            self._bytes += _size(request)
            while self._bytes > _MAX_BYTES:
                self._bytes -= _size(self._seen.popitem(last=False)[1][1])
            return self._arrived

    def _note_row_id(self, number: int, reply: Reply) -> None:
        """Note which row's id the answer to a request names."""
        row_id = next((value for name, value in reply.headers if name.lower() == ROW_ID), None)
        with self._lock:
            if number in self._seen:
                door, request = self._seen[number]
                self._seen[number] = door, replace(request, request_id=row_id)

    def _api_of(self, request: Request) -> tuple[Door, _Api]:
        host = (request.header("Host") or "").lower().partition(":")[0].rstrip(".")
        if host.endswith(HELICONE_DOMAINS):
            return self._api_at(host, request)
        path = request.path.partition("?")[0]
        if not self._has_worker:
            return self._of_gateway() if path.startswith(_GATEWAY_OF_JAWN) else self._of_jawn(request, self.keys)
        if path.startswith(_OF_JAWN):
            return self._of_jawn(request, self.keys)
        is_of_log = path in log_api.PROVIDERS or path.rpartition("/")[2].startswith("log") or path == log_api.HEALTH
        return self._of_log(self.keys) if is_of_log else self._of_gateway()

    def _api_at(self, host: str, request: Request) -> tuple[Door, _Api]:
        is_european = "eu" in host.split(".")
        if host in LOG_HOSTS:
            # At the other hosts, the region is that of the key.
            return self._of_log(self.keys.of_region(is_european=True) if is_european else self.keys)
        if host in API_HOSTS:
            return self._of_jawn(request, self.keys.of_region(is_european=is_european))
        if host in GATEWAY_HOSTS:
            return self._of_gateway()
        return "gateway", lambda _: ApiResult(in_text(421, f"No route of Helicone's has the host {host}."))

    def _of_log(self, keys: Keys) -> tuple[Door, _Api]:
        return "log", partial(log_api.answer, keys=keys)

    def _of_gateway(self) -> tuple[Door, _Api]:
        return "gateway", self._gateway.answer

    def _of_jawn(self, request: Request, keys: Keys) -> tuple[Door, _Api]:
        path = request.path.partition("?")[0]
        if request.method == "GET" and path == log_api.HEALTH:
            return "api", lambda _: jawn_api.health()
        if path.startswith(read_api.STARTS):
            return "api", partial(jawn_api.with_key, api=partial(read_api.query, store=self.store), keys=keys)
        door, api = _JAWN_APIS.get(path, ("log", jawn_api.not_found)) if request.method == "POST" else _NOTHING
        return door, partial(jawn_api.with_key, api=api, keys=keys)


_JAWN_APIS: Final[dict[str, tuple[Door, Callable[[Request, str], ApiResult]]]] = {
    **dict.fromkeys(jawn_api.PATHS, ("log", jawn_api.log)),
    jawn_api.TYPED_PATH: ("log", jawn_api.log_typed),
    otlp_api.JSON_PATH: ("otlp", otlp_api.receive_json),
    otlp_api.PROTOBUF_PATH: ("otlp", otlp_api.receive_protobuf),
}
_NOTHING: Final[tuple[Door, Callable[[Request, str], ApiResult]]] = ("api", jawn_api.not_found)


def _size(request: Request) -> int:
    # 1024 for the object itself.
    return len(request.head) + len(request.body) + 1024

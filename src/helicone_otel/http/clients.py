"""Hooks the HTTP clients that LLM SDKs use: the method of each that sends one request, once, to one host.

To support another client, add a row to `HOOKS`. Clients keep headers along a redirect, and callers use their
headers again. So our headers are put on a copy, for one hop to one host. Headers that the propagator injected are not
bound to a hop: on a hop to a host that is on no list, they are removed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..destinations import Destination
from ..failures import swallow
from ..injected import ID_SPELLINGS
from .hooks import is_enabled, put_headers

if TYPE_CHECKING:
    from ..tracking.registry import Registry

_Function = Callable[..., Any]
_Coroutine = Callable[..., Awaitable[Any]]

# How log lines name the code that failed.
_HOOK: Final = "transport hook"


def _as_latin1(text: str) -> str:
    """Return the text that `http.client`, which writes one byte for each character, writes as UTF-8.

    It takes bytes as well. But others read a request's headers below the hook, and urllib3's own headers raise
    `TypeError` if one is read that is bytes.
    """
    return text if text.isascii() else text.encode().decode("latin-1")


# --- httpcore and httpcore2, and so httpx and httpx2 ------------------------------------------------


def _httpcore(registry: Registry, send: _Function) -> _Function:
    @functools.wraps(send)
    def handle_request(pool: Any, request: Any) -> Any:
        before = request.headers
        request.headers = _httpcore_headers(registry, request, before)
        try:
            return send(pool, request)
        finally:
            request.headers = before

    return handle_request


def _httpcore_async(registry: Registry, send: _Coroutine) -> _Coroutine:
    @functools.wraps(send)
    async def handle_async_request(pool: Any, request: Any) -> Any:
        before = request.headers
        request.headers = _httpcore_headers(registry, request, before)
        try:
            return await send(pool, request)
        finally:
            request.headers = before

    return handle_async_request


def _httpcore_headers(
    registry: Registry, request: Any, headers: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Return the headers to send: a copy with ours, if the host is on a list. Never raises."""
    try:
        url = request.url
        destination = registry.destinations.of_raw_host(url.host, url.port, url.scheme)
        if destination is Destination.UNKNOWN:
            return _httpcore_without_ours(registry, headers) if registry.injected else headers
        if not is_enabled(registry):
            return headers
        carrier = headers.copy()
        reads_utf8 = partial(registry.destinations.reads_utf8, url.host, url.port, url.scheme)
        put_headers(registry, destination, url.target.decode("ascii"), carrier, _append_to(carrier), reads_utf8)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(_HOOK, error)
        return headers
    return carrier


def _httpcore_without_ours(registry: Registry, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    for name, _ in headers:
        if name in ID_SPELLINGS:
            ours = registry.injected.among(headers)
            return [line for line in headers if line[0] not in ours] if ours else headers
    return headers


def _append_to(carrier: list[tuple[bytes, bytes]]) -> Callable[[str, str], None]:
    return lambda name, value: carrier.append((name.encode(), value.encode()))


# --- urllib3, and so requests and botocore --------------------------------------------------------


def _urllib3(registry: Registry, send: _Function) -> _Function:
    @functools.wraps(send)
    def urlopen(
        pool: Any, method: str, url: str, body: Any = None, headers: Any = None, *rest: Any, **more: Any
    ) -> Any:
        return send(pool, method, url, body, _urllib3_headers(registry, pool, url, headers), *rest, **more)

    return urlopen


def _urllib3_headers(registry: Registry, pool: Any, url: str, headers: Any) -> Any:
    """Return the headers to send: a copy with ours, if the host is on a list. Never raises."""
    try:
        destinations = registry.destinations
        if pool.proxy is not None and not url.startswith("/"):
            destination = destinations.of_url(url)  # the host of the pool is the proxy
            reads_utf8 = partial(destinations.url_reads_utf8, url)
        else:
            destination = destinations.of_host(pool.host, pool.port, pool.scheme)
            reads_utf8 = partial(destinations.reads_utf8, pool.host, pool.port, pool.scheme)
        if destination is Destination.UNKNOWN:
            sent = pool.headers if headers is None else headers
            return _without_ours(registry, sent) if registry.injected else headers
        if not is_enabled(registry):
            return headers
        carrier = (pool.headers if headers is None else headers).copy()
        put_headers(registry, destination, url, carrier, _set_in(carrier), reads_utf8)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(_HOOK, error)
        return headers
    return carrier


def _set_in(carrier: Any) -> Callable[[str, str], None]:
    return lambda name, value: carrier.__setitem__(name, _as_latin1(value))


# --- aiohttp --------------------------------------------------------------------------------------


def _aiohttp(registry: Registry, send: _Coroutine) -> _Coroutine:
    @functools.wraps(send)
    async def send_with_headers(request: Any, connection: Any) -> Any:
        before = request.headers
        request.headers = _aiohttp_headers(registry, request, before)
        try:
            return await send(request, connection)
        finally:
            request.headers = before  # a middleware may send the same request again, to another host

    return send_with_headers


def _aiohttp_headers(registry: Registry, request: Any, headers: Any) -> Any:
    """Return the headers to send: a copy with ours, if the host is on a list. Never raises."""
    try:
        url = request.url
        destination = registry.destinations.of_host(url.raw_host, url.port, url.scheme)
        if destination is Destination.UNKNOWN:
            return _without_ours(registry, headers) if registry.injected else headers
        # The request that opens a tunnel goes to the proxy, although its URL has the host behind the proxy.
        if not is_enabled(registry) or request.method == "CONNECT":
            return headers
        carrier = headers.copy()
        reads_utf8 = partial(registry.destinations.reads_utf8, url.raw_host, url.port, url.scheme)
        # aiohttp itself writes texts as UTF-8.
        put_headers(registry, destination, url.raw_path, carrier, carrier.__setitem__, reads_utf8)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(_HOOK, error)
        return headers
    return carrier


# --- urllib ---------------------------------------------------------------------------------------


def _urllib(registry: Registry, send: _Function) -> _Function:
    @functools.wraps(send)
    def do_open(handler: Any, http_class: Any, req: Any, **http_conn_args: Any) -> Any:
        return send(handler, http_class, _urllib_request(registry, req), **http_conn_args)

    return do_open


def _urllib_request(registry: Registry, request: Any) -> Any:
    """Return the request to send: a copy with our headers, if the host is on a list. Never raises."""
    try:
        url = request.full_url  # the attribute `host` would be the proxy, if there is one
        destination = registry.destinations.of_url(url)
        if destination is Destination.UNKNOWN:
            return _urllib_without_ours(registry, request) if registry.injected else request
        if not is_enabled(registry):
            return request
        carrier = {**request.headers, **request.unredirected_hdrs}
        changed = copy.copy(request)
        changed.headers, changed.unredirected_hdrs = dict(request.headers), dict(request.unredirected_hdrs)
        reads_utf8 = partial(registry.destinations.url_reads_utf8, url)
        put_headers(registry, destination, url, carrier, partial(_set_on, changed), reads_utf8)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(_HOOK, error)
        return request
    return changed


def _set_on(request: Any, name: str, value: str) -> None:
    for headers in (request.headers, request.unredirected_hdrs):
        # `urllib` joins both, by names in one case, and those of `headers` win.
        for spelled in [spelled for spelled in headers if spelled.lower() == name.lower()]:
            del headers[spelled]
    request.add_unredirected_header(name, _as_latin1(value))


def _urllib_without_ours(registry: Registry, request: Any) -> Any:
    headers = _without_ours(registry, request.headers)
    if headers is request.headers:
        return request
    changed = copy.copy(request)
    changed.headers = headers
    return changed


def _without_ours(registry: Registry, headers: Any) -> Any:
    """Return headers without those that the propagator injected: a copy if there are any, else the same object."""
    ours = registry.injected.among(headers.items())
    if not ours:
        return headers
    changed = headers.copy()
    for name in ours:
        del changed[name]
    return changed


# --- the table ------------------------------------------------------------------------------------


class Hook:
    """The method of an HTTP client that sends a request.

    Attributes:
        module: The module of the client. It is hooked as soon as the app imports it.
        owner: The class in this module.
        method: The method that sends one request, once, to one host.
        make: Returns the function that replaces the method, from the registry and the method.
        instead: The instrumentation scopes, and packages of carriers, for which the propagator must not inject,
            because the hook writes the headers instead. Injected headers would be kept along redirects, and would
            overwrite the caller's.
    """

    __slots__ = ("instead", "make", "method", "module", "owner")

    def __init__(
        self,
        module: str,
        owner: str,
        method: str,
        make: Callable[[Registry, _Function], _Function],
        instead: tuple[str, ...] = (),
    ) -> None:
        self.module = module
        self.owner = owner
        self.method = method
        self.make = make
        self.instead = instead


_CONTRIB: Final = "opentelemetry.instrumentation."

HOOKS: Final = (
    Hook("httpcore", "ConnectionPool", "handle_request", _httpcore, ("httpx",)),
    Hook("httpcore", "AsyncConnectionPool", "handle_async_request", _httpcore_async, ("httpx",)),
    Hook("httpcore2", "ConnectionPool", "handle_request", _httpcore, ("httpx2",)),
    Hook("httpcore2", "AsyncConnectionPool", "handle_async_request", _httpcore_async, ("httpx2",)),
    Hook("urllib3", "HTTPConnectionPool", "urlopen", _urllib3, (_CONTRIB + "urllib3", _CONTRIB + "requests")),
    Hook("aiohttp", "ClientRequest", "send", _aiohttp, (_CONTRIB + "aiohttp_client",)),
    Hook("urllib.request", "AbstractHTTPHandler", "do_open", _urllib, (_CONTRIB + "urllib",)),
)

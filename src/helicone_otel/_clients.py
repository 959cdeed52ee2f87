"""The HTTP clients that LLM SDKs use, and the innermost method of each at which headers can still be added.

Further clients are rows of `HOOKS`. Where a client carries its headers along a redirect, ours are put
onto a copy, for one hop; only httpx's requests tell what was ours and let go of it at the next.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from ._guard import swallow
from ._registry import Registry
from ._transport import is_due, put_headers

_Function = Callable[..., Any]
_Coroutine = Callable[..., Awaitable[Any]]

_WHERE: Final = "transport hook"


# --- httpx and httpx2 -----------------------------------------------------------------------------

_MARK: Final = "helicone_otel.headers"


def prepare_httpx(registry: Registry, request: Any) -> None:
    """Bring the session headers of a request of httpx's in order. Never raises."""
    try:
        if _MARK in request.extensions:
            _take_out(request)
        url = request.url
        # The raw host is what is connected to; the other one is decoded for people (`xn--…`).
        destination = registry.resolver.destinations.of_host(url.raw_host.decode("ascii"), url.port, url.scheme)
        if is_due(destination):
            headers = request.headers
            ours = put_headers(registry, destination, url.path, headers, headers.__setitem__)
            # httpx hands the extensions of a request on to the request that follows a redirect.
            request.extensions[_MARK] = ours
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(_WHERE, error)


def _take_out(request: Any) -> None:
    for name, value in request.extensions.pop(_MARK):
        if request.headers.get(name) == value:
            del request.headers[name]


def _httpx(registry: Registry, send: _Function) -> _Function:
    @functools.wraps(send)
    def handle_request(transport: Any, request: Any) -> Any:
        prepare_httpx(registry, request)
        return send(transport, request)

    return handle_request


def _httpx_async(registry: Registry, send: _Coroutine) -> _Coroutine:
    @functools.wraps(send)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        prepare_httpx(registry, request)
        return await send(transport, request)

    return handle_async_request


# --- urllib3, and so requests and botocore --------------------------------------------------------


def _urllib3(registry: Registry, send: _Function) -> _Function:
    @functools.wraps(send)
    def urlopen(
        pool: Any, method: str, url: str, body: Any = None, headers: Any = None, *rest: Any, **more: Any
    ) -> Any:
        return send(pool, method, url, body, _urllib3_headers(registry, pool, url, headers), *rest, **more)

    return urlopen


def _urllib3_headers(registry: Registry, pool: Any, url: str, headers: Any) -> Any:
    """Return the headers with which a pool is to send: others, if any of ours are due. Never raises."""
    try:
        destinations = registry.resolver.destinations
        if pool.proxy is not None and not url.startswith("/"):
            destination = destinations.of_url(url)  # the pool's own host is the proxy
        else:
            destination = destinations.of_host(pool.host, pool.port, pool.scheme)
        if not is_due(destination):
            return headers
        carrier = (pool.headers if headers is None else headers).copy()
        put_headers(registry, destination, url, carrier, carrier.__setitem__)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(_WHERE, error)
        return headers
    return carrier


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
    """Return the headers with which a request is to leave: others, if any of ours are due. Never raises."""
    try:
        url = request.url
        destination = registry.resolver.destinations.of_host(url.raw_host, url.port, url.scheme)
        # What opens a tunnel goes to the proxy, though it says the host behind it.
        if not is_due(destination) or request.method == "CONNECT":
            return headers
        carrier = headers.copy()
        put_headers(registry, destination, url.raw_path, carrier, carrier.__setitem__)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(_WHERE, error)
        return headers
    return carrier


# --- urllib ---------------------------------------------------------------------------------------


def _urllib(registry: Registry, send: _Function) -> _Function:
    @functools.wraps(send)
    def do_open(handler: Any, http_class: Any, req: Any, **http_conn_args: Any) -> Any:
        return send(handler, http_class, _urllib_request(registry, req), **http_conn_args)

    return do_open


def _urllib_request(registry: Registry, request: Any) -> Any:
    """Return the request that is to leave: another, if any of our headers are due. Never raises."""
    try:
        url = request.full_url  # its host is the proxy's, if there is one
        destination = registry.resolver.destinations.of_url(url)
        if not is_due(destination):
            return request
        carrier = {**request.headers, **request.unredirected_hdrs}
        changed = copy.copy(request)
        changed.unredirected_hdrs = dict(request.unredirected_hdrs)
        put_headers(registry, destination, url, carrier, changed.add_unredirected_header)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(_WHERE, error)
        return request
    return changed


# --- the table ------------------------------------------------------------------------------------


class Hook(NamedTuple):
    """Where the requests of a client leave.

    Attributes:
        module: Is hooked when it is imported.
        owner: The class in it.
        method: The method that sends one request, once, to one host.
        make: Makes the function that takes the place of the method.
        instrumentations: Scopes that inject into headers which the client carries along a redirect, or
            in which the caller's own cannot be told: below them only the hook writes.
    """

    module: str
    owner: str
    method: str
    make: Callable[[Registry, _Function], _Function]
    instrumentations: tuple[str, ...] = ()


_CONTRIB: Final = "opentelemetry.instrumentation."

HOOKS: Final = (
    Hook("httpx", "HTTPTransport", "handle_request", _httpx),
    Hook("httpx", "AsyncHTTPTransport", "handle_async_request", _httpx_async),
    Hook("httpx2", "HTTPTransport", "handle_request", _httpx),
    Hook("httpx2", "AsyncHTTPTransport", "handle_async_request", _httpx_async),
    Hook("urllib3", "HTTPConnectionPool", "urlopen", _urllib3, (_CONTRIB + "urllib3", _CONTRIB + "requests")),
    Hook("aiohttp", "ClientRequest", "send", _aiohttp, (_CONTRIB + "aiohttp_client",)),
    Hook("urllib.request", "AbstractHTTPHandler", "do_open", _urllib, (_CONTRIB + "urllib",)),
)

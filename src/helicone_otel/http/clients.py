"""Hooks the HTTP clients that LLM SDKs use: the method of each that sends one request, once, to one host.

To support another client, add a row to `HOOKS`. Clients keep headers along a redirect, and callers use their
headers again. So our headers are put on a copy, for one hop to one host. Headers that the propagator injected are not
bound to a hop: on a hop to a host that is on no list, they are removed. The answer is read where it belongs to the same
attempt: below the loops in which clients try again and follow redirects.
"""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from ..destinations import Destination
from ..failures import swallow
from ..injected import PREFIX
from ..wire import ROW_ID_HEADER
from .hooks import HOOK, is_enabled, note_answer, put_headers

if TYPE_CHECKING:
    from ..tracking.records import Record
    from ..tracking.registry import Registry

_Function = Callable[..., Any]
_Coroutine = Callable[..., Awaitable[Any]]

# The headers (or the request) to send, and the record of the call whose row the answer names.
_Leaving = tuple[Any, "Record | None"]

_RAW_NAME: Final = ROW_ID_HEADER.encode()
_RAW_PREFIX: Final = PREFIX.encode()
_NAME: Final = itemgetter(0)
_NAME_LENGTH: Final = len(_RAW_NAME)
# On a response of aiohttp, which is returned before its headers have come: the record of its call.
_CALL: Final = "_helicone_call"


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
        leaving = _httpcore_headers(registry, request)
        if leaving is None:
            return send(pool, request)
        before = request.headers
        request.headers, call = leaving
        try:
            response = send(pool, request)
        finally:
            request.headers = before
        if call is not None:
            note_answer(call, response, _httpcore_ids)
        return response

    return handle_request


def _httpcore_async(registry: Registry, send: _Coroutine) -> _Coroutine:
    @functools.wraps(send)
    async def handle_async_request(pool: Any, request: Any) -> Any:
        leaving = _httpcore_headers(registry, request)
        if leaving is None:
            return await send(pool, request)
        before = request.headers
        request.headers, call = leaving
        try:
            response = await send(pool, request)
        finally:
            request.headers = before
        if call is not None:
            note_answer(call, response, _httpcore_ids)
        return response

    return handle_async_request


def _httpcore_headers(registry: Registry, request: Any) -> _Leaving | None:
    """Return the headers to send: a copy with ours, if the host is on a list; `None`: as they are. Never raises."""
    try:
        url = request.url
        destination = registry.destinations.of_raw_host(url.host, url.port, url.scheme)
        if destination is Destination.UNKNOWN:
            return (_httpcore_without_ours(registry, request.headers), None) if registry.injected.noted else None
        if not is_enabled(registry):
            return None
        carrier: list[tuple[bytes, bytes]] = request.headers.copy()
        reads_utf8 = partial(registry.destinations.reads_utf8, url.host, url.port, url.scheme)
        path = url.target.decode("ascii")
        call = put_headers(registry, destination, path, carrier, _append_to(carrier), reads_utf8)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(HOOK, error)
        return None
    return carrier, call


def _httpcore_without_ours(registry: Registry, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    # To look at all names at once costs less, and nearly no request to a host that is on no list has any of ours.
    if _RAW_PREFIX not in b"".join(map(_NAME, headers)).lower():
        return headers
    ours = registry.injected.among(headers)
    return [line for line in headers if line[0] not in ours] if ours else headers


def _httpcore_ids(response: Any) -> Sequence[object]:
    # The length first: the other names need not be copied to lower case.
    return [value for name, value in response.headers if len(name) == _NAME_LENGTH and name.lower() == _RAW_NAME]


def _append_to(carrier: list[tuple[bytes, bytes]]) -> Callable[[str, str], None]:
    return lambda name, value: carrier.append((name.encode(), value.encode()))


# --- urllib3, and so requests and botocore --------------------------------------------------------


def _urllib3(registry: Registry, send: _Function) -> _Function:
    # Below `urlopen`, which calls itself to try again or to follow a redirect, and returns the last answer each time.
    @functools.wraps(send)
    def make_request(pool: Any, connection: Any, method: str, url: str, *rest: Any, **more: Any) -> Any:
        leaving = _urllib3_headers(registry, pool, url, more.get("headers"))
        if leaving is None:
            return send(pool, connection, method, url, *rest, **more)
        more["headers"], call = leaving
        response = send(pool, connection, method, url, *rest, **more)
        if call is not None:
            note_answer(call, response, _urllib3_ids)
        return response

    return make_request


def _urllib3_headers(registry: Registry, pool: Any, url: str, headers: Any) -> _Leaving | None:
    """Return the headers to send: a copy with ours, if the host is on a list; `None`: as they are. Never raises."""
    if headers is None:
        return None  # this was not called by `urlopen`, which always has some
    try:
        destinations = registry.destinations
        if pool.proxy is not None and not url.startswith("/"):
            destination = destinations.of_url(url)  # the host of the pool is the proxy
            reads_utf8 = partial(destinations.url_reads_utf8, url)
        else:
            destination = destinations.of_host(pool.host, pool.port, pool.scheme)
            reads_utf8 = partial(destinations.reads_utf8, pool.host, pool.port, pool.scheme)
        if destination is Destination.UNKNOWN:
            return (_without_ours(registry, headers), None) if registry.injected.noted else None
        if not is_enabled(registry):
            return None
        carrier = headers.copy()
        call = put_headers(registry, destination, url, carrier, _set_in(carrier), reads_utf8)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(HOOK, error)
        return None
    return carrier, call


def _urllib3_ids(response: Any) -> Sequence[object]:
    headers = response.headers
    # Before version 2 it is a response of `http.client`.
    ids: Sequence[object] = (
        headers.getlist(ROW_ID_HEADER) if hasattr(headers, "getlist") else _http_client_ids(response)
    )
    return ids


def _set_in(carrier: Any) -> Callable[[str, str], None]:
    return lambda name, value: carrier.__setitem__(name, _as_latin1(value))


# --- aiohttp --------------------------------------------------------------------------------------


def _aiohttp(registry: Registry, send: _Coroutine) -> _Coroutine:
    @functools.wraps(send)
    async def send_with_headers(request: Any, connection: Any) -> Any:
        leaving = _aiohttp_headers(registry, request)
        if leaving is None:
            return await send(request, connection)
        before = request.headers
        request.headers, call = leaving
        try:
            response = await send(request, connection)
        finally:
            request.headers = before  # a middleware may send the same request again, to another host
        if call is not None:
            with contextlib.suppress(AttributeError):  # a response class of somebody who allows no other attributes
                setattr(response, _CALL, call)
        return response

    return send_with_headers


def _aiohttp_answer(_: Registry, start: _Coroutine) -> _Coroutine:
    @functools.wraps(start)
    async def start_and_read(response: Any, connection: Any) -> Any:
        started = await start(response, connection)
        call = getattr(response, _CALL, None)
        if call is not None:
            note_answer(call, response, _aiohttp_ids)
        return started

    return start_and_read


def _aiohttp_ids(response: Any) -> Sequence[object]:
    ids: Sequence[object] = response.headers.getall(ROW_ID_HEADER, ())
    return ids


def _aiohttp_headers(registry: Registry, request: Any) -> _Leaving | None:
    """Return the headers to send: a copy with ours, if the host is on a list; `None`: as they are. Never raises."""
    try:
        url = request.url
        destination = registry.destinations.of_host(url.raw_host, url.port, url.scheme)
        if destination is Destination.UNKNOWN:
            return (_without_ours(registry, request.headers), None) if registry.injected.noted else None
        # The request that opens a tunnel goes to the proxy, although its URL has the host behind the proxy.
        if not is_enabled(registry) or request.method == "CONNECT":
            return None
        carrier = request.headers.copy()
        reads_utf8 = partial(registry.destinations.reads_utf8, url.raw_host, url.port, url.scheme)
        # aiohttp itself writes texts as UTF-8.
        call = put_headers(registry, destination, url.raw_path, carrier, carrier.__setitem__, reads_utf8)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(HOOK, error)
        return None
    return carrier, call


# --- urllib ---------------------------------------------------------------------------------------


def _urllib(registry: Registry, send: _Function) -> _Function:
    @functools.wraps(send)
    def do_open(handler: Any, http_class: Any, req: Any, **http_conn_args: Any) -> Any:
        leaving = _urllib_request(registry, req)
        if leaving is None:
            return send(handler, http_class, req, **http_conn_args)
        sent, call = leaving
        response = send(handler, http_class, sent, **http_conn_args)
        if call is not None:
            note_answer(call, response, _http_client_ids)
        return response

    return do_open


def _urllib_request(registry: Registry, request: Any) -> _Leaving | None:
    """Return the request to send: a copy with our headers, if the host is on a list; `None`: as it is. Never raises."""
    try:
        url = request.full_url  # the attribute `host` would be the proxy, if there is one
        destination = registry.destinations.of_url(url)
        if destination is Destination.UNKNOWN:
            return (_urllib_without_ours(registry, request), None) if registry.injected.noted else None
        if not is_enabled(registry):
            return None
        carrier = {**request.headers, **request.unredirected_hdrs}
        changed = copy.copy(request)
        changed.headers, changed.unredirected_hdrs = dict(request.headers), dict(request.unredirected_hdrs)
        reads_utf8 = partial(registry.destinations.url_reads_utf8, url)
        call = put_headers(registry, destination, url, carrier, partial(_set_on, changed), reads_utf8)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow(HOOK, error)
        return None
    return changed, call


def _http_client_ids(response: Any) -> Sequence[object]:
    return response.headers.get_all(ROW_ID_HEADER) or ()


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
    """The method of an HTTP client that sends a request, or reads the headers of its answer.

    Attributes:
        module: The module of the client. It is hooked as soon as the app imports it.
        owner: The class in this module.
        method: The method that sends one request, once, to one host; or reads one answer.
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
    Hook("urllib3", "HTTPConnectionPool", "_make_request", _urllib3, (_CONTRIB + "urllib3", _CONTRIB + "requests")),
    Hook("aiohttp", "ClientRequest", "send", _aiohttp, (_CONTRIB + "aiohttp_client",)),
    Hook("aiohttp", "ClientResponse", "start", _aiohttp_answer),
    Hook("urllib.request", "AbstractHTTPHandler", "do_open", _urllib, (_CONTRIB + "urllib",)),
)

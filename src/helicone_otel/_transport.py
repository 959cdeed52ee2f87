"""The transport hook of httpx and httpx2: for what a propagator cannot reach.

An app without HTTP instrumentation calls no propagator; a bare carrier hides what the caller set;
a redirect carries our headers to whatever host it names. The hook sits innermost, on the
transports' own send, where the headers stand as they will leave. It makes no span.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from opentelemetry import trace

from . import _wire
from ._carriers import heed_caller, write_headers
from ._destinations import Destination
from ._guard import swallow
from ._registry import Registry
from ._resolver import call_kind

MODULES: Final = ("httpx", "httpx2")
_MARK: Final = "helicone_otel.headers"


def prepare(registry: Registry, request: Any) -> None:
    """Bring the session headers of a request about to leave in order. Never raises."""
    try:
        if _MARK in request.extensions:
            _take_out(request)
        url = request.url
        # The raw host is what is connected to; the other one is decoded for people (`xn--…`).
        destination = registry.resolver.destinations.of_host(url.raw_host.decode("ascii"), url.port, url.scheme)
        if destination is not Destination.UNKNOWN and not _is_suppressed():
            _write(registry, request, destination)
    except Exception as error:  # noqa: BLE001  # an exception here would fail the user's request
        swallow("transport hook", error)


def _write(registry: Registry, request: Any, destination: Destination) -> None:
    if destination is Destination.GATEWAY:
        kind = call_kind(str(request.url))
        location = registry.locate_gateway_call(kind)
        if kind != "llm":
            _correct(registry, request)
    else:
        location = registry.locate()
    record = registry.record_of(trace.get_current_span())
    if location is None:
        if record is not None:
            heed_caller(registry, record, destination, request.headers)
        return
    # httpx hands the extensions of a request on to the request that follows a redirect.
    request.extensions[_MARK] = write_headers(
        registry, location, record, destination, request.headers, request.headers.__setitem__
    )


def _correct(registry: Registry, request: Any) -> None:
    """Take out the path of a propagator that knew only the host, and so took the call for a chat."""
    guess = None if trace.get_current_span().is_recording() else registry.locate(call="llm")
    headers = request.headers
    if (
        guess
        and headers.get(_wire.SESSION_ID_HEADER) == guess.session.wire_id
        and headers.get(_wire.SESSION_PATH_HEADER) == guess.path
    ):
        del headers[_wire.SESSION_PATH_HEADER]


def _take_out(request: Any) -> None:
    for name, value in request.extensions.pop(_MARK):
        if request.headers.get(name) == value:
            del request.headers[name]


def _is_suppressed() -> bool:
    # Not imported above: it imports `opentelemetry.propagate`, see the package's docstring.
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled  # noqa: PLC0415

    return not is_instrumentation_enabled()


def hooked(registry: Registry, send: Callable[..., Any]) -> Callable[..., Any]:
    """Return a transport's `handle_request` that prepares each request first."""

    @functools.wraps(send)
    def handle_request(transport: Any, request: Any) -> Any:
        prepare(registry, request)
        return send(transport, request)

    return handle_request


def hooked_async(registry: Registry, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a transport's `handle_async_request` that prepares each request first."""

    @functools.wraps(send)
    async def handle_async_request(transport: Any, request: Any) -> Any:
        prepare(registry, request)
        return await send(transport, request)

    return handle_async_request

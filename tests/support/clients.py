"""The HTTP clients of LLM SDKs, each as one function, and their published instrumentations."""

from __future__ import annotations

import asyncio
import importlib
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from opentelemetry import propagate
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind

from helicone_otel import Settings, configure
from tests.support.raw_http import TLS, Wire, labels_of

Headers = Mapping[str, str] | None
# Sends a GET request and follows redirects.
Get = Callable[[str, Headers], object]
# The headers of a session, by what they name.
HEADERS = {"id": "Helicone-Session-Id", "path": "Helicone-Session-Path", "name": "Helicone-Session-Name"}


class Client(NamedTuple):
    """An HTTP client.

    Attributes:
        name: Its name in tests.
        make: Makes one that sends requests, through a proxy if one is given, and closes it with the stack.
        instrumentation: The module and class of OpenTelemetry's instrumentation.
    """

    name: str
    make: Callable[[ExitStack, str | None], Get]
    instrumentation: tuple[str, str]

    def get(self, url: str, headers: Headers = None, proxy: str | None = None) -> None:
        """Send a request with a new client."""
        with ExitStack() as stack:
            self.make(stack, proxy)(url, headers)

    def instrumentor(self) -> Any:
        """Return a new instrumentor; skip the test if none is installed."""
        module, name = self.instrumentation
        pytest.importorskip(module, reason=f"{module} is not installed: see test_transports_instrumented.py")
        if not hasattr(importlib.import_module(module), name):
            pytest.skip(f"this {module} has no {name}")
        return getattr(importlib.import_module(module), name)()


def _requests(stack: ExitStack, proxy: str | None) -> Get:
    session = stack.enter_context(requests.Session())
    session.trust_env = False
    session.proxies = {"http": proxy, "https": proxy} if proxy else {}
    return lambda url, headers: session.get(url, headers=headers).raise_for_status()


def _urllib3(stack: ExitStack, proxy: str | None) -> Get:
    pool = stack.enter_context(urllib3.ProxyManager(proxy, retries=False) if proxy else urllib3.PoolManager())
    return lambda url, headers: pool.request("GET", url, headers=headers)


def _urllib3_pool(_: ExitStack, proxy: str | None) -> Get:
    """Call the method of a host's pool directly, as requests and botocore do."""

    def get(url: str, headers: Headers) -> None:
        target = urllib3.util.parse_url(url)
        with urllib3.connection_from_url(f"{target.scheme}://{target.netloc}") as pool:
            pool.urlopen("GET", target.request_uri, None, dict(headers) if headers else None)

    assert proxy is None
    return get


def _urllib(_: ExitStack, proxy: str | None) -> Get:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}))

    def get(url: str, headers: Headers) -> None:
        with opener.open(urllib.request.Request(url, headers=dict(headers or {}))) as response:
            response.read()

    return get


def _aiohttp(stack: ExitStack, proxy: str | None) -> Get:
    runner = stack.enter_context(asyncio.Runner())

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        # In the Context of the caller, not in the one in which the client was made.
        return runner.get_loop().run_until_complete(work)

    async def make() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def get(url: str, headers: Headers) -> None:
        async with session.get(url, headers=headers, proxy=proxy) as response:
            await response.read()

    session = run(make())
    stack.callback(lambda: run(session.close()))
    return lambda url, headers: run(get(url, headers))


def _httpx(module: Any) -> Callable[[ExitStack, str | None], Get]:
    def make(stack: ExitStack, proxy: str | None) -> Get:
        client = module.Client(proxy=proxy, follow_redirects=True, trust_env=False, verify=TLS)
        stack.enter_context(client)
        return lambda url, headers: client.get(url, headers=headers)

    return make


def _httpx_async(module: Any) -> Callable[[ExitStack, str | None], Get]:
    def make(stack: ExitStack, proxy: str | None) -> Get:
        runner = stack.enter_context(asyncio.Runner())
        client = module.AsyncClient(proxy=proxy, follow_redirects=True, trust_env=False, verify=TLS)
        stack.callback(lambda: runner.get_loop().run_until_complete(client.aclose()))
        return lambda url, headers: runner.get_loop().run_until_complete(client.get(url, headers=headers))

    return make


_CONTRIB = "opentelemetry.instrumentation."
_HTTPX = (_CONTRIB + "httpx", "HTTPXClientInstrumentor")
_HTTPX2 = (_CONTRIB + "httpx", "HTTPX2ClientInstrumentor")
CLIENTS = [
    Client("httpx", _httpx(httpx), _HTTPX),
    Client("httpx-async", _httpx_async(httpx), _HTTPX),
    Client("httpx2", _httpx(httpx2), _HTTPX2),
    Client("httpx2-async", _httpx_async(httpx2), _HTTPX2),
    Client("requests", _requests, (_CONTRIB + "requests", "RequestsInstrumentor")),
    Client("urllib3", _urllib3, (_CONTRIB + "urllib3", "URLLib3Instrumentor")),
    Client("urllib3-pool", _urllib3_pool, (_CONTRIB + "urllib3", "URLLib3Instrumentor")),
    Client("aiohttp", _aiohttp, (_CONTRIB + "aiohttp_client", "AioHttpClientInstrumentor")),
    Client("urllib", _urllib, (_CONTRIB + "urllib", "URLLibInstrumentor")),
]

every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
# Without the pool of one host, which follows no redirect.
by_manager = pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client.name != "urllib3-pool"], ids=lambda client: client.name
)
instrumented = pytest.mark.parametrize("http", [False, True], ids=["no HTTP instrumentation", "HTTP instrumentation"])


class Spans(NamedTuple):
    """The spans of an app."""

    provider: TracerProvider
    exporter: InMemorySpanExporter

    def labels(self) -> list[dict[str, object]]:
        """Return the session attributes of the exported spans: `id`, `path` and `name`."""
        return labels_of(self.exporter)


@contextmanager
def app(
    *gateways: Wire,
    client: Client | None = None,
    provider: TracerProvider | None = None,
    sampler: Sampler = ALWAYS_ON,
    **settings: Any,
) -> Iterator[Spans]:
    """Install the library, and a client's instrumentation if one is given; these servers are gateways."""
    provider = provider or TracerProvider(sampler=sampler, resource=Resource({}), shutdown_on_exit=False)
    exporter = InMemorySpanExporter()
    instrumentor = client.instrumentor() if client else None
    hosts = (*(wire.netloc for wire in gateways), *settings.pop("gateway_hosts", ()))
    handle = configure(Settings(gateway_hosts=hosts, **settings), provider=provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    if instrumentor is not None:
        instrumentor.instrument(tracer_provider=provider)
    try:
        yield Spans(provider, exporter)
    finally:
        if instrumentor is not None:
            instrumentor.uninstrument()
        handle.uninstall()


def arrived(wire: Wire) -> list[list[tuple[bytes, bytes]]]:
    """Return the Helicone headers of every request."""
    return [wire.helicone(index) for index in range(len(wire.heads))]


def injected(running: Spans, url: str, headers: Headers = None) -> dict[str, str]:
    """Return the headers that an HTTP library of the app's own injects below its span."""
    carrier = dict(headers or {})
    tracer = running.provider.get_tracer("an HTTP library of the app's own")
    with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes={"url.full": url}):
        propagate.inject(carrier)
    return carrier

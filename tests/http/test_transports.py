"""Which headers each HTTP client sends, with and without its published instrumentation."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from opentelemetry import propagate
from opentelemetry.instrumentation.utils import suppress_http_instrumentation, suppress_instrumentation
from opentelemetry.sdk.trace import RandomIdGenerator, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, TraceIdRatioBased

from helicone_otel import Settings, configure, session, step
from helicone_otel.caches import Generations
from helicone_otel.failures import swallowed
from helicone_otel.http.clients import HOOKS
from helicone_otel.tracking.registry import REGISTRY
from tests.support.clients import (
    CLIENTS,
    HEADERS,
    Client,
    app,
    arrived,
    by_manager,
    every_client,
    injected,
    instrumented,
)
from tests.support.raw_http import Wire, expected, in_any_case, listening

ASK = "/v1/ask"
OURS = {"id": "ours", "path": "/ours", "name": "Ours"}
THEIRS = {"id": "theirs", "path": "/theirs", "name": "Theirs"}
SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(("id", "path", "name"), size)]


# --- each header exactly once ---------------------------------------------------------------------


class SeededIds(RandomIdGenerator):
    """The same trace ids in every run, of which a tenth are sampled at a ratio of 0.1."""

    def __init__(self) -> None:
        self._random = random.Random(1)

    def generate_trace_id(self) -> int:
        return self._random.getrandbits(128)


SAMPLERS = {1: ALWAYS_ON, 0.1: TraceIdRatioBased(0.1), 0: ALWAYS_OFF}


@every_client
@instrumented
@pytest.mark.parametrize("ratio", SAMPLERS)
def test_each_header_is_sent_exactly_once_at_every_sampling_ratio(
    gateway: Wire, other: Wire, client: Client, http: bool, ratio: float
) -> None:
    provider = TracerProvider(sampler=SAMPLERS[ratio], id_generator=SeededIds(), shutdown_on_exit=False)
    with app(gateway, client=client if http else None, provider=provider) as running, ExitStack() as stack:
        get = client.make(stack, None)
        for _ in range(20):
            with session("Ours", id="ours", path="/ours", user_id="u-1"):
                get(gateway.url + ASK, None)
                get(other.url + ASK, None)

    assert arrived(gateway) == [sorted([*expected(**OURS), (b"Helicone-User-Id", b"u-1")])] * 20
    assert arrived(other) == [[]] * 20
    count = len(running.exporter.get_finished_spans())
    assert (count in (1, 2, 3, 4, 5, 6)) if http and ratio == 0.1 else count == 40 * http * ratio


@every_client
@instrumented
def test_a_client_made_before_configure_sends_the_headers(gateway: Wire, client: Client, http: bool) -> None:
    with ExitStack() as stack:
        get = client.make(stack, None)
        with app(gateway, client=client if http else None), session("Ours", id="ours", path="/ours"):
            get(gateway.url, None)
            get(gateway.url, None)
        with session("Ours", id="ours", path="/ours"):
            get(gateway.url, None)

    assert arrived(gateway) == [expected(**OURS), expected(**OURS), []]


@every_client
@instrumented
def test_headers_and_labels_are_equal_and_the_hook_makes_no_span(gateway: Wire, client: Client, http: bool) -> None:
    with app(gateway, client=client if http else None) as running, session("Ours", id="ours"), step("ours"):
        client.get(gateway.url + ASK)

    assert arrived(gateway) == [expected(**OURS)]
    assert running.labels() == [OURS] * http


@every_client
@instrumented
def test_a_call_without_a_step_has_the_path_of_its_kind(gateway: Wire, client: Client, http: bool) -> None:
    with app(gateway, client=client if http else None), session("Ours", id="ours"):
        client.get(gateway.url + ASK)
        client.get(gateway.url + "/eu/embeddings?user=1")

    assert arrived(gateway) == [expected(id="ours", name="Ours", path=path) for path in ("/chat", "/embeddings")]


@every_client
@instrumented
def test_headers_are_omitted_only_if_all_instrumentation_is_suppressed(
    gateway: Wire, client: Client, http: bool
) -> None:
    with app(gateway, client=client if http else None), session("Ours", id="ours", path="/ours"):
        with suppress_http_instrumentation():
            client.get(gateway.url)
        with suppress_instrumentation():
            client.get(gateway.url)

    assert arrived(gateway) == [expected(**OURS), []]


@every_client
def test_an_own_service_gets_the_session(gateway: Wire, client: Client) -> None:
    with app(propagate_hosts=(gateway.netloc,)), session("Ours", id="ours"):
        client.get(f"{gateway.url}/plan")

    assert arrived(gateway) == [expected(id="ours", path="/", name="Ours")]


# --- headers set by the caller --------------------------------------------------------------------


@every_client
@instrumented
@pytest.mark.parametrize("spelled", [str, str.lower, str.upper, str.capitalize], ids=["as is", "lower", "upper", "cap"])
def test_headers_set_by_the_caller_are_sent_in_any_case(
    gateway: Wire, client: Client, http: bool, spelled: Callable[[str], str]
) -> None:
    def set_by_caller(subset: Sequence[str]) -> dict[str, str]:
        return {spelled(HEADERS[part]): THEIRS[part] for part in subset}

    with app(gateway, client=client if http else None) as running, ExitStack() as stack:
        get = client.make(stack, None)
        for subset in SUBSETS:
            with session("Ours", id="ours", path="/ours"):
                get(gateway.url, set_by_caller(subset))

    theirs = [{part: THEIRS[part] for part in subset} for subset in SUBSETS]
    leaving = [parts if "id" in parts else {**OURS, **parts} for parts in theirs]
    assert [in_any_case(lines) for lines in arrived(gateway)] == [in_any_case(expected(**parts)) for parts in leaving]
    assert running.labels() == [{"path": "/", **parts} for parts in leaving] * http


def test_names_and_values_of_the_callers_headers_may_be_bytes(gateway: Wire) -> None:
    theirs = {b"Helicone-Session-Id": b"theirs"}
    with app(gateway), session("Ours", id="ours"), urllib3.PoolManager() as pool:
        pool.request("GET", gateway.url, headers=theirs)  # type: ignore[arg-type]  # it does take them
        requests.get(gateway.url, headers=theirs)

    assert arrived(gateway) == [expected(id="theirs")] * 2


def test_the_callers_own_headers_object_is_not_changed(gateway: Wire) -> None:
    mine = {"X-Mine": "1"}
    urllib_request = urllib.request.Request(gateway.url, headers=mine)
    with (
        app(gateway),
        session("Ours", id="ours", path="/ours"),
        urllib3.PoolManager(headers=mine) as pool,
        requests.Session() as requests_session,
    ):
        pool.request("GET", gateway.url)
        prepared = requests_session.prepare_request(requests.Request("GET", gateway.url, headers=mine))
        before = dict(prepared.headers)
        requests_session.send(prepared)
        urllib.request.urlopen(urllib_request).close()

    assert arrived(gateway) == [expected(**OURS)] * 3
    assert (mine, dict(pool.headers), dict(prepared.headers)) == ({"X-Mine": "1"}, {"X-Mine": "1"}, before)
    assert [name for name, _ in urllib_request.header_items() if "Helicone" in name] == []


@instrumented
def test_a_urllib_request_that_is_sent_again_has_the_session_of_each_sending(gateway: Wire, http: bool) -> None:
    client = CLIENTS[-1]
    request = urllib.request.Request(gateway.url)
    with app(gateway, client=client if http else None):
        for number in "12":
            with session("Ours", id=number, path="/ours"):
                urllib.request.urlopen(request).close()

    assert arrived(gateway) == [expected(id=number, path="/ours", name="Ours") for number in "12"]


# --- which hosts get headers ----------------------------------------------------------------------


LISTED = ["oai.helicone.ai", "OAI.Helicone.AI", "anthropic.hconeai.com"]
UNLISTED = [
    "api.openai.com",
    "api.helicone.ai",
    "us.helicone.ai",
    "helicone.ai.evil.test",
    "nothelicone.ai",
    "acme.test",
]


@every_client
@instrumented
@pytest.mark.usefixtures("every_name_is_loopback")
def test_gateways_get_the_headers_and_similar_hosts_do_not(gateway: Wire, client: Client, http: bool) -> None:
    port = gateway.netloc.rpartition(":")[2]
    with app(client=client if http else None), session("Ours", id="ours", path="/ours"):
        for host in (*LISTED, *UNLISTED):
            client.get(f"http://{host}:{port}/v1")

    assert arrived(gateway) == [expected(**OURS)] * len(LISTED) + [[]] * len(UNLISTED)


@by_manager
def test_with_a_proxy_the_host_behind_the_proxy_decides(gateway: Wire, client: Client) -> None:
    """The server is the proxy, and its own host is on the list."""
    with app(gateway), session("Ours", id="ours", path="/ours"):
        client.get("http://oai.helicone.ai/v1", proxy=gateway.url)
        client.get("http://api.openai.com/v1", proxy=gateway.url)

    assert [head.split(b" ")[1] for head in gateway.heads] == [
        b"http://oai.helicone.ai/v1",
        b"http://api.openai.com/v1",
    ]
    assert arrived(gateway) == [expected(**OURS), []]


@by_manager
def test_a_proxy_that_opens_a_tunnel_to_a_gateway_gets_no_headers(gateway: Wire, client: Client) -> None:
    failures = (
        OSError,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        aiohttp.ClientError,
        httpx.HTTPError,
        httpx2.HTTPError,
    )
    with app(gateway), session("Ours", id="ours", path="/ours"), suppress(*failures):
        client.get("https://oai.helicone.ai/v1", proxy=gateway.url)

    assert [head.split(b" ")[:2] for head in gateway.heads] == [[b"CONNECT", b"oai.helicone.ai:443"]]
    assert arrived(gateway) == [[]]


# --- redirects ------------------------------------------------------------------------------------

SAMPLED = pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["sampled", "sampled out"])


@by_manager
@instrumented
@SAMPLED
def test_a_redirect_to_an_unlisted_host_keeps_only_the_callers_headers(
    other: Wire, client: Client, http: bool, sampler: Sampler
) -> None:
    mine = [
        {},
        {"Helicone-Session-Path": "/theirs"},
        {"helicone-session-name": "Theirs", "Helicone-User-Id": "theirs"},
        {"Helicone-Session-Id": "theirs"},
        {"Helicone-Auth": "Bearer theirs"},
    ]
    with (
        listening(redirect=other.url) as first,
        app(first, client=client if http else None, sampler=sampler),
        ExitStack() as stack,
    ):
        get = client.make(stack, None)
        for headers in mine:
            with session("Ours", id="ours", user_id="u-1"):
                get(first.url + ASK, headers)

    assert [len(lines) for lines in arrived(first)] == [4, 4, 4, 1, 5]
    assert [{name.decode().lower(): value.decode() for name, value in lines} for lines in arrived(other)] == [
        {name.lower(): value for name, value in headers.items()} for headers in mine
    ]


@by_manager
@instrumented
@SAMPLED
def test_a_redirect_to_another_gateway_sends_all_headers_once(
    other: Wire, client: Client, http: bool, sampler: Sampler
) -> None:
    with (
        listening(redirect=other.url) as first,
        app(first, other, client=client if http else None, sampler=sampler),
        session("Ours", id="ours"),
    ):
        client.get(first.url + ASK, {"helicone-session-path": "/theirs"})

    asked = in_any_case(expected(id="ours", path="/theirs", name="Ours"))
    assert (in_any_case(first.helicone()), in_any_case(other.helicone())) == (asked, asked)


@by_manager
@instrumented
@SAMPLED
def test_a_redirect_on_the_same_host_sends_all_headers_once(client: Client, http: bool, sampler: Sampler) -> None:
    with (
        listening(redirect="/moved", redirects=1) as first,
        app(first, client=client if http else None, sampler=sampler),
        session("Ours", id="ours", path="/ours"),
    ):
        client.get(first.url + ASK)

    assert arrived(first) == [expected(**OURS)] * 2


@by_manager
@instrumented
@SAMPLED
def test_a_redirect_from_an_unlisted_host_to_a_gateway_sends_the_headers_there(
    gateway: Wire, client: Client, http: bool, sampler: Sampler
) -> None:
    with (
        listening(redirect=gateway.url) as unlisted,
        app(gateway, client=client if http else None, sampler=sampler),
        session("Ours", id="ours", path="/ours"),
    ):
        client.get(unlisted.url + ASK)

    assert (arrived(unlisted), arrived(gateway)) == ([[]], [expected(**OURS)])


def test_each_retry_of_a_connection_pool_has_one_set_of_headers(gateway: Wire) -> None:
    retries = urllib3.Retry(total=2, status_forcelist=[200], raise_on_status=False)
    with app(gateway), session("Ours", id="ours", path="/ours"), urllib3.PoolManager(retries=retries) as pool:
        pool.request("GET", gateway.url)

    assert arrived(gateway) == [expected(**OURS)] * 3


async def test_a_middleware_that_sends_to_an_unlisted_host_sends_no_headers_of_ours(gateway: Wire, other: Wire) -> None:
    async def fail_over(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        (await send(request)).close()
        request.url = request.url.with_port(int(other.netloc.rpartition(":")[2]))
        return await send(request)

    with app(gateway), session("Ours", id="ours", path="/ours"):
        async with aiohttp.ClientSession(middlewares=(fail_over,)) as client:
            await client.get(gateway.url)

    assert (arrived(gateway), arrived(other)) == ([expected(**OURS)], [[]])


# --- what an app injected by hand ------------------------------------------------------------------


@by_manager
def test_a_redirect_to_an_unlisted_host_loses_headers_injected_by_the_app(other: Wire, client: Client) -> None:
    mine = [
        {},
        {"Helicone-Session-Path": "/theirs"},
        {"helicone-session-name": "Theirs", "Helicone-User-Id": "theirs"},
        {"Helicone-Session-Id": "theirs"},
        {"Helicone-Auth": "Bearer theirs"},
    ]
    with listening(redirect=other.url) as first, app(first) as running, ExitStack() as stack:
        get = client.make(stack, None)
        for headers in mine:
            with session("Ours", id="ours", user_id="u-1"):
                get(first.url + ASK, injected(running, first.url + ASK, headers))

    assert [len({name.lower() for name, _ in lines}) for lines in arrived(first)] == [4, 4, 4, 1, 5]
    assert [{name.decode().lower(): value.decode() for name, value in lines} for lines in arrived(other)] == [
        {name.lower(): value for name, value in headers.items()} for headers in mine
    ]


@every_client
def test_headers_that_differ_from_the_injected_set_stay_the_callers(gateway: Wire, other: Wire, client: Client) -> None:
    theirs = {"Helicone-Session-Id": "ours", "Helicone-Session-Path": "/theirs", "Helicone-Session-Name": "Ours"}
    with app(gateway) as running, session("Ours", id="ours", path="/ours"):
        client.get(gateway.url, injected(running, gateway.url))
        client.get(other.url, theirs)

    assert arrived(gateway) == [expected(**OURS)]
    assert in_any_case(arrived(other)[0]) == in_any_case(expected(id="ours", path="/theirs", name="Ours"))


@by_manager
def test_headers_injected_long_ago_are_removed_on_a_redirect(other: Wire, client: Client) -> None:
    with listening(redirect=other.url) as first, app(first) as running, ExitStack() as stack:
        with session("Ours", id="ours"):
            carrier = injected(running, first.url + ASK)
        for number in range(1_100):  # more than the library remembers of anything
            with session("Ours", id=f"{number}"):
                injected(running, first.url + ASK)
        client.make(stack, None)(first.url + ASK, carrier)

    assert (len(arrived(first)[0]), arrived(other)) == (3, [[]])


@by_manager
@pytest.mark.parametrize(
    "change",
    [{name: value} for name in ("Helicone-Session-Id", "Helicone-Session-Path") for value in ("/mine", None)]
    + [{"Helicone-Session-Name": None}],
    ids=repr,
)
def test_headers_of_which_the_app_changes_one_are_removed_on_a_redirect(
    other: Wire, client: Client, change: dict[str, str | None]
) -> None:
    with listening(redirect=other.url) as first, app(first) as running, ExitStack() as stack:
        with session("Ours", id="ours"):
            carrier = injected(running, first.url + ASK) | change
        client.make(stack, None)(first.url + ASK, {name: value for name, value in carrier.items() if value})

    assert [dict(lines) for lines in arrived(other)] == [
        {name.encode(): value.encode() for name, value in change.items() if value}
    ]


def test_headers_injected_before_any_client_is_imported_are_removed_on_a_redirect(other: Wire) -> None:
    code = """
import sys
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from helicone_otel import Settings, configure, session
url, netloc, client = sys.argv[1:]
trace.set_tracer_provider(TracerProvider())
configure(Settings(gateway_hosts=(netloc,)))
carrier = {}
with session("Ours", id="ours"), trace.get_tracer("app").start_as_current_span(
    "POST", kind=trace.SpanKind.CLIENT, attributes={"url.full": url}
):
    propagate.inject(carrier)
assert carrier["Helicone-Session-Id"] == "ours"
assert not {"httpx", "urllib3", "requests"} & sys.modules.keys()
if client == "httpx":
    import httpx
    httpx.get(url, headers=carrier, follow_redirects=True)
else:
    import requests
    requests.get(url, headers=carrier)
"""
    for client in ("httpx", "requests"):
        with listening(redirect=other.url) as first:
            arguments = [sys.executable, "-c", code, first.url + ASK, first.netloc, client]
            subprocess.run(arguments, check=True, env={**os.environ, "NO_PROXY": "127.0.0.1"}, timeout=60)
            assert len(first.helicone(0)) == 3

    assert arrived(other) == [[], []]


def test_a_host_header_that_names_a_gateway_is_believed_only_where_the_request_goes_there(other: Wire) -> None:
    with app(gateway_hosts=("gw.test",), sampler=ALWAYS_OFF) as running, session("Ours", id="ours", path="/ours"):
        carrier = injected(running, "http://gw.test/v1", {"host": "gw.test"})
        assert carrier["Helicone-Session-Id"] == "ours"
        urllib.request.urlopen(urllib.request.Request(other.url, headers=carrier)).close()
        requests.get(other.url, headers=carrier)
        httpx.get(other.url, headers=carrier)

    assert arrived(other) == [[], [], []]


def test_injected_headers_are_remembered_in_a_bounded_number_while_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with app(gateway_hosts=("gw.test",)) as running:
        assert not REGISTRY.injected.noted
        monkeypatch.setattr(REGISTRY.injected, "_lines", Generations(100))
        for number in range(1_000):
            with session("Ours", id=f"{number}"):
                injected(running, "http://gw.test/v1")
        assert 100 <= len(REGISTRY.injected) <= 200

    assert not REGISTRY.injected.noted
    assert len(REGISTRY.injected) == 0


# --- when others wrap the functions that we wrapped ------------------------------------------------

HOOKED: list[tuple[Any, str]] = [(getattr(import_module(hook.module), hook.owner), hook.method) for hook in HOOKS]
STOCK: list[tuple[Any, str]] = [
    (SimpleSpanProcessor, "on_end"),
    (SynchronousMultiSpanProcessor, "on_start"),
    (SynchronousMultiSpanProcessor, "on_end"),
    (SynchronousMultiSpanProcessor, "add_span_processor"),
    (TracerProvider, "__init__"),
    (propagate, "set_global_textmap"),
]


def wrap_plainly(owner: Any, name: str) -> None:
    """Replace a function as monkey patches do: by a plain one that calls the original."""
    inner = vars(owner)[name]
    setattr(owner, name, lambda *args, **kwargs: inner(*args, **kwargs))  # noqa: PLW0108  # a plain function, with no trace of what it wraps


@pytest.fixture
def _as_it_was() -> Iterator[None]:
    before = [(owner, name, vars(owner)[name]) for owner, name in HOOKED + STOCK]
    yield
    for owner, name, function in before:
        setattr(owner, name, function)


@every_client
@pytest.mark.usefixtures("_as_it_was")
def test_functions_that_others_wrapped_are_idle_after_uninstall_and_work_once_after_reinstall(
    gateway: Wire, client: Client
) -> None:
    settings = Settings(gateway_hosts=(gateway.netloc,))
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def plan(number: str) -> None:
        with session("Ours", id=number, path="/ours"), provider.get_tracer("app").start_as_current_span("plan"):
            client.get(gateway.url)

    handle = configure(settings, provider=provider)
    for owner, name in HOOKED + STOCK:
        wrap_plainly(owner, name)
    plan("1")
    handle.uninstall()
    plan("2")
    handle = configure(settings, provider=provider)
    plan("3")
    handle.uninstall()

    assert arrived(gateway) == [
        expected(id="1", path="/ours/plan", name="Ours"),
        [],
        expected(id="3", path="/ours/plan", name="Ours"),
    ]
    session_ids = [dict(span.attributes or {}).get("helicone.session.id") for span in exporter.get_finished_spans()]
    assert session_ids == ["1", None, "3"]


# --- failures and late imports ---------------------------------------------------------------------


@pytest.mark.failures
@every_client
@instrumented
def test_a_failure_of_ours_loses_the_headers_but_not_the_request(
    gateway: Wire, client: Client, http: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("ours")

    with app(gateway, client=client if http else None), session("Ours", id="ours"):
        monkeypatch.setattr(REGISTRY.locator, "locate", fail)
        client.get(gateway.url)

    assert arrived(gateway) == [[]]
    assert swallowed() == {"transport hook: ValueError": 1, **({"inject: ValueError": 1} if http else {})}


def test_clients_imported_after_configure_are_hooked(gateway: Wire) -> None:
    code = f"""
import helicone_otel, sys
handle = helicone_otel.configure(helicone_otel.Settings(gateway_hosts=("{gateway.netloc}",)))
assert not {{"urllib3", "aiohttp", "requests", "httpcore", "httpcore2"}} & sys.modules.keys()
import aiohttp, asyncio, httpx, httpx2, requests, urllib.request, urllib3

async def get():
    async with aiohttp.ClientSession() as client:
        await client.get("{gateway.url}")

for installed in (True, False):
    with helicone_otel.session("Ours", id="ours", path="/ours"):
        requests.get("{gateway.url}")
        urllib3.PoolManager().request("GET", "{gateway.url}")
        urllib.request.urlopen("{gateway.url}").close()
        httpx.get("{gateway.url}")
        httpx2.get("{gateway.url}")
        asyncio.run(get())
    handle.uninstall()
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "NO_PROXY": "127.0.0.1"})

    assert arrived(gateway) == [expected(**OURS)] * 6 + [[]] * 6


def test_a_client_without_the_hooked_class_is_left_unchanged(gateway: Wire) -> None:
    code = f"""
import helicone_otel, sys, types, urllib.request, urllib3
from helicone_otel.caches import Generations
from helicone_otel.failures import swallowed
sys.modules["aiohttp"] = types.ModuleType("aiohttp")  # has neither ClientRequest nor ClientResponse
helicone_otel.configure(helicone_otel.Settings(gateway_hosts=("{gateway.netloc}",)))
with helicone_otel.session("Ours", id="ours", path="/ours"):
    urllib.request.urlopen("{gateway.url}").close()
print(swallowed())
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert run.stdout == "{'transport hook: AttributeError': 2}\n"
    assert arrived(gateway) == [expected(**OURS)]

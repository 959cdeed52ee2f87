"""Which headers the propagator and the hooks send to which hosts, with real clients on real sockets."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import aiohttp
import anthropic
import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import urllib3
from anthropic import Anthropic, AsyncAnthropic
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from opentelemetry import baggage, propagate
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.instrumentation import httpx as http_instrumentation
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, SynchronousMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import SpanKind

from helicone_otel import Settings, configure, session, step
from helicone_otel.failures import swallowed
from helicone_otel.install.instrumentor import HeliconeInstrumentor
from helicone_otel.testing import Helicone
from helicone_otel.tracking.registry import REGISTRY
from tests.support import clients
from tests.support.clients import HEADERS, Spans
from tests.support.raw_http import HTTP, MODEL, QUESTION, TLS, Wire, expected, in_any_case, listening

try:
    import mcp
    from mcp.server import mcpserver
except ImportError:
    mcp = None  # type: ignore[assignment]

KEY = "sk-test"
OURS = {"id": "ours", "path": "/ours", "name": "Ours"}
THEIRS = {"id": "theirs", "path": "/theirs", "name": "Theirs"}
SUBSETS = [subset for size in (1, 2, 3) for subset in itertools.combinations(("id", "path", "name"), size)]
CHAT = {"model": MODEL, "messages": [QUESTION]}


@contextmanager
def app(
    *gateways: Wire, http: bool = False, llm: bool = False, sampler: Sampler = ALWAYS_ON, **settings: Any
) -> Iterator[Spans]:
    """Install the library, and instrumentations of HTTP clients and of OpenAI's SDK if asked for."""
    instrumentors = _http_instrumentors() * http + (_llm_instrumentors() if llm else [])
    with clients.app(*gateways, sampler=sampler, **settings) as spans:
        for instrumentor in instrumentors:
            instrumentor.instrument(tracer_provider=spans.provider)
        try:
            yield spans
        finally:
            for instrumentor in instrumentors:
                instrumentor.uninstrument()


def _http_instrumentors() -> list[Any]:
    names = ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor")
    return [getattr(http_instrumentation, name)() for name in names if hasattr(http_instrumentation, name)]


def _llm_instrumentors() -> list[Any]:
    module = pytest.importorskip(
        "opentelemetry.instrumentation.genai.openai", reason="needs the demo's instrumentations"
    )
    return [module.OpenAIInstrumentor()]


@pytest.fixture(params=HTTP)
def http(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def ask_openai(url: str, headers: Mapping[str, str] | None = None) -> None:
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0, http_client=DefaultHttpxClient(verify=TLS)) as client:
        client.chat.completions.create(**CHAT, extra_headers=dict(headers or {}))


def ask_anthropic(url: str, provider: TracerProvider, headers: Mapping[str, str] | None = None) -> None:
    http = anthropic.DefaultHttpxClient(verify=TLS)
    options = {"tracer_provider": provider}
    with Anthropic(base_url=url, api_key=KEY, max_retries=0, open_telemetry=options, http_client=http) as client:
        client.messages.create(**CHAT, max_tokens=8, extra_headers=dict(headers or {}))


# --- headers set by the caller --------------------------------------------------------------------


def leaving(subset: Sequence[str]) -> dict[str, str]:
    """Return the headers expected on the wire if the caller sets some of the three itself."""
    theirs = {part: THEIRS[part] for part in subset}
    return theirs if "id" in subset else {**OURS, **theirs}


def labelling(subset: Sequence[str]) -> dict[str, str]:
    """Return the labels expected on the spans of such a request; without any path, Helicone shows it at the root."""
    return {"path": "/", **leaving(subset)}


every_subset = pytest.mark.parametrize("subset", SUBSETS, ids="+".join)


@every_subset
def test_headers_set_by_the_caller_of_openai_are_sent(gateway: Wire, http: bool, subset: Sequence[str]) -> None:
    with app(gateway, http=http, llm=True), session("Ours", id="ours", path="/ours"):
        ask_openai(gateway.url, {HEADERS[part]: THEIRS[part] for part in subset})

    assert in_any_case(gateway.helicone()) == in_any_case(expected(**leaving(subset)))


@every_subset
def test_headers_set_by_the_caller_of_anthropic_are_sent(gateway: Wire, http: bool, subset: Sequence[str]) -> None:
    with app(gateway, http=http) as running, session("Ours", id="ours", path="/ours"):
        ask_anthropic(gateway.url, running.provider, {HEADERS[part]: THEIRS[part] for part in subset})

    assert gateway.helicone() == expected(**leaving(subset))


@every_subset
def test_headers_set_by_the_caller_are_sent_without_instrumentation(gateway: Wire, subset: Sequence[str]) -> None:
    with app(gateway) as running, session("Ours", id="ours", path="/ours"):
        _post(gateway.url, httpx2, {HEADERS[part].upper(): THEIRS[part] for part in subset})

    theirs = {HEADERS[part].encode(): HEADERS[part].upper().encode() for part in subset}
    assert gateway.helicone() == sorted((theirs.get(name, name), value) for name, value in expected(**leaving(subset)))
    assert running.labels() == []


@every_subset
def test_headers_set_by_the_caller_are_sent_without_a_session_of_ours(
    gateway: Wire, http: bool, subset: Sequence[str]
) -> None:
    with app(gateway, http=http, llm=True, session_fallback="none") as running:
        ask_openai(gateway.url, {HEADERS[part]: THEIRS[part] for part in subset})
        ask_anthropic(gateway.url, running.provider, {HEADERS[part]: THEIRS[part] for part in subset})

    theirs = in_any_case(expected(**{part: THEIRS[part] for part in subset}))
    assert [in_any_case(gateway.helicone(0)), in_any_case(gateway.helicone(1))] == [theirs, theirs]


@every_subset
def test_headers_set_by_the_caller_of_openai_label_the_spans(gateway: Wire, http: bool, subset: Sequence[str]) -> None:
    with app(gateway, http=http, llm=True) as running, session("Ours", id="ours", path="/ours"):
        ask_openai(gateway.url, {HEADERS[part]: THEIRS[part] for part in subset})

    assert running.labels() == [labelling(subset)] * (1 + http)


@every_subset
def test_headers_set_by_the_caller_of_anthropic_label_the_spans(
    gateway: Wire, http: bool, subset: Sequence[str]
) -> None:
    with app(gateway, http=http) as running, session("Ours", id="ours", path="/ours"):
        ask_anthropic(gateway.url, running.provider, {HEADERS[part]: THEIRS[part] for part in subset})

    assert running.labels() == [labelling(subset)] * (1 + http)


@pytest.mark.parametrize("subset", [subset for subset in SUBSETS if "id" in subset], ids="+".join)
def test_a_session_set_by_the_caller_labels_spans_without_a_session_of_ours(
    gateway: Wire, http: bool, subset: Sequence[str]
) -> None:
    with app(gateway, http=http, llm=True, session_fallback="none") as running:
        ask_openai(gateway.url, {HEADERS[part]: THEIRS[part] for part in subset})

    assert running.labels() == [labelling(subset)] * (1 + http)


def test_attributes_for_other_backends_have_the_callers_session(gateway: Wire, http: bool) -> None:
    with app(gateway, http=http, llm=True) as running, session("Ours", id="ours", path="/ours"):
        ask_openai(gateway.url, {HEADERS[part]: THEIRS[part] for part in THEIRS})

    spans = [span.attributes or {} for span in running.exporter.get_finished_spans()]
    assert [span["session.id"] for span in spans] == ["theirs"] * len(spans)
    assert {span.get("gen_ai.conversation.id") for span in spans} <= {"theirs", None}


def test_a_provisional_id_stays_out_of_other_attributes_if_the_caller_sets_a_path(gateway: Wire, http: bool) -> None:
    with app(gateway, http=http, llm=True) as running:
        ask_openai(gateway.url, {HEADERS["path"]: "/theirs"})

    spans = running.exporter.get_finished_spans()
    made_up = str(uuid.UUID(int=spans[0].context.trace_id))
    assert in_any_case(gateway.helicone()) == in_any_case(expected(id=made_up, path="/theirs"))
    assert running.labels() == [{"id": made_up, "path": "/theirs"}] * len(spans)
    assert [
        span.name for span in spans if {"session.id", "gen_ai.conversation.id"} & (span.attributes or {}).keys()
    ] == []


def test_a_client_with_a_session_in_its_default_headers_keeps_it(gateway: Wire, http: bool) -> None:
    mine = {"Helicone-Session-Id": "theirs"}
    with app(gateway, http=http) as running, session("Ours", id="ours"):
        with OpenAI(base_url=gateway.url, api_key=KEY, default_headers=mine) as client:
            client.chat.completions.create(**CHAT)
        options = {"tracer_provider": running.provider}
        with Anthropic(base_url=gateway.url, api_key=KEY, default_headers=mine, open_telemetry=options) as client:
            client.messages.create(**CHAT, max_tokens=8)

    theirs = in_any_case(expected(id="theirs"))
    assert [in_any_case(gateway.helicone(0)), in_any_case(gateway.helicone(1))] == [theirs, theirs]


def test_a_request_labelled_by_its_caller_does_not_change_its_siblings(gateway: Wire, http: bool) -> None:
    with (
        app(gateway, http=http, llm=True) as running,
        session("Ours", id="ours"),
        step("ours"),
        running.provider.get_tracer("app").start_as_current_span("around"),
    ):
        ask_openai(gateway.url, {HEADERS[part]: THEIRS[part] for part in THEIRS})
        ask_openai(gateway.url)

    theirs, ours = THEIRS, {"id": "ours", "path": "/ours/around", "name": "Ours"}
    assert in_any_case(gateway.helicone(0)) == in_any_case(expected(**theirs))
    assert gateway.helicone(1) == expected(**ours)
    assert running.labels() == [theirs] * (1 + http) + [ours] * (1 + http) + [ours]


def test_the_user_and_properties_are_sent_except_those_that_the_caller_set(gateway: Wire, http: bool) -> None:
    mine = {"helicone-user-id": "theirs", "Helicone-Property-Env": "theirs"}
    properties = {"env": "ours", "plan": "pro"}
    with app(gateway, http=http), session("Ours", id="ours", path="/ours", user_id="u-1", properties=properties):
        _post(gateway.url, httpx2)
        _post(gateway.url, httpx2, mine)

    ours = [(b"Helicone-User-Id", b"u-1"), (b"Helicone-Property-env", b"ours"), (b"Helicone-Property-plan", b"pro")]
    theirs = [(b"helicone-user-id", b"theirs"), (b"Helicone-Property-Env", b"theirs"), ours[2]]
    assert gateway.helicone(0) == sorted([*expected(**OURS), *ours])
    assert gateway.helicone(1) == sorted([*expected(**OURS), *theirs])


# --- each header exactly once ---------------------------------------------------------------------


def _openai(url: str, _: TracerProvider, stream: bool) -> None:
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, http_client=DefaultHttpxClient(verify=TLS)) as client:
        answer = client.chat.completions.create(**CHAT, stream=stream)
        assert not stream or [chunk.choices[0].delta.content for chunk in answer] == ["", "OK", None]


def _openai_async(url: str, _: TracerProvider, stream: bool) -> None:
    async def ask() -> None:
        http = DefaultAsyncHttpxClient(verify=TLS)
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, http_client=http) as client:
            answer = await client.chat.completions.create(**CHAT, stream=stream)
            assert not stream or [chunk.choices[0].delta.content async for chunk in answer] == ["", "OK", None]

    asyncio.run(ask())


def _anthropic(url: str, provider: TracerProvider, stream: bool) -> None:
    http = anthropic.DefaultHttpxClient(verify=TLS)
    with Anthropic(base_url=url, api_key=KEY, open_telemetry={"tracer_provider": provider}, http_client=http) as client:
        if not stream:
            client.messages.create(**CHAT, max_tokens=8)
            return
        with client.messages.stream(**CHAT, max_tokens=8) as answer:
            assert answer.get_final_text() == "OK"


def _anthropic_async(url: str, provider: TracerProvider, stream: bool) -> None:
    async def ask() -> None:
        http = anthropic.DefaultAsyncHttpxClient(verify=TLS)
        options = {"tracer_provider": provider}
        async with AsyncAnthropic(base_url=url, api_key=KEY, open_telemetry=options, http_client=http) as client:
            if not stream:
                await client.messages.create(**CHAT, max_tokens=8)
                return
            async with client.messages.stream(**CHAT, max_tokens=8) as answer:
                assert await answer.get_final_text() == "OK"

    asyncio.run(ask())


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ask", [_openai, _openai_async, _anthropic, _anthropic_async])
def test_each_header_is_sent_exactly_once(
    gateway: Wire, http: bool, ask: Callable[[str, TracerProvider, bool], None], stream: bool
) -> None:
    with app(gateway, http=http, llm=http) as running, session("Ours", id="ours"), step("ours"):
        ask(gateway.url, running.provider, stream)

    assert [gateway.helicone(index) for index in range(len(gateway.heads))] == [expected(**OURS)]


@pytest.mark.parametrize("module", [httpx, httpx2], ids=lambda module: module.__name__)
def test_a_request_object_that_is_sent_again_has_the_session_of_each_sending(gateway: Wire, module: Any) -> None:
    with app(gateway), module.Client(verify=TLS) as client:
        request = client.build_request("POST", f"{gateway.url}/v1/chat/completions", json=CHAT)
        with session("First", id="1", path="/first"):
            client.send(request)
        with session("Second", id="2", path="/second"):
            client.send(request)
        with session("Third", id="3", path="/third"), suppress_instrumentation():
            client.send(request)

    assert [gateway.helicone(index) for index in range(3)] == [
        expected(id="1", name="First", path="/first"),
        expected(id="2", name="Second", path="/second"),
        [],
    ]


def test_headers_and_labels_have_the_same_provisional_session(gateway: Wire, http: bool) -> None:
    with app(gateway, http=http, llm=True) as running:
        ask_openai(gateway.url)

    spans = running.exporter.get_finished_spans()
    made_up = str(uuid.UUID(int=spans[0].context.trace_id))
    assert gateway.helicone() == expected(id=made_up, path="/chat")
    assert running.labels() == [{"id": made_up, "path": "/chat"}] * len(spans)


def test_no_headers_are_written_while_instrumentation_is_suppressed(gateway: Wire, http: bool) -> None:
    with app(gateway, http=http), session("Ours", id="ours"), suppress_instrumentation():
        ask_openai(gateway.url)

    assert gateway.helicone() == []


# --- which hosts get headers ----------------------------------------------------------------------


LISTED = [
    "oai.helicone.ai",
    "ai-gateway.helicone.ai",
    "OAI.Helicone.AI",
    "oai.helicone.ai.",
    "anthropic.hconeai.com",
    "user:secret@oai.helicone.ai",
    "xn--bcher-kva.acme.test",
    "b\u00fccher.acme.test",
]
UNLISTED = [
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.helicone.ai",
    "api.worker.helicone.ai",
    "eu.api.helicone.ai",
    "us.helicone.ai",
    "helicone.ai.evil.test",
    "nothelicone.ai",
    "oai.helicone.ai@evil.test",
    "oai.h\u0435licone.ai",
    "helicone.ai",
    "acme.test",
]


def _post(url: str, module: Any, headers: Mapping[str, str] | None = None, *, follow: bool = False) -> None:
    with module.Client(follow_redirects=follow, verify=TLS) as client:
        client.post(f"{url}/v1/chat/completions", json=CHAT, headers=headers)


def _post_async(url: str, module: Any, headers: Mapping[str, str] | None = None, *, follow: bool = False) -> None:
    async def post() -> None:
        async with module.AsyncClient(follow_redirects=follow, verify=TLS) as client:
            await client.post(f"{url}/v1/chat/completions", json=CHAT, headers=headers)

    asyncio.run(post())


HTTP_CLIENTS = [(post, module) for post in (_post, _post_async) for module in (httpx, httpx2)]
every_http_client = pytest.mark.parametrize(
    ("post", "module"), HTTP_CLIENTS, ids=[f"{module.__name__}{post.__name__}" for post, module in HTTP_CLIENTS]
)


@every_http_client
@pytest.mark.usefixtures("every_name_is_loopback")
def test_every_spelling_of_a_gateways_host_gets_the_headers(
    gateway: Wire, http: bool, post: Callable[..., None], module: Any
) -> None:
    port = gateway.netloc.rpartition(":")[2]
    with app(http=http, gateway_hosts=("xn--bcher-kva.acme.test",)), session("Ours", id="ours", path="/ours"):
        for host in LISTED:
            post(f"http://{host}:{port}", module)

    assert [gateway.helicone(index) for index in range(len(gateway.heads))] == [expected(**OURS)] * len(LISTED)


@every_http_client
@pytest.mark.usefixtures("every_name_is_loopback")
def test_providers_apis_and_similar_hosts_get_no_headers(
    other: Wire, http: bool, post: Callable[..., None], module: Any
) -> None:
    port = other.netloc.rpartition(":")[2]
    with app(http=http), session("Ours", id="ours", path="/ours", user_id="u-1", properties={"env": "test"}):
        for host in UNLISTED:
            post(f"http://{host}:{port}", module)

    assert [other.helicone(index) for index in range(len(other.heads))] == [[]] * len(UNLISTED)


@pytest.mark.usefixtures("every_name_is_loopback")
def test_sdks_of_providers_send_no_headers_to_their_providers(other: Wire, http: bool) -> None:
    port = other.netloc.rpartition(":")[2]
    with app(http=http, llm=True) as running, session("Ours", id="ours", path="/ours"):
        ask_openai(f"http://api.openai.com:{port}")
        ask_anthropic(f"http://api.anthropic.com:{port}", running.provider)

    assert [other.helicone(index) for index in range(len(other.heads))] == [[], []]
    assert [label["id"] for label in running.labels()] == ["ours"] * (2 + 2 * http)


def test_a_listed_port_gets_the_headers_and_another_port_does_not(gateway: Wire, other: Wire, http: bool) -> None:
    with app(gateway, http=http), session("Ours", id="ours", path="/ours"):
        ask_openai(gateway.url)
        ask_openai(other.url)

    assert (gateway.helicone(), other.helicone()) == (expected(**OURS), [])


def test_a_gateway_may_be_an_ipv6_address(http: bool) -> None:
    with (
        listening(host="::1") as gateway,
        listening(host="::1") as other,
        app(gateway, http=http),
        session("Ours", id="ours", path="/ours"),
    ):
        ask_openai(gateway.url)
        ask_openai(other.url)

    assert (gateway.helicone(), other.helicone()) == (expected(**OURS), [])


def test_an_own_service_gets_the_session_and_the_request_is_no_call(gateway: Wire, other: Wire, http: bool) -> None:
    with app(gateway, http=http, propagate_hosts=(other.netloc,)) as running, session("Ours", id="ours"):
        httpx2.post(f"{other.url}/plan")
        ask_openai(gateway.url)

    kinds = [(span.attributes or {}).get("helicone.span.kind") for span in running.exporter.get_finished_spans()]
    assert other.helicone() == expected(id="ours", path="/", name="Ours")
    assert gateway.helicone() == expected(id="ours", path="/chat", name="Ours")
    assert kinds == [None, "llm"] * http


@pytest.mark.skipif(mcp is None, reason="needs the demo's MCP")
async def test_mcp_servers_get_no_session_headers(helicone: Helicone) -> None:
    server, seen = mcpserver.MCPServer("timetable"), []

    @server.tool()
    def search_trains(origin: str, context: mcpserver.Context) -> str:
        seen.append(dict(context.request_context.meta or {}))
        return f"The next train from {origin} leaves at noon."

    with session("Ours", id="ours"):
        async with mcp.Client(server, mode="legacy") as client:
            await client.call_tool("search_trains", {"origin": "Porto"})

    assert helicone.tree() == {"/search_trains": ["tool"]}
    # The propagators wrote headers, but only those of W3C.
    assert [name for name in seen[0] if "/" not in name] == ["traceparent"]
    assert "helicone" not in json.dumps(seen).lower()


# --- redirects ------------------------------------------------------------------------------------


@every_http_client
@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["sampled", "sampled out"])
def test_a_redirect_to_an_unlisted_host_keeps_only_the_callers_headers(
    other: Wire, http: bool, post: Callable[..., None], module: Any, sampler: Sampler
) -> None:
    mine = [
        {},
        {"Helicone-Session-Path": "/theirs"},
        {"helicone-session-name": "Theirs", "Helicone-User-Id": "theirs"},
        {"Helicone-Session-Id": "theirs"},
        {"Helicone-Auth": "Bearer theirs"},
    ]
    properties = {"env": "ours"}
    with listening(redirect=other.url) as gateway, app(gateway, http=http, sampler=sampler):
        for headers in mine:
            with session("Ours", id="ours", user_id="u-1", properties=properties):
                post(gateway.url, module, headers, follow=True)

    arrived = [{name.decode().lower(): value.decode() for name, value in other.helicone(n)} for n in range(len(mine))]
    assert len(gateway.heads) == len(mine)
    assert [len(gateway.helicone(n)) for n in range(len(mine))] == [5, 5, 5, 1, 6]
    assert arrived == [{name.lower(): value for name, value in headers.items()} for headers in mine]


@every_http_client
def test_a_redirect_to_another_gateway_sends_all_headers_once(
    other: Wire, http: bool, post: Callable[..., None], module: Any
) -> None:
    with (
        listening(redirect=other.url) as gateway,
        app(gateway, other, http=http),
        session("Ours", id="ours", user_id="u-1"),
    ):
        post(gateway.url, module, {"Helicone-Session-Path": "/theirs"}, follow=True)

    asked = sorted([*expected(id="ours", path="/theirs", name="Ours"), (b"Helicone-User-Id", b"u-1")])
    assert (gateway.helicone(), other.helicone()) == (asked, asked)


@every_http_client
def test_redirects_through_an_own_service_send_no_headers_to_an_unlisted_host(
    other: Wire, http: bool, post: Callable[..., None], module: Any
) -> None:
    with (
        listening(redirect=other.url) as service,
        listening(redirect=service.url) as gateway,
        app(gateway, http=http, propagate_hosts=(service.netloc,)),
        session("Ours", id="ours"),
    ):
        post(gateway.url, module, follow=True)

    assert gateway.helicone() == expected(id="ours", path="/chat", name="Ours")
    assert [name for name, _ in service.helicone()] == [name for name, _ in gateway.helicone()]
    assert other.helicone() == []


@every_http_client
def test_a_redirect_from_an_unlisted_host_to_a_gateway_sends_the_headers_there(
    gateway: Wire, http: bool, post: Callable[..., None], module: Any
) -> None:
    with listening(redirect=gateway.url) as unlisted, app(gateway, http=http), session("Ours", id="ours", path="/ours"):
        post(unlisted.url, module, follow=True)

    assert (unlisted.helicone(), gateway.helicone()) == ([], expected(**OURS))


def test_the_openai_sdk_follows_a_redirect_to_an_unlisted_host_without_our_headers(other: Wire, http: bool) -> None:
    with (
        listening(redirect=other.url) as gateway,
        app(gateway, http=http, llm=True),
        session("Ours", id="ours", path="/ours"),
    ):
        ask_openai(gateway.url, {"Helicone-Session-Name": "Theirs"})

    assert in_any_case(gateway.helicone()) == in_any_case(expected(id="ours", path="/ours", name="Theirs"))
    assert in_any_case(other.helicone()) == in_any_case(expected(name="Theirs"))


# --- sampled out ----------------------------------------------------------------------------------


def _embed(url: str) -> None:
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, http_client=DefaultHttpxClient(verify=TLS)) as client:
        client.embeddings.create(model=MODEL, input="Porto")


def test_a_trace_that_is_sampled_out_has_no_provisional_session(gateway: Wire, http: bool) -> None:
    with (
        app(gateway, http=http, llm=http, sampler=ALWAYS_OFF) as running,
        running.provider.get_tracer("app").start_as_current_span("plan"),
    ):
        ask_openai(gateway.url)
        ask_anthropic(gateway.url, running.provider)

    assert [gateway.helicone(0), gateway.helicone(1)] == [[], []]


def test_a_trace_that_is_sampled_out_sends_only_sessions_and_steps_from_code(gateway: Wire, http: bool) -> None:
    with (
        app(gateway, http=http, llm=http, sampler=ALWAYS_OFF) as running,
        session("Ours", id="ours"),
        running.provider.get_tracer("app").start_as_current_span("invisible"),
    ):
        ask_openai(gateway.url)
        _embed(gateway.url)
        with step("research"), running.provider.get_tracer("app").start_as_current_span("unseen"):
            ask_openai(gateway.url)
            _embed(gateway.url)
            ask_anthropic(gateway.url, running.provider)

    paths = ["/chat", "/embeddings", "/research", "/research", "/research"]
    assert [gateway.helicone(index) for index in range(len(gateway.heads))] == [
        expected(id="ours", path=path, name="Ours") for path in paths
    ]
    assert running.exporter.get_finished_spans() == ()


def test_a_trace_that_is_sampled_out_sends_the_session_of_the_process(gateway: Wire, http: bool) -> None:
    settings = {"session_id": "batch", "session_name": "Nightly"}
    with app(gateway, http=http, sampler=ALWAYS_OFF, **settings):
        ask_openai(gateway.url)
        _embed(gateway.url)

    assert [gateway.helicone(0), gateway.helicone(1)] == [
        expected(id="batch", path="/chat", name="Nightly"),
        expected(id="batch", path="/embeddings", name="Nightly"),
    ]


# --- carriers that are no HTTP headers of httpx ---------------------------------------------------


@contextmanager
def sending(provider: TracerProvider, url: str, key: str = "url.full") -> Iterator[None]:
    """Open the span that the instrumentation of an HTTP client without a hook makes."""
    tracer = provider.get_tracer("opentelemetry.instrumentation.pycurl")
    with tracer.start_as_current_span("POST", kind=SpanKind.CLIENT, attributes={key: url}):
        yield


@pytest.mark.parametrize("key", ["url.full", "http.url"])
def test_a_dict_gets_the_headers_if_the_current_span_goes_to_a_gateway(key: str) -> None:
    carriers: list[dict[str, str]] = [{}, {}]
    with app() as running, session("Ours", id="ours", path="/ours"):
        for carrier, url in zip(carriers, ("https://oai.helicone.ai/v1", "https://api.openai.com/v1"), strict=True):
            with sending(running.provider, url, key):
                propagate.inject(carrier)

    assert [sorted(carrier) for carrier in carriers] == [sorted([*HEADERS.values(), "traceparent"]), ["traceparent"]]
    assert {part: carriers[0][name] for part, name in HEADERS.items()} == OURS


@pytest.mark.parametrize(
    "spelled", [str.lower, str.upper, str.capitalize, str], ids=["lower", "upper", "capital", "as it is"]
)
@every_subset
def test_a_dict_keeps_the_callers_headers_in_any_case(subset: Sequence[str], spelled: Callable[[str], str]) -> None:
    carrier = {spelled(HEADERS[part]): THEIRS[part] for part in subset}
    with (
        app() as running,
        session("Ours", id="ours", path="/ours"),
        sending(running.provider, "https://oai.helicone.ai/"),
    ):
        propagate.inject(carrier)
        propagate.inject(carrier)

    left = {
        spelled(HEADERS[part]) if part in subset else HEADERS[part]: value for part, value in leaving(subset).items()
    }
    assert {name: value for name, value in carrier.items() if name != "traceparent"} == left


def test_a_dict_whose_keys_change_case_between_two_injections_has_each_header_once() -> None:
    carrier: dict[str, str] = {}
    with (
        app() as running,
        session("Ours", id="ours", path="/ours", user_id="u-1"),
        sending(running.provider, "https://oai.helicone.ai/"),
    ):
        propagate.inject(carrier)
        carrier = {name.capitalize(): value for name, value in carrier.items()}
        propagate.inject(carrier)

    names = sorted(name.lower() for name in carrier if name.lower().startswith("helicone"))
    assert names == ["helicone-session-id", "helicone-session-name", "helicone-session-path", "helicone-user-id"]
    assert running.labels() == [OURS]


def test_no_headers_are_injected_without_a_known_destination() -> None:
    carriers: list[dict[str, str]] = [{}, {}, {"Host": "oai.helicone.ai"}]
    with app() as running, session("Ours", id="ours"):
        propagate.inject(carriers[0])
        with running.provider.get_tracer("app").start_as_current_span("plan"):
            propagate.inject(carriers[1])
        with sending(running.provider, "https://api.openai.com/v1"):
            propagate.inject(carriers[2])

    assert [[name for name in carrier if name.startswith("Helicone")] for carrier in carriers] == [[], [], []]


@pytest.mark.failures
def test_a_carrier_that_cannot_be_written_does_not_fail_the_caller() -> None:
    class Closed(dict[str, str]):
        def __setitem__(self, name: str, value: str) -> None:
            if name.startswith("Helicone"):
                raise TypeError("closed")
            super().__setitem__(name, value)

    carrier = Closed()
    with app() as running, session("Ours", id="ours"), sending(running.provider, "https://oai.helicone.ai/"):
        propagate.inject(carrier)

    assert list(carrier) == ["traceparent"]


# --- the propagator by its name -------------------------------------------------------------------


def _python(code: str, **environment: str) -> list[str]:
    """Run code in a fresh interpreter in which every warning is an error, and return its lines."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PATH": os.environ.get("PATH", ""), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stderr, run.returncode) == ("", 0)
    return run.stdout.splitlines()


PROPAGATORS = {"OTEL_PROPAGATORS": "tracecontext,baggage,helicone"}


def loaded_by_its_name(first: str, propagators: str) -> list[str]:
    code = (
        f"{first}\n"
        "import helicone_otel\n"
        "from opentelemetry import propagate\n"
        "helicone_otel.configure()\n"
        "print('Helicone-Session-Id' in propagate.get_global_textmap().fields)\n"
    )
    return _python(code, OTEL_PROPAGATORS=propagators)


@pytest.mark.ahead(work=loaded_by_its_name)
@pytest.mark.parametrize(
    "first",
    [
        "import opentelemetry.propagate",
        "import helicone_otel",
        "from helicone_otel import configure",
        "from helicone_otel import session",
        "from helicone_otel import HeliconePropagator",
        "import opentelemetry.instrumentation.httpx",
        "import helicone_otel.http.hooks",
        "import helicone_otel.install.patches",
        "import helicone_otel.install.instrumentor",
        "import helicone_otel.testing",
    ],
)
@pytest.mark.parametrize("propagators", ["tracecontext,baggage,helicone", "helicone"])
def test_the_propagator_loads_by_its_name_in_any_import_order(first: str, propagators: str, outcome: list[str]) -> None:
    assert outcome == ["True"]


def test_configure_adds_no_second_propagator_to_the_one_loaded_by_name() -> None:
    code = (
        "from opentelemetry import propagate\n"
        "import helicone_otel\n"
        "before = propagate.get_global_textmap()\n"
        "handle = helicone_otel.configure()\n"
        "print(propagate.get_global_textmap() is before)\n"
        "handle.uninstall()\n"
        "print(propagate.get_global_textmap() is before)\n"
    )

    assert _python(code, **PROPAGATORS) == ["True", "True"]


def test_the_propagator_loaded_by_name_sends_sessions_opened_in_code() -> None:
    code = (
        "from opentelemetry import propagate, trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "from helicone_otel import HeliconeSpanProcessor, session, step\n"
        "provider = TracerProvider()\n"
        "provider.add_span_processor(HeliconeSpanProcessor())\n"
        "tracer = provider.get_tracer('opentelemetry.instrumentation.requests')\n"
        "for url in ('https://oai.helicone.ai/v1', 'https://api.openai.com/v1'):\n"
        "    carrier = {}\n"
        "    with session('Ours', id='ours'), step('ours'):\n"
        "        with tracer.start_as_current_span('POST', kind=trace.SpanKind.CLIENT, attributes={'url.full': url}):\n"
        "            propagate.inject(carrier)\n"
        "    carrier.pop('traceparent')\n"
        "    print(sorted(carrier.items()))\n"
    )

    assert _python(code, **PROPAGATORS) == [
        "[('Helicone-Session-Id', 'ours'), ('Helicone-Session-Name', 'Ours'), ('Helicone-Session-Path', '/ours')]",
        "[]",
    ]


# --- install and uninstall ------------------------------------------------------------------------


def _functions() -> dict[str, object]:
    """Return the functions that the installer may replace, as they are now."""
    owners: list[tuple[Any, str]] = [
        (httpcore.ConnectionPool, "handle_request"),
        (httpcore.AsyncConnectionPool, "handle_async_request"),
        (httpcore2.ConnectionPool, "handle_request"),
        (httpcore2.AsyncConnectionPool, "handle_async_request"),
        (urllib3.HTTPConnectionPool, "_make_request"),
        (aiohttp.ClientRequest, "send"),
        (urllib.request.AbstractHTTPHandler, "do_open"),
        (TracerProvider, "__init__"),
        (BatchSpanProcessor, "on_end"),
        (SimpleSpanProcessor, "on_end"),
        (propagate, "set_global_textmap"),
    ]
    functions = {
        f"{getattr(owner, '__module__', '')}.{owner.__name__}.{name}": vars(owner)[name] for owner, name in owners
    }
    return {**functions, "global textmap": propagate.get_global_textmap()}


INSTRUMENTORS = _http_instrumentors()


def _instrument() -> None:
    for instrumentor in INSTRUMENTORS:
        instrumentor.instrument(tracer_provider=TracerProvider())


def _uninstrument() -> None:
    for instrumentor in INSTRUMENTORS:
        instrumentor.uninstrument()


def _install() -> None:
    configure(Settings())


def _uninstall() -> None:
    configure(Settings()).uninstall()


def _install_by_environment() -> None:
    HeliconeInstrumentor().instrument()


def _uninstall_by_environment() -> None:
    HeliconeInstrumentor().uninstrument()


ORDERS = {
    "alone": (_install, _uninstall),
    "twice": (_install, _install, _uninstall, _install, _uninstall),
    "around": (_instrument, _install, _uninstall, _uninstrument),
    "before and first out": (_instrument, _install, _uninstrument, _uninstall),
    "after and first out": (_install, _instrument, _uninstrument, _uninstall),
    "after and last out": (_install, _instrument, _uninstall, _uninstrument),
    "by environment": (_install_by_environment, _instrument, _uninstall_by_environment, _uninstrument),
    "in both ways": (_install_by_environment, _install, _uninstall, _uninstall_by_environment),
    "in between": (_instrument, _install, _uninstrument, _instrument, _uninstall, _uninstrument),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_uninstall_restores_every_function(order: Sequence[Callable[[], None]]) -> None:
    before = _functions()
    during = []
    for act in order:
        act()
        during.append(_functions())

    after = _functions()
    assert {name for name in before if after[name] is not before[name]} == set()
    assert {name for name in before if all(functions[name] is before[name] for functions in during)} == set()


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_headers_are_sent_while_the_library_is_installed_in_any_order_of_installs(
    gateway: Wire, order: Sequence[Callable[[], None]]
) -> None:
    sent = []
    inside = False
    for act in order:
        act()
        inside = act in (_install, _install_by_environment) or (inside and act in (_instrument, _uninstrument))
        if inside:
            REGISTRY.configure(Settings(gateway_hosts=(gateway.netloc,)))
        with session("Ours", id="ours", path="/ours"):
            _post(gateway.url, httpx2)
        sent.append((inside, gateway.helicone()))

    assert sent == [(inside, expected(**OURS) if inside else []) for inside, _ in sent]


def test_after_uninstall_our_propagator_inside_one_of_the_apps_writes_nothing(gateway: Wire) -> None:
    before = propagate.get_global_textmap()
    carrier: dict[str, str] = {}
    try:
        with app(gateway) as running, session("Ours", id="ours"):
            mine = CompositePropagator([propagate.get_global_textmap()])
            propagate.set_global_textmap(mine)
            assert propagate.get_global_textmap() is mine
        assert propagate.get_global_textmap() is mine
        with session("Ours", id="ours"), sending(running.provider, f"{gateway.url}/v1"):
            propagate.inject(carrier)
    finally:
        propagate.set_global_textmap(before)

    assert list(carrier) == ["traceparent"]


def test_a_propagator_set_later_gets_ours_added_and_uninstall_restores_it() -> None:
    before, mine = propagate.get_global_textmap(), W3CBaggagePropagator()
    carrier: dict[str, str] = {}
    try:
        with app() as running, session("Ours", id="ours", path="/ours"):
            propagate.set_global_textmap(mine)
            with sending(running.provider, "https://oai.helicone.ai/"):
                propagate.inject(carrier, baggage.set_baggage("mine", "1"))
        assert propagate.get_global_textmap() is mine
    finally:
        propagate.set_global_textmap(before)

    assert carrier == {"baggage": "mine=1", **{HEADERS[part]: value for part, value in OURS.items()}}


class Fieldless(W3CBaggagePropagator):
    """A propagator whose `fields` raises."""

    @property
    def fields(self) -> set[str]:
        raise NotImplementedError


@pytest.mark.failures
def test_a_propagator_whose_fields_raise_is_set_unchanged(gateway: Wire) -> None:
    before, mine = propagate.get_global_textmap(), Fieldless()
    try:
        with app(gateway), session("Ours", id="ours", path="/ours"):
            propagate.set_global_textmap(mine)
            assert propagate.get_global_textmap() is mine
            configure(Settings(gateway_hosts=(gateway.netloc,)))
            assert propagate.get_global_textmap() is mine
            _post(gateway.url, httpx2)
    finally:
        propagate.set_global_textmap(before)

    assert swallowed() == {"set_global_textmap: NotImplementedError": 2}
    assert gateway.helicone() == expected(**OURS)


def test_spans_are_not_labelled_after_uninstall(gateway: Wire) -> None:
    with app(gateway) as running:
        pass
    with session("Ours", id="ours"), running.provider.get_tracer("app").start_as_current_span("plan"):
        ask_openai(gateway.url)

    spans: Sequence[ReadableSpan] = running.exporter.get_finished_spans()
    assert [(span.name, dict(span.attributes or {})) for span in spans] == [("plan", {})]
    assert gateway.helicone() == []


def test_a_client_made_before_configure_sends_the_headers(gateway: Wire) -> None:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY) as client:
        with app(gateway), session("Ours", id="ours", path="/ours"):
            client.chat.completions.create(**CHAT)
        with session("Ours", id="ours", path="/ours"):
            client.chat.completions.create(**CHAT)

    assert [gateway.helicone(0), gateway.helicone(1)] == [expected(**OURS), []]


def test_clients_imported_after_configure_are_hooked(gateway: Wire) -> None:
    code = (
        "import sys, helicone_otel\n"
        f"settings = helicone_otel.Settings(gateway_hosts=('{gateway.netloc}',))\n"
        "handle = helicone_otel.configure(settings)\n"
        "assert not {'httpx', 'httpx2'} & sys.modules.keys()\n"
        "import httpx\n"
        "handle.uninstall()\n"
        "import httpx2\n"
        "for again in (False, True, False):\n"
        "    if again: helicone_otel.configure(settings)\n"
        "    with helicone_otel.session('Ours', id='ours', path='/ours'):\n"
        f"        httpx.post('{gateway.url}/v1'), httpx2.post('{gateway.url}/v1')\n"
        "    handle.uninstall()\n"
    )
    assert _python(code, NO_PROXY="127.0.0.1") == []

    assert [len(gateway.helicone(index)) for index in range(6)] == [0, 0, 3, 3, 0, 0]


def test_a_span_is_labelled_after_repeated_installs() -> None:
    provider = TracerProvider()
    for _ in range(3):
        configure(Settings(), provider=provider).uninstall()
    handle = configure(Settings(), provider=provider)
    with session("Ours", id="ours"), provider.get_tracer("app").start_as_current_span("plan") as span:
        label = dict(span.attributes)  # type: ignore[attr-defined]
    handle.uninstall()

    assert label["helicone.session.id"] == "ours"


class Pipeline(SynchronousMultiSpanProcessor):
    """Counts the processors that a provider is given."""

    count = 0

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        self.count += 1
        super().add_span_processor(span_processor)


def test_repeated_installs_add_one_processor_to_a_provider() -> None:
    pipeline = Pipeline()
    provider = TracerProvider(active_span_processor=pipeline)
    for _ in range(3):
        configure(Settings(), provider=provider).uninstall()

    assert pipeline.count == 1


def test_a_processor_added_to_all_providers_is_added_to_each_once() -> None:
    made: list[SpanProcessor] = []

    def make() -> SpanProcessor:
        made.append(SpanProcessor())
        return made[-1]

    provider = TracerProvider()
    counts = []
    for _ in range(2):
        handle = configure(Settings(), provider=provider)
        handle.add_processor_to_all(make)
        counts.append(len(made))
        TracerProvider()  # it is not known to be the app's
        counts.append(len(made))
        configure(Settings(), provider=TracerProvider())
        counts.append(len(made))
        handle.uninstall()

    assert counts == [1, 1, 2, 2, 2, 3]


def test_a_propagator_loaded_by_the_environment_writes_nothing_after_uninstall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = (
        "from opentelemetry import propagate\n"
        "from helicone_otel import Settings, configure, session\n"
        "configure(Settings(gateway_hosts=('gw.test',))).uninstall()\n"
        "carrier = {'host': 'gw.test'}\n"
        "with session('S', id='s'): propagate.inject(carrier)\n"
        "print(sorted(carrier))"
    )
    monkeypatch.setenv("OTEL_PROPAGATORS", "tracecontext,helicone")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "['host']\n"


def test_configure_works_if_the_module_of_a_client_cannot_be_imported() -> None:
    code = (
        "import sys; sys.modules['httpx2'] = None\n"
        "from helicone_otel import Settings, configure\n"
        "print(configure(Settings()).installed)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "True\n"

"""A request to a gateway and the span of its call have the same row id."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx2
import pytest
import urllib3
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from helicone_otel import session
from helicone_otel.testing import Helicone
from tests.support.clients import CLIENTS, Client, app
from tests.support.raw_http import MODEL, QUESTION, TLS, Wire, listening

CHAT: Mapping[str, Any] = {"model": MODEL, "messages": [QUESTION]}
LLM = {"gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL, "gen_ai.provider.name": "openai"}
GEN_AI = "opentelemetry.instrumentation.genai.openai"
by_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


def call(provider: TracerProvider, scope: str = GEN_AI) -> Any:
    """Open the span of an LLM call, as an instrumentation of the SDK would."""
    tracer = provider.get_tracer(scope)
    return tracer.start_as_current_span(f"chat {MODEL}", kind=SpanKind.CLIENT, attributes=LLM)


def row_ids(spans: Any) -> dict[str, str]:
    """Return the row ids of the exported spans, by the spans' names."""
    named = [(span.name, (span.attributes or {}).get("helicone.request.id")) for span in spans]
    return {name: row_id for name, row_id in named if row_id}


@by_client
def test_the_request_and_the_span_of_its_call_have_the_same_row_id(gateway: Wire, client: Client) -> None:
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            client.get(gateway.url + "/v1/models")
        spans = running.exporter.get_finished_spans()

    [[row_id]] = gateway.row_ids()
    assert uuid.UUID(row_id).version == 4
    assert row_ids(spans) == {f"chat {MODEL}": row_id}


@by_client
def test_with_an_http_span_between_the_llm_span_has_the_row_id(gateway: Wire, client: Client) -> None:
    with app(gateway, client=client) as running, session("Trip"):
        with call(running.provider):
            client.get(gateway.url + "/v1/models")
        spans = running.exporter.get_finished_spans()

    [[row_id]] = gateway.row_ids()
    assert [span.name for span in spans] == ["GET", f"chat {MODEL}"]
    assert row_ids(spans) == {f"chat {MODEL}": row_id}


def test_the_http_span_of_a_request_without_a_call_has_the_row_id(gateway: Wire) -> None:
    [client] = [client for client in CLIENTS if client.name == "httpx2"]
    with app(gateway, client=client) as running, session("Trip"):
        client.get(gateway.url + "/v1/models")
        spans = running.exporter.get_finished_spans()

    assert row_ids(spans) == {"GET": gateway.row_ids()[0][0]}


def test_a_call_that_the_sdk_retries_is_two_rows_and_its_span_has_the_last_id(helicone: Helicone) -> None:
    module = pytest.importorskip(GEN_AI, reason="needs the demo's instrumentations")
    helicone.answer_with(429, "Lisbon")
    instrumentor = module.OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=helicone.provider)
    try:
        with session("Trip"), OpenAI(max_retries=1) as client:
            client.chat.completions.create(**CHAT)
    finally:
        instrumentor.uninstrument()

    first, last = [request.request_id for request in helicone.requests]
    assert first != last
    assert row_ids(helicone.spans) == {f"chat {MODEL}": last}


@pytest.fixture
def forgetful() -> Iterator[Wire]:
    """A gateway that redirects the first request to itself."""
    with listening(redirects=1) as wire:
        wire.redirect = wire.url
        yield wire


def test_a_retry_of_urllib3_has_a_row_id_of_its_own(forgetful: Wire) -> None:
    with app(forgetful) as running, session("Trip"):
        with call(running.provider), urllib3.connection_from_url(forgetful.url) as pool:
            pool.urlopen("GET", "/v1/models", redirect=True)
        spans = running.exporter.get_finished_spans()

    [first], [last] = forgetful.row_ids()
    assert first != last
    assert row_ids(spans) == {f"chat {MODEL}": last}


def test_a_row_id_set_by_the_caller_is_kept(gateway: Wire) -> None:
    mine = str(uuid.uuid5(uuid.NAMESPACE_DNS, "example.com")).upper()
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            httpx2.get(gateway.url, headers={"helicone-request-id": mine})
        spans = running.exporter.get_finished_spans()

    assert gateway.row_ids() == [[mine]]
    assert row_ids(spans) == {f"chat {MODEL}": mine.lower()}


@pytest.mark.parametrize("sent_id", ["order-7", str(uuid.UUID(int=0)), "0192f6a0-0000-7000-8000-000000000000"])
def test_a_row_id_that_helicone_replaces_is_on_no_span(gateway: Wire, sent_id: str) -> None:
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            httpx2.get(gateway.url, headers={"Helicone-Request-Id": sent_id})
        spans = running.exporter.get_finished_spans()

    assert gateway.row_ids() == [[sent_id]]
    assert row_ids(spans) == {}


def test_no_row_id_of_ours_is_sent_if_the_caller_sets_a_session(gateway: Wire) -> None:
    theirs = {"Helicone-Session-Id": "theirs"}
    mine = str(uuid.uuid4())
    with app(gateway) as running, session("Trip"):
        for headers in (theirs, {**theirs, "Helicone-Request-Id": mine}):
            with call(running.provider):
                httpx2.get(gateway.url, headers=headers)
        spans = running.exporter.get_finished_spans()

    assert gateway.row_ids() == [[], [mine]]
    assert [row_ids([span]) for span in spans] == [{}, {f"chat {MODEL}": mine}]


def test_an_own_service_gets_no_row_id_and_the_call_has_that_of_its_logged_row(gateway: Wire) -> None:
    with app(propagate_hosts=(gateway.netloc,)) as running, session("Trip"):
        with call(running.provider):
            httpx2.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert gateway.row_ids() == [[]]
    [row_id] = row_ids(spans).values()
    assert uuid.UUID(row_id).version == 5


def test_no_row_id_is_sent_without_a_session(gateway: Wire) -> None:
    with app(gateway, session_fallback="none") as running:
        with call(running.provider):
            httpx2.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert gateway.row_ids() == [[]]
    assert row_ids(spans) == {}


def test_a_span_that_was_never_current_has_the_row_id_of_its_call(gateway: Wire) -> None:
    with app(gateway) as running, session("Trip"):
        langchain = running.provider.get_tracer("openinference.instrumentation.langchain")
        wrapper = langchain.start_span("ChatOpenAI")
        httpx2.post(gateway.url + "/v1/chat/completions", json=dict(CHAT))
        wrapper.set_attributes({"openinference.span.kind": "LLM", "llm.model_name": MODEL})
        wrapper.end()
        spans = running.exporter.get_finished_spans()

    assert row_ids(spans) == {"ChatOpenAI": gateway.row_ids()[0][0]}


async def test_concurrent_calls_have_row_ids_of_their_own(gateway: Wire) -> None:
    with app(gateway) as running, session("Trip"):
        tracer = running.provider.get_tracer(GEN_AI)

        async def ask(client: httpx2.AsyncClient, name: str) -> None:
            with tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=LLM):
                await client.get(f"{gateway.url}/{name}")

        async with httpx2.AsyncClient(verify=TLS) as client, asyncio.TaskGroup() as tasks:
            for name in ("one", "two", "three"):
                tasks.create_task(ask(client, name))
        spans = running.exporter.get_finished_spans()

    paths = [head.split(b" ")[1].decode().removeprefix("/") for head in gateway.heads]
    assert row_ids(spans) == {path: row_id for path, (row_id,) in zip(paths, gateway.row_ids(), strict=True)}

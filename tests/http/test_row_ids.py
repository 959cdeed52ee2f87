"""The span of a call to a gateway has the id of its row: the one that the answer to its last attempt named."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import httpx
import httpx2
import pytest
import requests
import urllib3
from anthropic import Anthropic, AsyncAnthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from helicone_otel import session, wire
from helicone_otel.failures import swallowed
from helicone_otel.http import clients, hooks
from helicone_otel.install import patches
from helicone_otel.testing import Helicone
from helicone_otel.tracking.records import Record
from helicone_otel.wire import is_row_id
from tests.support.clients import CLIENTS, Client, app, by_manager, every_client
from tests.support.examples import examples
from tests.support.http2_server import listening_http2
from tests.support.raw_http import MODEL, QUESTION, TLS, Wire, expected, in_any_case, listening

CHAT: Mapping[str, Any] = {"model": MODEL, "messages": [QUESTION]}
LLM = {"gen_ai.operation.name": "chat", "gen_ai.request.model": MODEL, "gen_ai.provider.name": "openai"}
GEN_AI = "opentelemetry.instrumentation.genai.openai"
Ask = Callable[[str, TracerProvider, bool], None]


def call(provider: TracerProvider, scope: str = GEN_AI) -> Any:
    """Open the span of an LLM call, as an instrumentation of the SDK would."""
    tracer = provider.get_tracer(scope)
    return tracer.start_as_current_span(f"chat {MODEL}", kind=SpanKind.CLIENT, attributes=LLM)


def row_ids(spans: Any) -> dict[str, str]:
    """Return the row ids of the exported spans, by the spans' names."""
    named = [(span.name, (span.attributes or {}).get("helicone.request.id")) for span in spans]
    return {name: row_id for name, row_id in named if row_id}


def _openai(url: str, provider: TracerProvider, stream: bool) -> None:
    with call(provider), OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=1) as client:
        answer = client.chat.completions.create(**CHAT, stream=stream)
        if stream:
            list(answer)


def _openai_async(url: str, provider: TracerProvider, stream: bool) -> None:
    async def ask() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=1) as client:
            answer = await client.chat.completions.create(**CHAT, stream=stream)
            if stream:
                [_ async for _ in answer]

    with call(provider):
        asyncio.run(ask())


def _anthropic(url: str, provider: TracerProvider, stream: bool) -> None:
    own_spans = {"tracer_provider": provider}
    with Anthropic(base_url=url, api_key="k", max_retries=1, open_telemetry=own_spans) as client:
        answer = client.messages.create(**CHAT, max_tokens=9, stream=stream)
        if stream:
            list(answer)


def _anthropic_async(url: str, provider: TracerProvider, stream: bool) -> None:
    async def ask() -> None:
        own_spans = {"tracer_provider": provider}
        async with AsyncAnthropic(base_url=url, api_key="k", max_retries=1, open_telemetry=own_spans) as client:
            answer = await client.messages.create(**CHAT, max_tokens=9, stream=stream)
            if stream:
                [_ async for _ in answer]

    asyncio.run(ask())


SDKS = [_openai, _openai_async, _anthropic, _anthropic_async]


@every_client
def test_the_row_and_the_span_of_its_call_have_the_same_id(gateway: Wire, client: Client) -> None:
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            client.get(gateway.url + "/v1/models")
        spans = running.exporter.get_finished_spans()

    assert row_ids(spans) == {f"chat {MODEL}": gateway.row_ids[0]}


@every_client
def test_with_an_http_span_between_the_llm_span_has_the_row_id(gateway: Wire, client: Client) -> None:
    with app(gateway, client=client) as running, session("Trip"):
        with call(running.provider):
            client.get(gateway.url + "/v1/models")
        spans = running.exporter.get_finished_spans()

    assert [span.name for span in spans] == ["GET", f"chat {MODEL}"]
    assert row_ids(spans) == {f"chat {MODEL}": gateway.row_ids[0]}


def test_the_http_span_of_a_request_without_a_call_has_the_row_id(gateway: Wire) -> None:
    [client] = [client for client in CLIENTS if client.name == "httpx2"]
    with app(gateway, client=client) as running, session("Trip"):
        client.get(gateway.url + "/v1/models")
        spans = running.exporter.get_finished_spans()

    assert row_ids(spans) == {"GET": gateway.row_ids[0]}


@every_client
def test_no_id_is_sent(gateway: Wire, client: Client) -> None:
    with app(gateway) as running, session("Trip", id="t"), call(running.provider):
        client.get(gateway.url)

    assert gateway.helicone() == expected(id="t", path="/chat", name="Trip")


# --- attempts -------------------------------------------------------------------------------------


@every_client
@pytest.mark.parametrize("http", [False, True], ids=["no HTTP instrumentation", "HTTP instrumentation"])
def test_of_two_attempts_in_one_call_the_span_has_the_id_of_the_last(gateway: Wire, client: Client, http: bool) -> None:
    gateway.statuses.append(503)
    with app(gateway, client=client if http else None) as running, session("Trip"):
        with call(running.provider):
            with suppress(Exception):  # some of the clients raise
                client.get(gateway.url)
            client.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    first, last = gateway.row_ids
    assert first != last
    assert row_ids(spans) == {f"chat {MODEL}": last}


@every_client
@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_the_answer_of_a_call_that_failed_names_its_row_too(gateway: Wire, client: Client, status: int) -> None:
    gateway.statuses.append(status)
    with app(gateway) as running, session("Trip"), call(running.provider):
        with suppress(Exception):  # some of the clients raise
            client.get(gateway.url)

    assert row_ids(running.exporter.get_finished_spans()) == {f"chat {MODEL}": gateway.row_ids[0]}


@pytest.mark.parametrize(
    "client", [client for client in CLIENTS if "async" not in client.name], ids=lambda one: one.name
)
def test_without_a_hook_the_propagator_writes_the_headers_and_the_span_has_no_id(
    gateway: Wire, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patches, "HOOKS", ())
    with app(gateway, client=client) as running, session("Trip", id="t"):
        with call(running.provider):
            client.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert in_any_case(gateway.helicone()) == in_any_case(expected(id="t", path="/chat", name="Trip"))
    assert row_ids(spans) == {}


@every_client
def test_an_attempt_without_an_answer_has_no_id(gateway: Wire, client: Client) -> None:
    gateway.statuses.extend([0] * 10)
    with app(gateway) as running, session("Trip"):
        with call(running.provider), pytest.raises(Exception):  # noqa: B017, PT011  # each client has its own
            client.get(gateway.url)
        with call(running.provider):
            gateway.statuses.clear()
            client.get(gateway.url)
        none, answered = running.exporter.get_finished_spans()

    assert (row_ids([none]), row_ids([answered])) == ({}, {f"chat {MODEL}": gateway.row_ids[-1]})


@every_client
def test_a_span_whose_last_attempt_had_no_answer_has_no_id(gateway: Wire, client: Client) -> None:
    gateway.statuses.extend([503] + [0] * 10)
    with app(gateway) as running, session("Trip"), call(running.provider):
        for _ in range(2):
            with suppress(Exception):  # some of the clients raise for 503, too
                client.get(gateway.url)

    assert row_ids(running.exporter.get_finished_spans()) == {}


def test_attempts_of_a_connection_pool_are_read_one_by_one(gateway: Wire) -> None:
    gateway.statuses.extend([503, 503, 0])
    retries = urllib3.Retry(total=3, status_forcelist=[503])
    with app(gateway) as running, session("Trip"), call(running.provider):
        with noted_ids() as ids, urllib3.PoolManager(retries=retries) as pool:
            pool.request("GET", gateway.url)

    first, second, _, last = gateway.row_ids
    assert ids == [first, second, last]
    assert row_ids(running.exporter.get_finished_spans()) == {f"chat {MODEL}": last}


def test_an_adapter_of_requests_that_gives_up_after_an_attempt_without_an_answer_leaves_no_id(gateway: Wire) -> None:
    gateway.statuses.extend([503, 0, 0])
    with app(gateway) as running, session("Trip"), call(running.provider), requests.Session() as client:
        retries = urllib3.Retry(total=1, status_forcelist=[503])
        client.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
        with noted_ids() as ids, pytest.raises(requests.ConnectionError):
            client.get(gateway.url)

    assert ids == gateway.row_ids[:1]
    assert row_ids(running.exporter.get_finished_spans()) == {}


@contextmanager
def noted_ids() -> Iterator[list[str | None]]:
    """Collect the id of each answer as it is read."""
    ids: list[str | None] = []
    note = hooks.note_answer

    def noting(call: Record, *answer: Any) -> None:
        note(call, *answer)
        ids.append(call.row_id)

    with mock.patch.object(clients, "note_answer", noting):
        yield ids


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("retried", [503, 429, 0], ids=["failed", "refused", "no answer"])
@pytest.mark.parametrize("ask", SDKS)
def test_a_call_that_the_sdk_retries_is_two_rows_and_its_span_has_the_last_id(
    gateway: Wire, ask: Ask, retried: int, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sdk in ("openai", "anthropic"):  # the pause before they try again, in seconds
        monkeypatch.setattr(f"{sdk}._base_client.INITIAL_RETRY_DELAY", 0.001)
    gateway.statuses.append(retried)
    with app(gateway) as running, session("Trip"):
        ask(gateway.url, running.provider, stream)
        spans = running.exporter.get_finished_spans()

    first, last = gateway.row_ids
    assert first != last
    assert list(row_ids(spans).values()) == [last]


def test_an_instrumented_sdk_that_retries_has_the_last_id(helicone: Helicone) -> None:
    module = pytest.importorskip(GEN_AI, reason="needs the demo's instrumentations")
    helicone.answer_with(429, "Lisbon")
    instrumentor = module.OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=helicone.provider)
    try:
        with session("Trip"), OpenAI(max_retries=1) as client:
            client.chat.completions.create(**CHAT)
    finally:
        instrumentor.uninstrument()

    refused, last = helicone.rows()
    assert (refused.status, last.status) == (429, 200)
    assert row_ids(helicone.spans) == {f"chat {MODEL}": last.id}
    assert [request.request_id for request in helicone.requests] == [refused.id, last.id]


def test_the_ai_gateways_fail_over_is_a_row_for_each_attempt_and_the_span_has_that_of_the_answer(
    helicone: Helicone,
) -> None:
    helicone.answer_with(500, "Lisbon")
    with session("Trip"), call(helicone.provider), OpenAI(max_retries=0) as client:
        headers = {"Host": "ai-gateway.helicone.ai"}
        client.chat.completions.create(**{**CHAT, "model": "m/openai,n/anthropic"}, extra_headers=headers)

    failed, answered = helicone.rows()
    assert (failed.status, answered.status) == (500, 200)
    assert row_ids(helicone.spans) == {f"chat {MODEL}": answered.id}


def test_a_cached_answer_has_the_id_of_its_own_row(helicone: Helicone) -> None:
    with session("Trip"), OpenAI(max_retries=0) as client:
        for _ in range(2):
            with call(helicone.provider):
                client.chat.completions.create(**CHAT, extra_headers={"Helicone-Cache-Enabled": "true"})

    assert [row_ids([span])[f"chat {MODEL}"] for span in helicone.spans] == [row.id for row in helicone.rows()]
    assert len({row.id for row in helicone.rows()}) == 2


@pytest.mark.parametrize("module", [httpx, httpx2], ids=lambda module: module.__name__)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_over_http2_the_span_has_the_id_of_the_last_attempt_too(module: Any, is_async: bool) -> None:
    async def ask_twice() -> None:
        async with module.AsyncClient(http1=False, http2=True, verify=TLS) as client:
            for _ in range(2):
                await client.get(gateway.url)

    with listening_http2() as gateway, app(gateway_hosts=(gateway.netloc,)) as running, session("Trip", id="t"):
        gateway.statuses.append(503)
        with call(running.provider):
            if is_async:
                asyncio.run(ask_twice())
            else:
                with module.Client(http1=False, http2=True, verify=TLS) as client:
                    for _ in range(2):
                        client.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert [headers["helicone-session-id"] for headers in gateway.headers] == ["t", "t"]
    assert row_ids(spans) == {f"chat {MODEL}": gateway.row_ids[1]}


@pytest.mark.parametrize("module", [httpx, httpx2], ids=lambda module: module.__name__)
def test_attempts_inside_a_transport_of_the_apps_own_are_read_one_by_one(gateway: Wire, module: Any) -> None:
    class Persistent(module.BaseTransport):  # type: ignore[misc, name-defined]  # of either module
        def __init__(self) -> None:
            self.inner = module.HTTPTransport(verify=TLS)

        def handle_request(self, request: Any) -> Any:
            while (response := self.inner.handle_request(request)).status_code == 503:
                response.read()
            return response

        def close(self) -> None:
            self.inner.close()

    gateway.statuses.extend([503, 503])
    with app(gateway) as running, session("Trip"), call(running.provider), noted_ids() as ids:
        with module.Client(transport=Persistent()) as client:
            client.get(gateway.url)

    assert ids == gateway.row_ids
    assert row_ids(running.exporter.get_finished_spans()) == {f"chat {MODEL}": gateway.row_ids[2]}


# --- redirects ------------------------------------------------------------------------------------


@pytest.fixture
def forgetful() -> Iterator[Wire]:
    """A gateway that redirects the first request to itself."""
    with listening(redirects=1) as wire:
        wire.redirect = wire.url
        yield wire


@by_manager
def test_after_a_redirect_the_span_has_the_id_of_the_row_that_was_made(forgetful: Wire, client: Client) -> None:
    with app(forgetful) as running, session("Trip"):
        with call(running.provider):
            client.get(forgetful.url + "/v1/models")
        spans = running.exporter.get_finished_spans()

    none, last = forgetful.row_ids
    assert none is None
    assert row_ids(spans) == {f"chat {MODEL}": last}


@by_manager
def test_the_answer_of_a_host_on_no_list_names_no_row(gateway: Wire, other: Wire, client: Client) -> None:
    gateway.redirect = other.url
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            client.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert (gateway.row_ids, len(other.row_ids)) == ([None], 1)
    assert row_ids(spans) == {}


# --- what an answer may say -----------------------------------------------------------------------

ID = "0d9a4c1e-33f0-4c0b-8a57-5a2f1f0e9c44"
NAMES = {
    "none": [],
    "an empty one": [b"helicone-id:"],
    "no UUID": [b"helicone-id: from-the-provider"],
    "nil": [b"helicone-id: 00000000-0000-0000-0000-000000000000"],
    "a UUID of version 7": [b"helicone-id: 0192f6a0-0000-7000-8000-000000000000"],
    "more than a UUID": [f"helicone-id: {ID}, {ID}".encode()],
    "digits of another script": [b"helicone-id: " + ID.replace("0", "\N{FULLWIDTH DIGIT ZERO}").encode()],
    "bytes that are no UTF-8": [b"helicone-id: \xff\xfe" + b"\xe9" * 34],
    "4,000 characters": [b"helicone-id: " + b"a" * 4000],
    "two": [f"helicone-id: {ID}".encode(), b"Helicone-Id: 5a2f1f0e-33f0-4c0b-8a57-0d9a4c1e9c44"],
    "one twice": [f"helicone-id: {ID}".encode(), f"HELICONE-ID: {ID}".encode()],
    "another name": [f"helicone-idx: {ID}".encode(), f"helicone_id: {ID}".encode(), f"x-helicone-id: {ID}".encode()],
}


@every_client
@pytest.mark.parametrize("lines", NAMES.values(), ids=NAMES.keys())
def test_an_answer_that_names_no_row_or_two_leaves_the_span_without_an_id(
    gateway: Wire, client: Client, lines: list[bytes]
) -> None:
    gateway.naming = lambda _: lines
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            client.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert [span.name for span in spans] == [f"chat {MODEL}"]
    assert row_ids(spans) == {}


@every_client
@pytest.mark.parametrize("line", [f"helicone-id:{ID}", f"helicone-id: \t {ID}", f"helicone-id: {ID} \t "])
def test_blanks_around_an_id_are_no_part_of_it(gateway: Wire, client: Client, line: str) -> None:
    gateway.naming = lambda _: [line.encode()]
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            client.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert row_ids(spans) == {f"chat {MODEL}": ID}


@every_client
def test_an_id_that_is_longer_than_the_client_takes_fails_as_it_does_without_the_library(
    gateway: Wire, client: Client
) -> None:
    gateway.naming = lambda _: [b"helicone-id: " + b"a" * 10_000]

    def outcome() -> str:
        try:
            client.get(gateway.url)
        except Exception as error:  # noqa: BLE001  # each client has its own
            return type(error).__name__
        return "answered"

    without = outcome()
    with app(gateway) as running, session("Trip"), call(running.provider):
        assert outcome() == without

    assert row_ids(running.exporter.get_finished_spans()) == {}


@every_client
@given(value=st.one_of(st.from_regex(ID.replace("0", "[0-9a-f]"), fullmatch=True), st.text(), st.binary()))
@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_header_in_an_answer_gives_a_valid_id_or_none(gateway: Wire, client: Client, value: str | bytes) -> None:
    sent = (value.encode("utf-8", "replace") if isinstance(value, str) else value).translate(None, b"\r\n\0")
    gateway.naming = lambda _: [b"helicone-id: " + sent]
    with app(gateway) as running, session("Trip"):
        with call(running.provider), suppress(Exception):  # aiohttp refuses control characters
            client.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    named = sent.decode("latin-1").strip(" \t").lower()
    assert set(row_ids(spans).values()) <= {named}
    assert not row_ids(spans) or is_row_id(named)


@pytest.mark.failures
@every_client
def test_a_failure_while_the_id_is_read_loses_the_id_but_not_the_answer(
    gateway: Wire, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: str) -> bool:
        raise ValueError("ours")

    with app(gateway) as running, session("Trip"), call(running.provider):
        monkeypatch.setattr(wire, "is_row_id", fail)
        client.get(gateway.url)

    assert swallowed() == {"transport hook: ValueError": 1}
    assert row_ids(running.exporter.get_finished_spans()) == {}


def test_an_answer_that_comes_after_the_span_ended_gives_its_id_to_the_span_that_waits_for_export(
    gateway: Wire,
) -> None:
    ended, name = threading.Event(), gateway.naming
    gateway.naming = lambda row_id: name(row_id) if ended.wait(5) else ()
    exporter = InMemorySpanExporter()
    with app(gateway) as running, session("Trip"), ThreadPoolExecutor() as threads:
        running.provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=60_000))
        with call(running.provider) as span:
            context = contextvars.copy_context()
            answer = threads.submit(context.run, httpx2.get, gateway.url)
            with pytest.raises(TimeoutError):
                answer.result(0.2)  # the app does not wait any longer
        bare = dict(span.attributes)
        ended.set()
        answer.result()
        running.provider.force_flush()

    assert row_ids(exporter.get_finished_spans()) == {f"chat {MODEL}": gateway.row_ids[0]}
    assert dict(span.attributes) == bare


def test_nothing_else_of_an_answer_is_read_or_kept(gateway: Wire) -> None:
    gateway.naming = lambda row_id: [f"helicone-id: {row_id}".encode(), b"set-cookie: s3cret=1", b"x-key: s3cret"]
    with app(gateway, capture_headers=True) as running, session("Trip"), call(running.provider):
        httpx2.get(gateway.url)

    assert "s3cret" not in "".join(span.to_json() for span in running.exporter.get_finished_spans())


# --- the caller's own ids -------------------------------------------------------------------------


def test_a_row_id_set_by_the_caller_is_kept(gateway: Wire) -> None:
    mine = str(uuid.uuid5(uuid.NAMESPACE_DNS, "example.com")).upper()
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            httpx2.get(gateway.url, headers={"helicone-request-id": mine})
        spans = running.exporter.get_finished_spans()

    assert gateway.row_ids == [mine]
    assert row_ids(spans) == {f"chat {MODEL}": mine.lower()}


@pytest.mark.parametrize("sent_id", ["order-7", str(uuid.UUID(int=0)), "0192f6a0-0000-7000-8000-000000000000"])
def test_instead_of_an_id_that_helicone_replaces_the_span_has_the_one_that_the_answer_names(
    gateway: Wire, sent_id: str
) -> None:
    with app(gateway) as running, session("Trip"):
        with call(running.provider):
            httpx2.get(gateway.url, headers={"Helicone-Request-Id": sent_id})
        spans = running.exporter.get_finished_spans()

    assert (b"Helicone-Request-Id", sent_id.encode()) in gateway.helicone()
    assert gateway.row_ids != [sent_id]
    assert row_ids(spans) == {f"chat {MODEL}": gateway.row_ids[0]}


def test_a_request_with_the_callers_session_has_the_id_of_its_row_too(gateway: Wire) -> None:
    theirs = {"Helicone-Session-Id": "theirs"}
    mine = str(uuid.uuid4())
    with app(gateway) as running, session("Trip"):
        for headers in (theirs, {**theirs, "Helicone-Request-Id": mine}):
            with call(running.provider):
                httpx2.get(gateway.url, headers=headers)
        spans = running.exporter.get_finished_spans()

    assert gateway.row_ids[1] == mine
    assert [row_ids([span]) for span in spans] == [{f"chat {MODEL}": row_id} for row_id in gateway.row_ids]


def test_the_answer_of_an_own_service_names_no_row_and_the_call_has_the_id_of_its_logged_row(gateway: Wire) -> None:
    with app(propagate_hosts=(gateway.netloc,)) as running, session("Trip"):
        with call(running.provider):
            httpx2.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert b"helicone-request-id" not in {name.lower() for name, _ in gateway.helicone()}
    [row_id] = row_ids(spans).values()
    assert uuid.UUID(row_id).version == 5


def test_without_a_session_no_span_has_an_id(gateway: Wire) -> None:
    with app(gateway, session_fallback="none") as running:
        with call(running.provider):
            httpx2.get(gateway.url)
        spans = running.exporter.get_finished_spans()

    assert gateway.helicone() == []
    assert row_ids(spans) == {}


def test_a_span_that_was_never_current_has_the_row_id_of_its_call(gateway: Wire) -> None:
    with app(gateway) as running, session("Trip"):
        langchain = running.provider.get_tracer("openinference.instrumentation.langchain")
        wrapper = langchain.start_span("ChatOpenAI")
        httpx2.post(gateway.url + "/v1/chat/completions", json=dict(CHAT))
        wrapper.set_attributes({"openinference.span.kind": "LLM", "llm.model_name": MODEL})
        wrapper.end()
        spans = running.exporter.get_finished_spans()

    assert row_ids(spans) == {"ChatOpenAI": gateway.row_ids[0]}


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
    assert row_ids(spans) == dict(zip(paths, gateway.row_ids, strict=True))

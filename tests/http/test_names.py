"""Ids and names in any language: which bytes each HTTP client sends, and what Helicone makes of them."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import aiohttp
import httpx
import pytest
import requests
import urllib3
from openai import OpenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel import SessionPath, Settings, configure, session
from helicone_otel.failures import swallowed
from helicone_otel.testing import Helicone
from helicone_otel.wire import MAX_TEXT, percent_encoded, wire_text
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

ID = "Ünïcode/1%2F2"
NAME = "旅行 Café 50% off 🙂"
PATH = "/計画/naïve"
# What Helicone shows of them.
SHOWN = {"id": "Ünïcode/1％2F2", "path": PATH, "name": "旅行 Café 50％ off 🙂"}
ENCODED = {part: percent_encoded(text) for part, text in SHOWN.items()}
ASK = "/v1/ask"


@contextmanager
def travelling() -> Iterator[None]:
    with session(NAME, id=ID, path=PATH):
        yield


# --- what leaves ----------------------------------------------------------------------------------


@every_client
@instrumented
def test_a_host_that_reads_utf8_gets_utf8_and_others_get_ascii(
    gateway: Wire, other: Wire, client: Client, http: bool
) -> None:
    settings = {"utf8_hosts": (gateway.netloc,)}
    with app(gateway, other, client=client if http else None, **settings) as running, travelling():
        client.get(gateway.url + ASK)
        client.get(other.url + ASK)

    assert (arrived(gateway), arrived(other)) == ([expected(**SHOWN)], [expected(**ENCODED)])
    assert running.labels() == [SHOWN, SHOWN] * http
    assert swallowed() == {}


@every_client
@pytest.mark.usefixtures("every_name_is_loopback")
@pytest.mark.parametrize(("hosts", "sent"), [(None, SHOWN), (("none",), ENCODED)], ids=["by default", "switched off"])
def test_gateways_of_helicone_get_utf8_unless_it_is_switched_off(
    gateway: Wire, client: Client, hosts: tuple[str, ...] | None, sent: dict[str, str]
) -> None:
    port = gateway.netloc.rpartition(":")[2]
    settings = {} if hosts is None else {"utf8_hosts": hosts}
    with app(gateway_hosts=("acme.test",), **settings), travelling():
        for host in ("oai.helicone.ai", "ANTHROPIC.hconeai.com", "acme.test", "api.openai.com"):
            client.get(f"http://{host}:{port}/v1")

    assert arrived(gateway) == [expected(**sent), expected(**sent), expected(**ENCODED), []]


@by_manager
def test_with_a_proxy_the_host_behind_the_proxy_decides(gateway: Wire, client: Client) -> None:
    with app(gateway), travelling():
        client.get("http://oai.helicone.ai/v1", proxy=gateway.url)

    assert arrived(gateway) == [expected(**SHOWN)]


@every_client
def test_an_own_service_gets_ascii(gateway: Wire, client: Client) -> None:
    with app(propagate_hosts=(gateway.netloc,)), travelling():
        client.get(f"{gateway.url}/plan")

    assert arrived(gateway) == [expected(**ENCODED)]


@every_client
@instrumented
def test_users_and_properties_are_sent_in_the_same_form(gateway: Wire, client: Client, http: bool) -> None:
    with (
        app(gateway, client=client if http else None, utf8_hosts=(gateway.netloc,)),
        session("Ours", id="ours", path="/ours", user_id="zoë", properties={"Stadt": "Köln", "Rate": "5%"}),
    ):
        client.get(gateway.url)

    more = {"Helicone-User-Id": "zoë", "Helicone-Property-Stadt": "Köln", "Helicone-Property-Rate": "5％"}
    lines = [(name.encode(), value.encode()) for name, value in more.items()]
    ours = expected(id="ours", path="/ours", name="Ours")
    assert in_any_case(gateway.helicone()) == in_any_case([*ours, *lines])


NASTY = {
    "long": "旅" * 10_000,
    "lone surrogates": "a\ud800b\udcffc",
    "right to left": "\u200fשלא \u202e7",
    "only percent signs": "%" * 300,
    "an emoji at the edge": "a" * (MAX_TEXT - 2) + "🙂🙂",
    "controls": "a\r\nX-Evil: 1\0\x01\x7f\x85b",
    "blanks": "\u3000 a\u00a0\u2028b \u3000",
    "an escape": "%E6%97%85",
}


@every_client
@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY.keys())
@pytest.mark.parametrize("utf8", [True, False], ids=["UTF-8", "ASCII"])
def test_any_text_leaves_in_its_wire_form(gateway: Wire, client: Client, text: str, utf8: bool) -> None:
    with app(gateway, utf8_hosts=(gateway.netloc,) if utf8 else ("none",)), session(text, id=text, path="/" + text):
        client.get(gateway.url)

    form = str if utf8 else percent_encoded
    name = form(wire_text(text))
    assert gateway.helicone() == expected(id=name, name=name, path=form(str(SessionPath("/" + text))))
    assert swallowed() == {}
    assert [name for name, _ in gateway.headers() if name == b"X-Evil"] == []


def test_all_headers_of_a_session_are_within_the_limits_of_servers(gateway: Wire) -> None:
    text = "旅" * 10_000
    with (
        app(gateway),
        session(text, id=text, user_id=text, path=f"/{text}" * 9, properties={f"p{n}": text for n in range(20)}),
    ):
        requests.get(gateway.url)

    # Node takes 16 KiB of all headers, aiohttp and nginx 8 KiB of one.
    assert len(gateway.heads[0]) < 9 * 1024
    assert list(swallowed()) == ["The properties of a session are too long for headers; the last ones were left out."]


# --- what was there before ------------------------------------------------------------------------


@every_client
@pytest.mark.parametrize("spelled", [str, str.lower, str.upper], ids=["as is", "lower", "upper"])
def test_headers_injected_by_the_app_in_ascii_are_sent_as_utf8_and_once(
    gateway: Wire, client: Client, spelled: type[str]
) -> None:
    with app(gateway, utf8_hosts=(gateway.netloc,)) as running, travelling():
        carrier = injected(running, gateway.url + ASK)
        client.get(gateway.url + ASK, {spelled(name): value for name, value in carrier.items()})

    assert {name: carrier[name] for name in HEADERS.values()} == {HEADERS[part]: ENCODED[part] for part in HEADERS}
    assert in_any_case(arrived(gateway)[0]) == in_any_case(expected(**SHOWN))


@every_client
def test_a_partial_set_of_the_caller_is_completed_in_the_form_that_the_host_reads(
    gateway: Wire, client: Client
) -> None:
    with app(gateway, utf8_hosts=(gateway.netloc,)) as running, travelling():
        client.get(gateway.url, injected(running, gateway.url, {"helicone-session-path": "/theirs"}))

    assert in_any_case(arrived(gateway)[0]) == in_any_case(expected(**{**SHOWN, "path": "/theirs"}))


@by_manager
def test_a_redirect_to_an_unlisted_host_loses_names_in_any_form(other: Wire, client: Client) -> None:
    with listening(redirect=other.url) as first, app(first, utf8_hosts=(first.netloc,)) as running, travelling():
        client.get(first.url + ASK)
        client.get(first.url + ASK, injected(running, first.url + ASK))

    assert [in_any_case(lines) for lines in arrived(first)] == [in_any_case(expected(**SHOWN))] * 2
    assert arrived(other) == [[], []]


@by_manager
@instrumented
def test_a_redirect_to_a_host_that_reads_ascii_gets_ascii(other: Wire, client: Client, http: bool) -> None:
    with (
        listening(redirect=other.url) as first,
        app(first, other, client=client if http else None, utf8_hosts=(first.netloc,)) as running,
        travelling(),
    ):
        client.get(first.url + ASK)
        client.get(first.url + ASK, injected(running, first.url + ASK))

    assert [in_any_case(lines) for lines in arrived(first)] == [in_any_case(expected(**SHOWN))] * 2
    assert [in_any_case(lines) for lines in arrived(other)] == [in_any_case(expected(**ENCODED))] * 2


@pytest.mark.parametrize("given", [None, {"X-Mine": "1"}, urllib3.HTTPHeaderDict({"X-Mine": "1"})])
@pytest.mark.parametrize("status", [303, 503])
def test_each_try_of_a_connection_pool_sends_the_same(
    given: Mapping[str, str] | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {303: b"303 See\r\nLocation: /moved", 503: b"503 Busy"}[status]
    monkeypatch.setattr(
        "tests.support.raw_http._answer", lambda *_: b"HTTP/1.1 " + line + b"\r\nContent-Length: 0\r\n\r\n"
    )
    retries = urllib3.Retry(
        total=2, status_forcelist=[503], allowed_methods=None, raise_on_status=False, raise_on_redirect=False
    )
    with listening() as wire, app(wire, utf8_hosts=(wire.netloc,)), travelling():
        host, _, port = wire.netloc.partition(":")
        with urllib3.HTTPConnectionPool(host, int(port)) as pool:
            pool.urlopen("POST", "/v1", body=b"{}", headers=given, retries=retries)

    assert arrived(wire) == [expected(**SHOWN)] * 3
    assert dict(given or {}) == ({"X-Mine": "1"} if given else {})


# --- what the caller wrote ------------------------------------------------------------------------

THEIRS = {"id": "théirs 50%", "path": "/théirs", "name": "Théirs"}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_headers_of_the_caller_are_read_as_utf8_or_latin1_and_left_as_they_are(gateway: Wire, encoding: str) -> None:
    mine = {HEADERS[part].encode(): text.encode(encoding) for part, text in THEIRS.items()}
    client = next(client for client in CLIENTS if client.name == "requests")
    with app(gateway, client=client) as running, travelling():
        requests.get(gateway.url, headers=mine)
    with app(gateway), travelling():
        httpx.get(gateway.url, headers=mine)
        urllib3.PoolManager().request("GET", gateway.url, headers=mine)  # type: ignore[arg-type]  # it takes them

    theirs = sorted(mine.items())
    assert [in_any_case(lines) for lines in arrived(gateway)] == [in_any_case(theirs)] * 3
    assert running.labels() == [{"id": "théirs 50％", "path": "/théirs", "name": "Théirs"}]
    assert swallowed() == {}


async def test_text_of_the_caller_is_left_as_it_is_in_aiohttp(gateway: Wire) -> None:
    with app(gateway), travelling():
        async with aiohttp.ClientSession() as client:
            await client.get(gateway.url, headers={HEADERS[part]: text for part, text in THEIRS.items()})

    assert arrived(gateway) == [expected(**THEIRS)]


def test_the_callers_own_headers_object_is_not_changed(gateway: Wire) -> None:
    mine = urllib3.HTTPHeaderDict({"X-Mine": "1"})
    urllib_request = urllib.request.Request(gateway.url, headers=dict(mine))
    with app(gateway, utf8_hosts=(gateway.netloc,)) as running, travelling(), urllib3.PoolManager() as pool:
        pool.request("GET", gateway.url, headers=mine)
        for name, value in injected(running, gateway.url).items():
            urllib_request.add_header(name, value)
        before = dict(urllib_request.headers)
        urllib.request.urlopen(urllib_request).close()

    assert [in_any_case(lines) for lines in arrived(gateway)] == [in_any_case(expected(**SHOWN))] * 2
    assert (dict(mine), urllib_request.headers) == ({"X-Mine": "1"}, before)
    assert [name for name in urllib_request.unredirected_hdrs if name.startswith("Helicone")] == []


# --- instrumentations that capture headers ---------------------------------------------------------


@every_client
@pytest.mark.parametrize("first", ["the instrumentation", "this library"])
def test_instrumentations_that_capture_headers_fail_nothing(
    gateway: Wire, client: Client, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST", "helicone-.*,x-mine")
    provider, exporter = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    settings = Settings(gateway_hosts=(gateway.netloc,), utf8_hosts=(gateway.netloc,))
    instrumentor = client.instrumentor()
    with ExitStack() as stack:
        if first == "the instrumentation":
            instrumentor.instrument(tracer_provider=provider)
        handle = configure(settings, provider=provider)
        stack.callback(handle.uninstall)
        stack.callback(instrumentor.uninstrument)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        if first == "this library":
            instrumentor.instrument(tracer_provider=provider)
        with travelling():
            client.get(gateway.url + ASK, {"X-Mine": "1"})

    assert arrived(gateway) == [expected(**SHOWN)]
    (span,) = exporter.get_finished_spans()
    captured = {
        name: value for name, value in (span.attributes or {}).items() if name.startswith("http.request.header")
    }
    if captured or not client.name.startswith("httpx"):  # old instrumentations of httpx capture no headers
        assert captured["http.request.header.x_mine"] == ("1",)
    assert all(isinstance(text, str) for value in captured.values() for text in value)  # type: ignore[union-attr]
    assert swallowed() == {}


# --- what Helicone makes of it ---------------------------------------------------------------------


@pytest.mark.parametrize("text", ["旅行", "Café", "50% off", ID, "%", "100%25", *NASTY.values()])
def test_helicone_lists_a_session_by_its_name_and_its_page_opens(helicone: Helicone, text: str) -> None:
    helicone.configure(log=True)
    with session(text, id=text):
        OpenAI().chat.completions.create(model="gpt-5.4-mini", messages=[{"role": "user", "content": "Where to?"}])
        with helicone.tracer.start_as_current_span("look", attributes={"gen_ai.operation.name": "execute_tool"}):
            pass

    shown = wire_text(text)
    assert [(row.door, row.session_id, row.session_name) for row in helicone.rows()] == [
        ("gateway", shown, shown),
        ("log", shown, shown),
    ]
    assert len(helicone.fake.session_page(shown, shown)) == 2
    assert helicone.requests[0].helicone_headers["Helicone-Session-Name"] == shown
    assert helicone.sessions == {shown: shown}
    assert helicone.tree(shown) == {"/chat": ["llm"], "/look": ["tool"]}

"""Rows reach a server in trouble: over real connections, through proxies and TLS, and through the whole pipeline."""

from __future__ import annotations

import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import StatusCode

from helicone_otel import HeliconeSpanExporter, Session, configure, failures, session
from helicone_otel.install.configure import INSTALLATION
from helicone_otel.log import worker
from helicone_otel.log.delivery import pace
from helicone_otel.log.delivery.client import Client, seconds_of
from helicone_otel.log.delivery.memory import memory_of
from helicone_otel.log.delivery.sender import RowSender
from helicone_otel.log.delivery.verdict import Delivery
from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.requests import RateLimit, Request, Trouble
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.log.test_delivery import OTHER_KEY, ids, row
from tests.support.logs import wait_for

TOOL = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
_TLS_ALERT = bytes([21, 3, 3, 0, 2, 2])


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(pace, "LONGEST_PAUSE", 0.2)


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    yield TracerProvider(shutdown_on_exit=False)
    INSTALLATION.uninstall()


class Certified:
    """A server certificate, and the authority that the environment trusts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.authority = authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certify()
        self.path = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.path))
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(self.path))

    def certify(self, not_after: datetime | None = None) -> None:
        """Show a new certificate from now on."""
        self.authority.issue_cert("127.0.0.1", "log.test", not_after=not_after).configure_cert(self.context)

    @contextmanager
    def serving(self) -> Iterator[FakeHelicone]:
        fake = FakeHelicone()
        fake.socket = self.context.wrap_socket(fake.socket, server_side=True, do_handshake_on_connect=False)
        with serving(fake):
            yield fake


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certified:
    return Certified(tmp_path, monkeypatch)


@contextmanager
def relaying(first: Callable[[socket.socket], bool], port: Callable[[], int]) -> Iterator[int]:
    """Listen, and relay each connection to a port, unless `first` has dealt with it; yield the port.

    Args:
        first: Called with each connection; returns whether it is to be relayed.
        port: Returns the port.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                if not first(connection):
                    return
                with socket.create_connection(("127.0.0.1", port())) as onward:
                    back = threading.Thread(target=_copy, args=(onward, connection), daemon=True)
                    back.start()
                    _copy(connection, onward)
                    back.join(5)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


# --- what may succeed later -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        _TLS_ALERT + bytes([40]),
        _TLS_ALERT + bytes([80]),
        _TLS_ALERT + bytes([112]),
        b"HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n",
        b"",
    ],
    ids=["handshake_failure", "internal_error", "unrecognized_name", "plain HTTP", "nothing"],
)
def test_rows_wait_while_no_encrypted_connection_can_be_made(certified: Certified, answer: bytes) -> None:
    refusals = [True] * 5

    def first(connection: socket.socket) -> bool:
        if not refusals:
            return True
        refusals.pop()
        connection.recv(4096)
        connection.sendall(answer)
        return False

    with certified.serving() as fake, relaying(first, lambda: fake.server_port) as port:
        url = f"https://127.0.0.1:{port}"
        client = Client(url, 100)
        for number in range(20):
            client.put(row(number, url))

        assert client.flush(20)
        client.shutdown(0)

        assert ids(fake) == list(range(20))
    assert refusals == []


def test_a_certificate_for_another_name_is_final(certified: Certified, caplog: pytest.LogCaptureFixture) -> None:
    with certified.serving() as fake:
        url = fake.url.replace("http://127.0.0.1", "https://localhost")
        client = Client(url, 100)
        client.put(row(1, url))

        assert not client.flush(5)
        assert (client.rows, fake.requests("log")) == (0, [])
        client.shutdown(0)
    assert "no encrypted connection to its address can be trusted" in caplog.text


def test_a_certificate_that_has_expired_is_renewed_one_day(certified: Certified) -> None:
    certified.certify(datetime(2020, 1, 1, tzinfo=UTC))
    with certified.serving() as fake:
        url = fake.url.replace("http", "https")
        client = Client(url, 100)
        client.put(row(1, url))
        assert not client.flush(0.2)
        assert fake.requests("log") == []

        certified.certify()

        assert client.flush(5)
        client.shutdown(0)
        assert ids(fake) == [1]


def test_certificates_that_are_missing_for_a_while_lose_nothing(certified: Certified) -> None:
    certificates = certified.path.read_bytes()
    certified.path.unlink()
    with certified.serving() as fake:
        url = fake.url.replace("http", "https")
        client = Client(url, 100)
        client.put(row(1, url))
        assert not client.flush(0.1)

        certified.path.write_bytes(certificates)

        assert client.flush(5)
        client.shutdown(0)
        assert ids(fake) == [1]


STATUSES = (407, 408, 421, 425, 429, 500, 502, 503, 504, 511, 520, 529, 599)
PASSING = {f"cut at {cut}": Trouble(cut=cut) for cut in (0, 4, 16, 17, 40, -1)}
PASSING |= {str(status): Trouble(status=status) for status in STATUSES}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING.keys())
def test_a_trouble_that_may_pass_is_final_for_no_row(fake: FakeHelicone, trouble: Trouble) -> None:
    fake.troubles.next(*[trouble] * 8)
    client = Client(fake.url, 100, connections=4)
    for number in range(10):
        client.put(row(number, fake.url))

    assert client.flush(20)
    client.shutdown(0)

    assert ids(fake) == list(range(10))


def test_rows_wait_while_a_name_cannot_be_resolved(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve, unknown = socket.getaddrinfo, [True] * 3

    def sometimes(host: Any, *args: Any, **options: Any) -> Any:
        if unknown:
            unknown.pop()
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", sometimes)
    client = Client(fake.url, 100)
    client.put(row(1, fake.url))

    assert client.flush(10)
    client.shutdown(0)
    assert (ids(fake), unknown) == ([1], [])


# --- proxies ------------------------------------------------------------------------------------------


@contextmanager
def tunnelling(answers: list[bytes], heads: list[bytes]) -> Iterator[int]:
    """Be a proxy that answers `CONNECT` with each of the answers, and then makes tunnels; yield its port."""
    ports: list[int] = []

    def first(connection: socket.socket) -> bool:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        heads.append(head)
        if answers:
            connection.sendall(answers.pop(0))
            return False
        ports.append(int(head.split(b" ")[1].rpartition(b":")[2]))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return True

    with relaying(first, lambda: ports[-1]) as port:
        yield port


@pytest.mark.parametrize("status", [407, 502, 503])
def test_rows_pass_a_tunnel_that_a_proxy_refuses_at_first(
    certified: Certified, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    refusal = f"HTTP/1.1 {status} No ann:secret\r\nContent-Length: 0\r\n\r\n".encode()
    heads: list[bytes] = []
    with certified.serving() as fake, tunnelling([refusal] * 3, heads) as port:
        url = f"https://log.test:{fake.server_port}"
        monkeypatch.setenv("https_proxy", f"http://ann:secret@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        client = Client(url, 100, connections=1)
        client.put(row(1, url))
        client.put(row(2, url))

        assert client.flush(10)
        client.shutdown(0)

        assert ids(fake) == [1, 2]
        assert all(KEY.encode() not in head for head in heads)
        assert all(b"Basic YW5uOnNlY3JldA==" in head for head in heads)
        assert {name for request in fake.requests("log") for name, _ in request.headers} >= {"Authorization"}
        assert b"roxy" not in fake.requests("log")[0].head
    assert caplog.messages == [
        f"Rows will be sent to Helicone again later: Helicone cannot be reached (the proxy answered {status})"
    ]


# --- tenants and limits -------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_tenant_that_is_refused_for_ever_holds_up_no_other(
    fake: FakeHelicone, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "300")
    keys = {"refused": OTHER_KEY, "well": KEY}

    def key_for(of: Session) -> str | None:
        return keys.get(of.user_id or "")

    def trouble_of(request: Request) -> Trouble | None:
        is_refused = request.header("Authorization") == f"Bearer {OTHER_KEY}"
        return Trouble(status=status, headers={"Retry-After": "60"}) if is_refused else None

    fake.troubles.choose(trouble_of)
    exporter = HeliconeSpanExporter(key_for=key_for, endpoint=fake.url)
    configure(provider=provider, log=exporter)
    tracer = provider.get_tracer("x")
    for _ in range(5):
        with session("Shop", user_id="refused"):
            for _ in range(200):
                tracer.start_span("execute_tool search", attributes=TOOL).end()
        provider.force_flush(50)
    with session("Shop", user_id="well"):
        for _ in range(100):
            tracer.start_span("execute_tool search", attributes=TOOL).end()
    provider.force_flush(50)

    wait_for(lambda: len(fake.rows) == 100)
    exporter.shutdown(0)


def test_rows_arrive_at_the_rate_that_a_server_allows(fake: FakeHelicone, provider: TracerProvider) -> None:
    fake.troubles.choose(RateLimit(100, 5, Trouble(status=429, headers={"Retry-After": "0.1"})))
    exporter = HeliconeSpanExporter(KEY, endpoint=fake.url)
    configure(provider=provider, log=exporter)
    tracer = provider.get_tracer("x")
    with session("Shop"):
        for _ in range(60):
            tracer.start_span("execute_tool search", attributes=TOOL).end()

    assert provider.force_flush(60_000)
    assert len(fake.rows) == 60


# --- flush and bounds ---------------------------------------------------------------------------------


def test_a_flush_is_false_once_for_each_loss(
    fake: FakeHelicone, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "160")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "160")
    exporter = HeliconeSpanExporter(KEY, endpoint=fake.url)
    configure(provider=provider, log=exporter)
    monkeypatch.setattr(worker.LogWorker, "_start", lambda _: None)  # no thread makes room meanwhile
    tracer = provider.get_tracer("x")

    def make(count: int) -> None:
        with session("Shop"):
            for _ in range(count):
                tracer.start_span("execute_tool search", attributes=TOOL).end()

    make(300)
    assert not provider.force_flush()
    assert len(fake.rows) == 160
    assert provider.force_flush()
    make(10)
    assert provider.force_flush()
    fake.troubles.next(Trouble(status=400))
    make(1)
    assert not provider.force_flush()
    assert provider.force_flush()
    assert len(fake.rows) == 170
    assert sum(count for what, count in failures.swallowed().items() if "not logged" in what) == 141


@pytest.mark.parametrize(
    "milliseconds", [-math.inf, -1, 0, 1e-9, 10**400, 2**70, math.inf, math.nan, True, "soon", None]
)
def test_any_timeout_becomes_seconds_that_the_system_can_wait_for(milliseconds: Any) -> None:
    seconds = seconds_of(milliseconds, 30.0)

    assert 0 <= seconds <= threading.TIMEOUT_MAX
    assert threading.Event().wait(min(seconds, 0.001)) is False


@pytest.mark.parametrize("milliseconds", [-1, 0, 50])
def test_a_flush_ends_in_its_time_although_a_request_does_not(
    fake: FakeHelicone, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch, milliseconds: int
) -> None:
    hanging = threading.Event()

    def resolve(*_: Any, **__: Any) -> Any:
        hanging.wait(60)
        raise socket.gaierror

    exporter = HeliconeSpanExporter(KEY, endpoint=fake.url)
    configure(provider=provider, log=exporter)
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with session("Shop"):
        provider.get_tracer("x").start_span("execute_tool search", attributes=TOOL).end()
    began = time.monotonic()

    assert not provider.force_flush(milliseconds)
    assert time.monotonic() - began < 30
    hanging.set()
    exporter.shutdown(0)


def test_a_flush_sends_rows_itself_where_threads_do_not_run(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "_work", lambda *_: None)  # as in a server that starts threads and never runs them
    client = Client(fake.url, 100)
    for number in range(5):
        client.put(row(number, fake.url))

    assert client.flush(10)
    client.shutdown(0)
    assert ids(fake) == list(range(5))


def test_spans_that_are_no_rows_yet_are_bounded_in_bytes(
    fake: FakeHelicone, provider: TracerProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "MAX_BYTES", 1_000_000)
    monkeypatch.setattr(worker, "_MANY_BYTES", 250_000)
    monkeypatch.setattr(worker.LogWorker, "_start", lambda _: None)
    exporter = HeliconeSpanExporter(KEY, endpoint=fake.url)
    configure(provider=provider, log=exporter)
    tracer = provider.get_tracer("x")
    with session("Shop"):
        for _ in range(100):
            tracer.start_span("search", attributes=TOOL | {"gen_ai.tool.call.result": "x" * 30_000}).end()

    assert not provider.force_flush()
    assert 25 <= len(fake.rows) <= 33
    with session("Shop"):
        for _ in range(20):
            tracer.start_span("search", attributes=TOOL).end()
    assert provider.force_flush()


PLACES: dict[str, Callable[[Any, str], object]] = {
    "text": lambda span, text: span.set_attribute("y", text),
    "wide text": lambda span, text: span.set_attribute("y", "旅" * (len(text) // 2)),
    "texts": lambda span, text: span.set_attribute("y", [text[:50_000], text[50_000:]]),
    "attribute's name": lambda span, text: span.set_attribute(text, 1),
    "event": lambda span, text: span.add_event("x", {"y": text}),
    "event's name": lambda span, text: span.add_event(text),
    "link": lambda span, text: span.add_link(span.get_span_context(), {"y": text}),
    "status": lambda span, text: span.set_status(StatusCode.ERROR, text),
    "name": lambda span, text: span.update_name(text),
}


@pytest.mark.parametrize("put", PLACES.values(), ids=PLACES.keys())
def test_the_memory_of_a_span_counts_its_content_wherever_it_is(
    provider: TracerProvider, put: Callable[[Any, str], object]
) -> None:
    span: Any = provider.get_tracer("x").start_span("x")
    put(span, "x" * 100_000)
    span.end()

    assert 100_000 <= memory_of(span) < 110_000


# --- the sender ---------------------------------------------------------------------------------------


def test_a_large_body_over_tls_arrives_whole(certified: Certified) -> None:
    with certified.serving() as fake:
        url = fake.url.replace("http", "https")
        sender = RowSender(url, 4, 30)
        large = row(1, url, text="x" * 3_000_000)

        assert sender.send(large).delivery is Delivery.DELIVERED
        assert sender.send(row(2, url)).delivery is Delivery.DELIVERED
        assert [len(request.body) for request in fake.requests("log")] == [len(large.body), len(row(2, url).body)]
        sender.close()


def test_bytes_that_nobody_asked_for_are_not_taken_for_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        second = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with closing(connection):
                connection.recv(65536)
                connection.sendall(ok)
                time.sleep(0.05)
                connection.sendall(ok)  # once more, unasked
                second.set()
                with closing(server.accept()[0]) as other:
                    other.recv(65536)
                    other.sendall(ok.replace(b"200 OK", b"400 No"))

        threading.Thread(target=serve, daemon=True).start()
        sender = RowSender(url, 4, 10)

        assert sender.send(row(1, url)).delivery is Delivery.DELIVERED
        second.wait(10)
        assert sender.send(row(2, url)).delivery is Delivery.REFUSED
        sender.close()

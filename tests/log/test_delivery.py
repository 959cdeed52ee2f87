"""The delivery of rows: what is sent again, what is dropped, what is kept, and what is logged."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from helicone_otel import Settings, failures, session
from helicone_otel.install.configure import INSTALLATION
from helicone_otel.log.delivery import connections, pace, queue
from helicone_otel.log.delivery.answer import Answer
from helicone_otel.log.delivery.client import Client
from helicone_otel.log.delivery.lane import Lane, PendingRow
from helicone_otel.log.delivery.queue import RowQueue
from helicone_otel.log.delivery.quotes import error_text
from helicone_otel.log.delivery.sender import RowSender
from helicone_otel.log.delivery.verdict import MAX_WAIT, Delivery, result_of_answer, retry_after
from helicone_otel.tools.fakes.headers import KEY
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.requests import Trouble
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.examples import examples
from tests.support.logs import wait_for
from tests.support.raw_http import Wire, listening

OTHER_KEY = "sk-helicone-another-tenants-ownkeys-nobodys"


def row(number: int = 0, url: str = "http://127.0.0.1:9", key: str = KEY, text: str = "hello") -> PendingRow:
    identifier = f"0d9a4c1e-33f0-5c0b-8a57-{number:012x}"
    body = {
        "providerRequest": {
            "url": "custom-model-nopath",
            "json": {"_type": "tool", "toolName": "greet", "input": text},
            "meta": {"Helicone-Session-Id": "s-1", "Helicone-Request-Id": identifier},
        },
        "providerResponse": {"json": {"_type": "tool", "toolName": "greet"}, "status": 200, "headers": {}},
        "timing": {
            "startTime": {"seconds": 1760000000, "milliseconds": 0},
            "endTime": {"seconds": 1760000000, "milliseconds": 1},
        },
    }
    return PendingRow(identifier, key, f"{url}/custom/v1/log", json.dumps(body).encode())


def ids(fake: FakeHelicone) -> list[int]:
    return sorted(int(row.id[24:], 16) for row in fake.rows)


@pytest.fixture
def client(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(pace, "FIRST_PAUSE", 0.02)
    client = Client(fake.url, 100, connections=4, seconds=5)
    yield client
    client.shutdown(0)


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble(error="the key was not found"), "Helicone answered 200 without saying ok (the key was not found)"),
        (Trouble(text=""), "Helicone answered 200 without saying ok"),
        (Trouble(text="<html>Welcome to the hotel</html>"), "without saying ok (<html>Welcome to the hotel</html>)"),
        (Trouble(status=400, text="Payload too large"), "Helicone answered 400 (Payload too large)"),
        (Trouble(status=401, text="Unauthorized"), "(401): check HELICONE_API_KEY, or what key_for returned"),
        (Trouble(status=403), "(403): check HELICONE_API_KEY"),
        (Trouble(status=404), "there is no log at this address (404): check HELICONE_LOG_ENDPOINT"),
        (Trouble(status=422, text=f"what is {KEY}?"), "Helicone answered 422 (what is ***?)"),
    ],
)
def test_a_row_that_will_never_be_accepted_is_dropped_and_logged_once(
    fake: FakeHelicone, client: Client, trouble: Trouble, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    fake.troubles.next(trouble, trouble)
    for number in range(3):
        client.put(row(number, fake.url))

    assert not client.flush(5)
    assert client.flush(5)  # nothing was refused since
    assert (len(fake.rows), len(fake.requests("log"))) == (1, 3)
    assert [record.getMessage() for record in caplog.records] == [
        message for message in [caplog.records[0].getMessage()] if reason in message
    ]
    assert list(failures.swallowed().values()) == [2]
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(status=408),
        Trouble(status=429),
        Trouble(status=500),
        Trouble(status=502, text="<html>"),
        Trouble(status=503, headers={"Retry-After": "0"}),
        Trouble(status=529),
        Trouble(reset=True),
        Trouble(status=500, stored=True),
    ],
    ids=str,
)
def test_a_row_that_may_be_accepted_later_is_sent_until_it_is_accepted(
    fake: FakeHelicone, client: Client, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    fake.troubles.next(*[trouble] * 3)
    for number in range(3):
        client.put(row(number, fake.url))

    assert client.flush(5)
    assert ids(fake) == [0, 1, 2]
    assert len(fake.requests("log")) == 6
    assert all("sent to Helicone again later" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("trouble", [Trouble(seconds=0.6), Trouble(trickle=0.05)], ids=["silence", "trickle"])
def test_a_row_is_sent_again_when_the_server_takes_too_long(fake: FakeHelicone, trouble: Trouble) -> None:
    fake.troubles.next(trouble)
    client = Client(fake.url, 10, connections=1, seconds=0.3)
    began = time.monotonic()
    client.put(row(1, fake.url))

    assert client.flush(5)
    assert (ids(fake), len(fake.requests("log"))) == ([1], 2)
    assert time.monotonic() - began < 3  # the trickle takes longer than that
    client.shutdown(0)


def test_rows_wait_while_the_server_cannot_be_reached(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        client.put(row(1, f"http://127.0.0.1:{unused.getsockname()[1]}"))

        assert not client.flush(0.2)
    assert client.rows == 1
    assert caplog.messages == [
        "Rows will be sent to Helicone again later: Helicone cannot be reached (NewConnectionError)"
    ]


def test_no_row_is_sent_to_a_server_with_an_untrusted_certificate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    fake = FakeHelicone()
    fake.socket = context.wrap_socket(fake.socket, server_side=True)
    url = fake.url.replace("http", "https")
    with serving(fake):
        untrusting = Client(url, 10)
        untrusting.put(row(1, url))
        assert not untrusting.flush(5)
        assert untrusting.rows == 0
        assert fake.requests("log") == []
        assert "no encrypted connection to its address can be trusted, so nothing is sent there" in caplog.text
        untrusting.shutdown(0)

        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        trusting = Client(url, 10)
        trusting.put(row(2, url))
        assert trusting.flush(5)
        assert ids(fake) == [2]
        trusting.shutdown(0)


def test_a_redirect_is_not_followed(fake: FakeHelicone, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with listening() as elsewhere:
        fake.troubles.next(Trouble(status=307, headers={"Location": f"{elsewhere.url}/custom/v1/log"}))
        client.put(row(1, fake.url))

        assert not client.flush(5)
    assert elsewhere.heads == []
    assert "a redirect: it is not followed, because the key would be sent there" in caplog.text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3", 3.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("86400", MAX_WAIT),
        ("999999999", MAX_WAIT),
        ("Fri, 27 Nov 2026 10:00:07 GMT", 7.0),
        ("Fri, 27 Nov 2026 09:00:00 GMT", 0.0),
        ("Sat, 28 Nov 2026 10:00:00 GMT", MAX_WAIT),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("Fri, 27 Nov 2026 10:00:07 +99999999999999999999", None),
        (None, None),
    ],
)
def test_retry_after_is_read_and_bounded(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, datetime(2026, 11, 27, 10, tzinfo=UTC)) == seconds


@hypothesis_settings(max_examples=examples(30))
@given(st.text())
def test_the_wait_is_bounded_whatever_retry_after_contains(text: str) -> None:
    assert retry_after(text) is None or 0 <= (retry_after(text) or 0) <= MAX_WAIT


@hypothesis_settings(max_examples=examples(50))
@given(
    st.integers(100, 599),
    st.dictionaries(st.just("retry-after"), st.text()),
    st.binary() | st.sampled_from([b"ok", b'"ok"\n']),
)
def test_only_an_answer_of_ok_means_delivered(status: int, headers: dict[str, str], body: bytes) -> None:
    result = result_of_answer(Answer(status, headers, body), KEY)

    assert (result.delivery is Delivery.DELIVERED) == (200 <= status < 300 and body.strip() in (b"ok", b'"ok"'))
    assert len(error_text(body)) <= 120
    assert error_text(body).isprintable()


@hypothesis_settings(max_examples=examples(50))
@given(st.integers(100, 599), st.binary() | st.sampled_from([b"", b"ok"]))
def test_only_an_answer_without_a_body_means_delivered_to_an_api_server(status: int, body: bytes) -> None:
    result = result_of_answer(Answer(status, {}, body), KEY, is_api_server=True)

    assert (result.delivery is Delivery.DELIVERED) == (200 <= status < 300 and not body.strip())


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble(text="<html>"), "Helicone answered 200 with a body, which its API server does not (<html>)"),
        (Trouble(error="no"), "Helicone answered 200 with a body, which its API server does not (no)"),
        (Trouble(status=422, text='{"message": "Validation Failed"}'), "Helicone answered 422"),
    ],
)
def test_a_row_that_an_api_server_does_not_take_is_dropped_and_logged(
    trouble: Trouble, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(FakeHelicone(worker=False)) as fake:
        fake.troubles.next(trouble)
        client = Client(f"{fake.url}/v1/trace", 100, connections=1, seconds=5)
        for number in range(2):
            client.put(row(number, f"{fake.url}/v1/trace"))
        assert not client.flush(5)
        client.shutdown(0)

    assert len(fake.rows) == 1
    assert reason in caplog.text


def test_nothing_is_sent_during_a_pause_that_the_server_asked_for(fake: FakeHelicone, client: Client) -> None:
    fake.troubles.next(Trouble(status=429, headers={"Retry-After": "30"}))
    client.put(row(1, fake.url))
    wait_for(lambda: len(fake.requests("log")) == 1 and client._queue.waiting == 1)
    client.put(row(2, fake.url))

    assert not client.flush(0.1)
    assert len(fake.requests("log")) == 1
    assert client.rows == 2


# --- the queue ------------------------------------------------------------------------------------


def test_a_full_queue_keeps_its_rows_and_accepts_no_new_ones() -> None:
    row_queue = RowQueue(max_rows=3, max_bytes=10_000)

    assert [not row_queue.put(row(number)) for number in range(5)] == [True, True, True, False, False]
    assert (len(row_queue), row_queue.has_room_for(KEY)) == (3, False)
    first = row_queue.take()
    assert first is not None
    assert first.id == row(0).id
    assert row_queue.put(row(5))  # a row that is being sent still counts
    row_queue.delivered(first)
    assert not row_queue.put(row(6))


def test_the_queue_is_bounded_in_bytes_too() -> None:
    size = row(text="x" * 5000).size
    row_queue = RowQueue(max_rows=100, max_bytes=3 * size)

    assert [not row_queue.put(row(number, text="x" * 5000)) for number in range(4)] == [True, True, True, False]
    assert row_queue.bytes == 3 * size
    assert row_queue.has_room_for(KEY)  # a smaller one may fit


def test_all_queued_rows_arrive_when_the_server_is_back(fake: FakeHelicone, client: Client) -> None:
    fake.troubles.from_now_on(Trouble(status=503))
    accepted = [number for number in range(150) if client.put(row(number, fake.url))]
    assert len(accepted) == 100
    assert not client.flush(0.2)
    assert len(fake.requests("log")) < 30  # a server that is down gets few requests

    fake.troubles.end()

    assert client.flush(5)
    assert ids(fake) == accepted


def test_a_row_that_always_fails_is_dropped_when_other_rows_are_delivered(
    fake: FakeHelicone, client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = fake.answer

    def unless_poisoned(request: Any) -> Any:
        if b"poison" in request.body:
            fake.troubles.next(Trouble(status=500))
        return answer(request)

    monkeypatch.setattr(fake, "answer", unless_poisoned)
    client.put(row(0, fake.url, text="poison"))
    for number in range(1, 60):
        client.put(row(number, fake.url))
        time.sleep(0.005)

    assert not client.flush(0.1) or client.rows == 0
    for number in range(60, 90):
        client.put(row(number, fake.url))
        client.flush(0.05)
    assert {row.id for row in fake.rows} >= {row(number).id for number in range(1, 90)}
    assert client.rows == 0
    assert "A row was not logged to Helicone, although others were: Helicone answered 500" in caplog.text


def test_a_pause_for_one_key_does_not_delay_the_rows_of_others(
    fake: FakeHelicone, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = fake.answer

    def unless_other(request: Any) -> Any:
        if any(value == f"Bearer {OTHER_KEY}" for _, value in request.headers):
            fake.troubles.next(Trouble(status=429, headers={"Retry-After": "30"}))
        return answer(request)

    monkeypatch.setattr(fake, "answer", unless_other)
    client.put(row(0, fake.url, key=OTHER_KEY))
    wait_for(lambda: client._queue._lanes[OTHER_KEY].pace.paused)  # the answer has been read
    for number in range(1, 21):
        client.put(row(number, fake.url))
        client.put(row(100 + number, fake.url, key=OTHER_KEY))

    wait_for(lambda: client.rows == 21)
    assert ids(fake) == list(range(1, 21))
    shown = [value for request in fake.requests("log") for name, value in request.headers if name == "Authorization"]
    assert shown.count(f"Bearer {OTHER_KEY}") == 1


def test_a_burst_of_rows_is_sent_in_parallel(fake: FakeHelicone, client: Client) -> None:
    client.put(row(0, fake.url))
    wait_for(lambda: client.rows == 0)  # one thread waits now
    fake.troubles.from_now_on(Trouble(seconds=20))

    for number in range(1, 10):
        client.put(row(number, fake.url))

    wait_for(lambda: len(fake.requests("log")) == 1 + 4)


def test_a_row_that_comes_while_another_is_being_queued_is_sent(
    fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(fake.url, 100)

    class ReentrantLane(Lane):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            if coming:  # as when the garbage collector ends a span at this moment
                client.put(coming.pop())

    coming = [row(2, fake.url, key=OTHER_KEY)]
    monkeypatch.setattr(queue, "Lane", ReentrantLane)
    putting = threading.Thread(target=lambda: client.put(row(1, fake.url)), daemon=True)
    putting.start()
    putting.join(5)

    assert not putting.is_alive()
    client.shutdown(5)
    assert len(fake.requests("log")) == 2


def test_the_queue_of_a_key_is_removed_with_its_last_row() -> None:
    row_queue = RowQueue(max_rows=10, max_bytes=100_000)
    for number in range(5):
        row_queue.put(row(number, key=f"tenant-{number}"))

    while (taken := row_queue.take_now()) is not None:
        row_queue.refused(taken)

    assert row_queue._lanes == {}
    assert (len(row_queue), row_queue.bytes) == (0, 0)


# --- flush and shutdown -----------------------------------------------------------------------------


def test_a_flush_ends_in_time_and_a_shutdown_logs_how_many_rows_are_left(
    fake: FakeHelicone, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    fake.troubles.from_now_on(Trouble(seconds=20))
    client.put(row(1, fake.url))
    client.put(row(2, fake.url))
    began = time.monotonic()

    assert not client.flush(0.2)
    assert not client.shutdown(0.2)
    assert time.monotonic() - began < 2
    assert "there was no time left to send them (2 rows)" in caplog.text
    assert not client.put(row(3, fake.url))


def test_a_flush_ends_in_time_although_each_row_is_delivered_in_time(fake: FakeHelicone) -> None:
    fake.troubles.from_now_on(Trouble(seconds=0.03))
    client = Client(fake.url, 1000, connections=2)
    for number in range(300):
        client.put(row(number, fake.url))
    began = time.monotonic()

    assert not client.flush(0.2)
    assert time.monotonic() - began < 1
    assert 0 < client.rows < 300
    client.shutdown(0)


def test_a_row_that_a_flush_cuts_short_does_not_count_as_failed(fake: FakeHelicone) -> None:
    fake.troubles.from_now_on(Trouble(seconds=5))
    sender = RowSender(fake.url, 1, 0.2)

    blamed = [sender.send(row(1, fake.url), seconds).blames_row for seconds in (None, 0.1)]
    sender.close()

    assert blamed == [True, False]


def test_rows_are_sent_although_no_thread_can_start(
    fake: FakeHelicone, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("helicone-otel"):
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    client.put(row(1, fake.url))

    assert client.flush(2)
    assert ids(fake) == [1]


def test_a_row_is_sent_again_at_once_when_an_idle_connection_was_gone(
    fake: FakeHelicone, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client.put(row(1, fake.url))
    assert client.flush(5)
    fake.troubles.next(Trouble(reset=True))  # as a load balancer does that has forgotten the connection
    monkeypatch.setattr(pace, "FIRST_PAUSE", 60)
    client.put(row(2, fake.url))
    wait_for(lambda: client.rows == 0)

    now = time.time()
    monkeypatch.setattr(connections.time, "time", lambda: now + 3600)  # the process was frozen for an hour
    client.put(row(3, fake.url))
    wait_for(lambda: client.rows == 0)

    assert (ids(fake), caplog.messages) == ([1, 2, 3], [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_sends_its_own_rows_and_none_of_its_parents(fake: FakeHelicone, client: Client) -> None:
    fake.troubles.from_now_on(Trouble(status=503))
    client.put(row(1, fake.url))
    wait_for(lambda: len(fake.requests("log")) > 0)
    fake.troubles.end()
    before = len(fake.requests("log"))

    child = os.fork()
    if not child:
        mine = client.rows
        client.put(row(2, fake.url))
        deadline = time.monotonic() + 5
        while client.rows and time.monotonic() < deadline:  # its threads do it, unasked
            time.sleep(0.01)
        os._exit(0 if (mine, client.rows) == (0, 0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert client.flush(5)
    assert ids(fake) == [1, 2]
    assert [row.sends for row in fake.rows] == [1, 1]
    assert len(fake.requests("log")) >= before + 2


# --- nothing of ours on it ------------------------------------------------------------------------


def test_requests_of_the_client_get_no_session_headers(client: Client) -> None:
    with listening() as host:
        assert isinstance(host, Wire)
        INSTALLATION.install(Settings(gateway_hosts=(host.netloc,)))
        try:
            with session("Trip Planning", id="trip-42"):
                client.put(row(1, host.url))
                client.flush(2)
        finally:
            INSTALLATION.uninstall()
    assert host.helicone(0) == []
    assert b"traceparent" not in host.heads[0].lower()


def test_a_request_has_the_required_headers_and_no_others(fake: FakeHelicone, client: Client) -> None:
    sent = row(1, fake.url)
    client.put(sent)
    assert client.flush(5)

    (request,) = fake.requests("log")
    assert {name.lower(): value for name, value in request.headers} == {
        "host": fake.url.removeprefix("http://"),
        "accept-encoding": "identity",
        "authorization": f"Bearer {KEY}",
        "content-type": "application/json",
        "content-length": str(len(sent.body)),
        "user-agent": "helicone-otel",
    }
    assert KEY not in repr(sent)


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        ours = Client("http://log.test", 10)
        ours.put(row(1, "http://log.test"))
        ours.flush(2)
        ours.shutdown(0)
    assert proxy.heads[0].startswith(b"POST http://log.test/custom/v1/log HTTP/1.1\r\n")


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_proxy_gets_its_credentials_and_needs_no_scheme(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with listening() as proxy:
        monkeypatch.setenv("http_proxy", f"{scheme}ann%40shop:pass%3Aword@{proxy.netloc}")
        monkeypatch.setenv("no_proxy", "")
        ours = Client("http://log.test", 10)
        ours.put(row(1, "http://log.test"))
        ours.flush(2)
        ours.shutdown(0)

    assert proxy.heads[0].startswith(b"POST http://log.test/custom/v1/log HTTP/1.1\r\n")
    assert b"\r\nproxy-authorization: Basic " + b64encode(b"ann@shop:pass:word") in proxy.heads[0]


@pytest.mark.parametrize("proxy", ["socks5://ann:secret@proxy.test:1080", "http://ann:secret@[::1"])
def test_a_proxy_that_cannot_be_used_is_logged_without_its_password(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")

    sending = Client("https://log.test", 10)
    sending._sender  # noqa: B018  # made for the first row
    sending.shutdown(0)

    assert ["The proxy that the environment names is not used" in message for message in caplog.messages] == [True]
    assert "secret" not in caplog.text


def test_certificates_may_be_in_a_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))

    assert connections._certificates() == {"capath": str(tmp_path)}


def test_log_records_below_warnings_show_no_key(
    fake: FakeHelicone, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.troubles.next(Trouble(status=401), Trouble(status=500), Trouble(reset=True))
    for number in range(4):
        client.put(row(number, fake.url))

    assert not client.flush(5)
    assert {record.name for record in caplog.records} == {"helicone_otel"}  # no library below it says more
    assert KEY not in caplog.text

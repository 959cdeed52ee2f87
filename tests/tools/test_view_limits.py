"""What slow and greedy clients of a view can hold, and that the others are served beside them."""

from __future__ import annotations

import asyncio
import gc
import gzip
import itertools
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]  # ships no types
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from starlette.requests import Request

from helicone_otel.tools.view import labelling, limits, responses
from helicone_otel.tools.view.database import BusyError, Database
from helicone_otel.tools.view.grpc import BUSY_SECONDS, MESSAGE_SECONDS, Arrivals
from helicone_otel.tools.view.limits import BodyError, BodyReader, Decoder
from helicone_otel.tools.view.responses import Spool, Spooled
from tests.support import bombs
from tests.support.view_seed import request_of, span
from tests.support.viewing import JSON, PROTOBUF, ViewClient, ask, posted_row, view_client

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.conversation.id": "c"}
REQUEST = request_of("shop", [span(1, 1, attributes=CHAT)])
BODY = REQUEST.SerializeToString()
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@contextmanager
def connected(url: str | None, first: bytes, receive_buffer: int = 0) -> Iterator[socket.socket]:
    """Yield a connection on which the start of a request has been sent."""
    parts = urlsplit(url or "")
    with socket.socket() as client:
        client.settimeout(20)
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect((parts.hostname or "", parts.port or 0))
        client.sendall(first.replace(b"HOST", parts.netloc.encode()))
        yield client


HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n"


# --- bodies -----------------------------------------------------------------------------------------------------------


class Arriving:
    """A body that arrives part by part."""

    def __init__(self, reader: BodyReader) -> None:
        self._parts: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        self._keep = asyncio.Event()
        self.task = asyncio.create_task(self._read(reader))

    async def _read(self, reader: BodyReader) -> str:
        async def receive() -> dict[str, Any]:
            part, more = await self._parts.get()
            return {"type": "http.request", "body": part, "more_body": more}

        try:
            async with reader.read(Request({"type": "http", "headers": []}, receive)) as body:
                await self._keep.wait()
                return f"{len(body)} bytes"
        except BodyError as error:
            return f"{error.status} {error.message}"

    async def send(self, size: int, *, more: bool = True) -> None:
        self._parts.put_nowait((bytes(size), more))
        for _ in range(5):
            await asyncio.sleep(0)

    async def end(self) -> str:
        self._keep.set()
        return await self.task


async def test_the_large_body_that_has_been_arriving_longest_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ALL_BODIES", 1000)
    monkeypatch.setattr(limits, "SMALL", 100)
    reader = BodyReader()
    small, whole, slow, other = (Arriving(reader) for _ in range(4))
    await small.send(20)
    await whole.send(300, more=False)
    await slow.send(400)
    await other.send(280)
    assert reader.size == 1000

    await other.send(10, more=False)

    # What has arrived already stays, and counts until it is decoded.
    assert reader.size == 610
    await small.send(20, more=False)
    assert [await one.end() for one in (small, whole, slow, other)] == [
        "40 bytes",
        "300 bytes",
        "503 too many large bodies at one time; try again",
        "290 bytes",
    ]
    assert reader.size == 0


@pytest.mark.parametrize("more", [True, False], ids=["while it arrives", "with its last part"])
async def test_bodies_that_wait_to_be_decoded_do_not_give_way(monkeypatch: pytest.MonkeyPatch, more: bool) -> None:
    monkeypatch.setattr(limits, "MAX_ALL_BODIES", 1000)
    reader = BodyReader()
    whole, other = Arriving(reader), Arriving(reader)
    await whole.send(900, more=False)
    await other.send(200, more=more)

    assert await other.end() == "503 too many large bodies at one time; try again"
    assert await whole.end() == "900 bytes"
    assert reader.size == 0


async def test_one_body_has_a_limit_of_its_own() -> None:
    reader = BodyReader(most=100)
    large = Arriving(reader)
    await large.send(60)
    await large.send(60)

    assert await large.end() == "413 the body has more than 100 bytes"
    assert reader.size == 0


# --- decoding ---------------------------------------------------------------------------------------------------------


async def test_a_small_body_is_decoded_while_large_ones_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_SMALL_DECODED", 100)
    decoder = Decoder()
    may_end, running = threading.Event(), itertools.count(1)
    started: list[int] = []

    def slow(body: bytes) -> int:
        started.append(next(running))
        may_end.wait(10)
        return len(body)

    # The second one is small only while it is compressed.
    first = asyncio.ensure_future(asyncio.wrap_future(decoder.decode(bytes(200), slow)))
    second = asyncio.create_task(decoder.decode_gzip(gzip.compress(bytes(300)), slow))

    assert await decoder.decode_gzip(gzip.compress(bytes(50)), len) == 50
    assert await asyncio.wrap_future(decoder.decode(bytes(60), len)) == 60
    assert len(started) == 1
    may_end.set()
    assert (await first, await second) == (200, 300)
    decoder.close()


@pytest.mark.parametrize("kind", bombs.KINDS)
def test_a_bomb_is_refused_and_says_why(view: ViewClient, kind: str) -> None:
    body = gzip.compress(bombs.PROTOBUF[kind](8 * 1024 * 1024), 1)
    answer = ask(f"{view.view.http_url}/v1/traces", "POST", body, PROTOBUF | {"Content-Encoding": "gzip"})

    assert (answer.status, b"send smaller batches" in answer.body) == (400, True)
    assert view.get("status")["spans"] == 0


def test_a_row_of_too_many_values_is_refused(view: ViewClient) -> None:
    row = posted_row("s", "/x", "Rows", asked_for=[0.5] * 2_000_001)
    answer = ask(f"{view.view.http_url}/custom/v1/log", "POST", json.dumps(row).replace(" ", "").encode(), JSON)

    assert (answer.status, answer.body) == (400, b"Payload has too many values")


@pytest.mark.parametrize("depth", [100, 500, *range(900, 1010, 5), 100_000])
def test_a_row_is_kept_or_refused_however_deep_it_is(view: ViewClient, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    row = json.dumps(posted_row("s", "/x", "Rows", asked_for="NESTED")).replace('"NESTED"', nested)
    answer = ask(f"{view.view.http_url}/custom/v1/log", "POST", row.encode(), JSON)

    assert answer.status in (200, 400)
    for one in view.session("s")["requests"] if answer.status == 200 else []:
        assert view.request(one["id"])["messages"] is not None


def test_of_a_trace_with_very_many_attributes_the_first_spans_are_shown(
    view: ViewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "MAX_ATTRIBUTES", 10 * len(CHAT))
    view.take(*(span(1, number, start=number, attributes=CHAT) for number in range(1, 21)))

    assert [one["start_ms"] % 1000 for one in view.session("c")["requests"]] == list(range(1, 11))


def test_more_rows_than_one_statement_holds_are_kept_and_replaced(view: ViewClient) -> None:
    for model in ("m", "n"):
        view.take(*(span(1, n, start=n, attributes={**CHAT, "gen_ai.request.model": model}) for n in range(1, 124)))
        requests = view.session("c")["requests"]

        assert [one["model"] for one in requests] == [model] * 123
        assert view.get("status")["spans"] == 123


def test_small_writes_go_on_while_large_ones_must_wait() -> None:
    kept, gate = Database(), threading.Event()
    jobs = [kept.write(lambda _: gate.wait(10), size=60 * 1024 * 1024)]
    with pytest.raises(BusyError):
        kept.write(lambda _: None, size=1024 * 1024)
    jobs += [kept.write(lambda _: None, size=1000)]
    gate.set()
    for job in jobs:
        job.result(10)
    kept.close()


# --- gRPC -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", bombs.KINDS)
def test_grpc_refuses_a_bomb_and_says_why(view: ViewClient, kind: str) -> None:
    message = bombs.PROTOBUF[kind](7 * 1024 * 1024)
    with grpc.insecure_channel(view.view.grpc_address or "") as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(EXPORT)(message, timeout=20, compression=grpc.Compression.Gzip)

    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "send smaller batches" in raised.value.details()


def test_calls_that_send_no_message_do_not_keep_others_out(view: ViewClient) -> None:
    over = threading.Event()

    def nothing() -> Iterator[bytes]:
        over.wait(20)
        yield from ()

    with grpc.insecure_channel(view.view.grpc_address or "") as channel:
        waiting = [channel.stream_unary(EXPORT).future(nothing()) for _ in range(60)]
        TraceServiceStub(channel).Export(REQUEST, timeout=20)  # type: ignore[no-untyped-call]
        over.set()
        codes = {one.code() for one in waiting}

    assert view.get("status")["spans"] == 1
    assert grpc.StatusCode.CANCELLED in codes


class Call:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize(("calls", "seconds"), [(1, MESSAGE_SECONDS), (11, MESSAGE_SECONDS), (12, BUSY_SECONDS)])
def test_a_call_may_take_less_time_while_many_are_slow(calls: int, seconds: float) -> None:
    arrivals, waiting = Arrivals(), [Call() for _ in range(calls)]
    with ExitStack() as stack:
        for call in waiting:
            stack.enter_context(arrivals.arriving(call))
        now = time.monotonic()
        arrivals.cancel_slow(now + seconds - 0.4)
        before = [call.cancelled for call in waiting]
        arrivals.cancel_slow(now + seconds)

    assert (before, [call.cancelled for call in waiting]) == ([False] * calls, [True] * calls)
    arrivals.cancel_slow(now + 1000)  # none of them waits any more


# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"POST /v1/traces HTTP/1.1\r\nHost:", id="a part of a head"),
        pytest.param(HEAD % 1000 + b"x", id="a part of a body"),
        pytest.param(HEAD % 0, id="a whole request"),
    ],
)
def test_the_connection_that_waits_longest_gives_way_to_a_new_one(
    view: ViewClient, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 8)
    monkeypatch.setattr(limits, "GRACE_SECONDS", 0.0)
    with ExitStack() as stack:
        slow = []
        for _ in range(30):
            slow.append(stack.enter_context(connected(view.view.http_url, start)))
            # One after the other, so that it is known who is the slowest.
            assert ask(f"{view.view.http_url}/v1/traces", "POST", BODY, PROTOBUF).status == 200
        ended = closed(slow, 23)

    assert ended == [True] * 23 + [False] * 7


def test_a_connection_may_stay_for_a_moment_however_many_come(
    view: ViewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_CONNECTIONS", 8)
    monkeypatch.setattr(limits, "GRACE_SECONDS", 60.0)
    monkeypatch.setattr(limits, "MAX_AT_ONCE", 20)
    with ExitStack() as stack:
        slow = []
        for _ in range(30):
            slow.append(stack.enter_context(connected(view.view.http_url, HEAD % 1000)))
            assert ask(f"{view.view.http_url}/v1/traces", "POST", BODY, PROTOBUF).status == 200
        ended = closed(slow, 11)

    assert ended == [True] * 11 + [False] * 19


def closed(clients: list[socket.socket], count: int) -> list[bool]:
    """Wait until the server has closed so many of the connections, and return which ones."""
    with suppress(TimeoutError):  # the test shows which ones there are
        wait_until(lambda: sum(map(is_closed, clients)) >= count)
    return [is_closed(client) for client in clients]


def is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return True


def test_a_client_that_reads_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "READ_SECONDS", 0.2)
    with view_client() as one:
        large(one)
        server = one.view._servers[0]
        with connected(one.view.url, b"GET /api/export?id=c HTTP/1.1\r\nHost: HOST\r\n\r\n", 4096):
            wait_until(lambda: len(server.server_state.connections) == 1)
            wait_until(lambda: not server.server_state.connections)
        assert ask(f"{one.view.url}/api/status").status == 200


def large(view: ViewClient) -> None:
    """Keep a session whose export has some megabytes, which no socket buffers."""
    message = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "x" * 150_000}]}])
    view.take(*(span(1, number, attributes={**CHAT, "gen_ai.input.messages": message}) for number in range(1, 30)))


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError


# --- long answers -----------------------------------------------------------------------------------------------------


def test_forty_slow_readers_of_one_export_share_it(view: ViewClient) -> None:
    large(view)
    exports = view.view._pages._exports
    wanted = b"GET /api/export?id=c HTTP/1.1\r\nHost: HOST\r\n\r\n"
    with ExitStack() as stack:
        readers = [stack.enter_context(connected(view.view.url, wanted, 4096)) for _ in range(40)]
        assert {reader.recv(15) for reader in readers} == {b"HTTP/1.1 200 OK"}
        whole = ask(f"{view.view.url}/api/export?id=c").body
        made = list(exports._made.values())

    # The first one may have been made before the others asked.
    assert 1 <= len(made) <= 2
    assert exported(whole)["session"]["session"]["id"] == "c"
    del made

    def is_forgotten() -> bool:
        gc.collect()  # a request that was broken off leaves cycles behind
        return not exports._made

    wait_until(is_forgotten)


def test_an_export_shows_what_came_after_the_one_before(view: ViewClient) -> None:
    view.take(span(1, 1, attributes=CHAT))
    first = ask(f"{view.view.url}/api/export?id=c").body
    view.take(span(1, 2, attributes=CHAT))
    second = ask(f"{view.view.url}/api/export?id=c").body

    assert [len(exported(html)["requests"]) for html in (first, second)] == [1, 2]


def exported(html: bytes) -> Any:
    return json.loads(html.partition(b'id="exported">')[2].partition(b"</script>")[0])


def test_a_long_answer_of_the_api_is_sent_whole(view: ViewClient) -> None:
    view.take(*(span(1, number, attributes=CHAT) for number in range(1, 1500)))
    answer = ask(f"{view.view.url}/api/session?id=c")

    assert len(answer.data["requests"]["rows"]) == 1499
    assert (answer.headers["content-length"], answer.headers["cache-control"]) == (str(len(answer.body)), "no-store")


async def read(answer: Spooled) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks()])


async def test_the_oldest_answers_are_broken_off_when_all_together_are_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(responses, "MAX_SPOOLED", 100)
    kept = Spool()
    gone = kept.keep([b"x" * 90])
    del gone
    gc.collect()
    first, second = kept.keep([b"a" * 40]), kept.keep([b"b" * 20, b"c" * 20])
    assert (await read(first), await read(second)) == (b"a" * 40, b"b" * 20 + b"c" * 20)

    third = kept.keep([b"d" * 50])

    assert (await read(second), await read(third)) == (b"b" * 20 + b"c" * 20, b"d" * 50)
    with pytest.raises(ValueError, match="closed"):
        await read(first)


# --- real attacks -----------------------------------------------------------------------------------------------------


class Process:
    """A view in a process of its own, whose memory can be measured."""

    def __init__(self) -> None:
        command = Path(sys.executable).with_name("helicone-otel")
        self._process = subprocess.Popen([command, "view", "--free-ports"], stdout=subprocess.PIPE, text=True)
        lines = [self._process.stdout.readline() for _ in range(4)] if self._process.stdout else []
        self.url, self.grpc, self.http = lines[0].split()[2], lines[1].split()[-1], lines[2].split()[-1]
        self.slowest = 0.0
        self.refused: list[int] = []

    @property
    def peak(self) -> int:
        """The largest memory that the process has had, in MiB."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) // 1024

    @contextmanager
    def serving_others(self) -> Iterator[None]:
        """Let others use the view while the block runs."""
        over = threading.Event()

        def use() -> None:
            while not over.wait(0.1):
                began = time.monotonic()
                urllib.request.urlopen(f"{self.url}/api/status", timeout=30).close()
                self.slowest = max(self.slowest, time.monotonic() - began)
                if (status := ask(f"{self.http}/v1/traces", "POST", BODY, PROTOBUF).status) != 200:
                    self.refused.append(status)

        thread = threading.Thread(target=use)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def end(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)


@pytest.fixture
def process() -> Iterator[Process]:
    one = Process()
    yield one
    one.end()


def bomb_over_http(process: Process) -> None:
    for kind, make in bombs.PROTOBUF.items():
        body = gzip.compress(make(31 * 1024 * 1024 if kind != "spans" else 8 * 1024 * 1024), 1)
        status = ask(f"{process.http}/v1/traces", "POST", body, PROTOBUF | {"Content-Encoding": "gzip"}).status
        assert (kind, status) == (kind, 400)
    for kind, make in bombs.JSON.items():
        body = gzip.compress(make(24 * 1024 * 1024), 1)
        status = ask(f"{process.http}/v1/traces", "POST", body, JSON | {"Content-Encoding": "gzip"}).status
        assert (kind, status) == (kind, 400)


def send_just_below_the_bounds(process: Process) -> None:
    """Send bodies that cost nearly as much as is allowed, all of one trace."""
    attribute = b"".join(bombs.field(9, bombs.field(1, b"%05x" % number) + b"\x12\x00") for number in range(380_000))
    many_spans = gzip.compress(bombs.spans(57_000), 1)
    many_attributes = [gzip.compress(bombs.in_span(attribute, number), 1) for number in range(1, 7)]
    with ThreadPoolExecutor(6) as pool:
        for status in pool.map(partial(send_until_taken, process), [*many_attributes, many_spans, many_spans]):
            assert status == 200
    time.sleep(10)


def send_until_taken(process: Process, body: bytes) -> int:
    for _ in range(60):
        status = ask(f"{process.http}/v1/traces", "POST", body, PROTOBUF | {"Content-Encoding": "gzip"}).status
        if status != 503:
            return status
        time.sleep(0.5)
    return 503


def bomb_over_grpc(process: Process) -> None:
    with grpc.insecure_channel(process.grpc) as channel:
        for make in bombs.PROTOBUF.values():
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(EXPORT)(make(7 * 1024 * 1024), timeout=60, compression=grpc.Compression.Gzip)


def read_slowly(process: Process) -> None:
    message = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "é" * 50_000}]}])
    for trace in range(1, 21):
        spans = [span(trace, trace * 100 + n, attributes={**CHAT, "gen_ai.input.messages": message}) for n in range(20)]
        body = request_of("shop", spans).SerializeToString()
        assert ask(f"{process.http}/v1/traces", "POST", body, PROTOBUF).status == 200
    time.sleep(3)
    with ExitStack() as stack:
        wanted = b"GET /api/export?id=c HTTP/1.1\r\nHost: HOST\r\n\r\n"
        readers = [stack.enter_context(connected(process.url, wanted, 4096)) for _ in range(40)]
        for _ in range(10):
            for reader in readers:
                assert reader.recv(1024)
            time.sleep(0.5)


def send_slowly(process: Process) -> None:
    with ExitStack() as stack:
        for size in (1, 100_000, 1_000_000):
            for _ in range(300):
                client = stack.enter_context(connected(process.http, HEAD % 30_000_000))
                try:
                    client.sendall(bytes(size))
                except OSError:  # it has given way already
                    continue
            time.sleep(3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures memory with /proc")
@pytest.mark.parametrize(
    "attack", [bomb_over_http, send_just_below_the_bounds, bomb_over_grpc, read_slowly, send_slowly]
)
def test_an_attack_costs_little_memory_and_others_are_served(
    process: Process, attack: Callable[[Process], None]
) -> None:
    with process.serving_others():
        attack(process)

    assert process.peak < 300
    assert (process.slowest < 1.0, process.refused) == (True, [])

"""Measure how fast the view is: `python -m tests.benchmarks.view [SECONDS] [--intake]`.

1. Intake: 2,000 spans a second by OTLP/gRPC and OTLP/HTTP from another process, for 60 s: none may be lost, and
   memory must stay where it is. What is measured is the view's own process.
2. Start to first page.
3. A store of 10,000 sessions of 20 spans: the list with a filter, over HTTP.
4. A session of 5,000 requests: its answer, over HTTP. A session of 20,000 requests as files.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.support.paths import REPOSITORY
from tests.support.view_seed import request_of, span
from tests.support.viewing import with_requests

SENDER = (sys.executable, "-m", "tests.benchmarks.view", "send")
RATE = 2000
TRACE = 20
BATCH = 500
# Most spans are LLM calls with content, as in real apps.
EPOCH = 1_760_000_000_000_000_000


class Running:
    """A running `helicone-otel view` in its own process."""

    def __init__(self, *arguments: str) -> None:
        began = time.perf_counter()
        command = [sys.executable, "-m", "helicone_otel", "view", "--free-ports", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ctrl-C" in line:
                break
        printed = "".join(self.lines)
        self.url = re.search(r"The view: (\S+)", printed)[1]  # type: ignore[index]
        http, grpc = re.search(r"OTLP/HTTP +(\S+)", printed), re.search(r"OTLP/gRPC +(\S+)", printed)
        self.http, self.grpc = http and http[1], grpc and grpc[1]
        self.get("/")
        self.started = time.perf_counter() - began

    def get(self, address: str) -> bytes:
        with urllib.request.urlopen(self.url + address, timeout=60) as answer:
            return answer.read()

    def status(self) -> dict[str, int]:
        return json.loads(self.get("/api/status"))

    def memory(self) -> float:
        """Return the resident memory of the process in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def intake(seconds: int) -> None:
    """Send spans for some seconds, and print how the view copes."""
    view = Running()
    print(f"start to first page     {view.started:6.2f} s")
    sender = subprocess.Popen([*SENDER, str(view.http), str(view.grpc), str(seconds)], cwd=REPOSITORY)
    memory: list[float] = []
    began, cpu = time.perf_counter(), view.cpu()
    lists: list[float] = []
    while sender.poll() is None:
        time.sleep(1)
        memory.append(view.memory())
        asked = time.perf_counter()
        view.get("/api/sessions?search=u-3")
        lists.append(time.perf_counter() - asked)
    sent = time.perf_counter() - began
    while view.status()["waiting"]:
        time.sleep(0.1)
    behind = time.perf_counter() - began - sent
    status = view.status()
    expected = RATE * seconds
    used = view.cpu() - cpu
    print(
        f"spans sent              {expected:6d}   in {sent:.1f} s, kept {status['spans']}, refused {status['refused']}"
    )
    print(f"requests in sessions    {status['requests']:6d}   of {expected * 9 // 10}, {status['sessions']} sessions")
    print(f"behind at the end       {behind:6.1f} s")
    print(f"CPU of the view         {used:6.1f} s   {used / expected * 1e6:.0f} µs a span")
    quarter = len(memory) // 4 or 1
    early, most = max(memory[:quarter]), max(memory)
    print(f"memory                  {memory[0]:6.0f} MiB first, {early:.0f} in the first quarter, {most:.0f} at most")
    print(f"list meanwhile          {statistics.median(lists) * 1e3:6.0f} ms median, {max(lists) * 1e3:.0f} at most")
    view.stop()
    if status["spans"] != expected:
        raise SystemExit("spans were lost")


def send(http: str, grpc_address: str, seconds: int) -> None:
    """Send spans at a steady rate, half of them by each protocol."""
    import grpc
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

    stub = TraceServiceStub(grpc.insecure_channel(grpc_address))
    began = time.perf_counter()
    late = 0.0
    for number in range(RATE * seconds // BATCH):
        wait = began + number * BATCH / RATE - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        late = max(late, -wait)
        traces = range(number * BATCH // TRACE + 1, (number + 1) * BATCH // TRACE + 1)
        request = request_of("bench", [span for trace in traces for span in session_of(trace)])
        if number % 2:
            stub.Export(request, timeout=30)
        else:
            post = urllib.request.Request(
                f"{http}/v1/traces", request.SerializeToString(), {"Content-Type": "application/x-protobuf"}
            )
            with urllib.request.urlopen(post, timeout=30) as answer:
                assert answer.status == 200
    print(f"the sender was late by  {late:6.2f} s at most")


def session_of(trace: int, requests: int = TRACE - 2, conversation: str = "") -> list[dict[str, object]]:
    """Return the spans of one session: an agent, a step, and calls with content below them."""
    base = trace << 24
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner", "user.id": f"u-{trace % 100}"}
    if conversation:
        agent["gen_ai.conversation.id"] = conversation
    epoch = EPOCH + trace * 1_000_000_000
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": "where to? " * 40}]}]
        ),
        "gen_ai.output.messages": json.dumps(
            [{"role": "assistant", "parts": [{"type": "text", "content": "there " * 40}]}]
        ),
    }
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look_up", "gen_ai.tool.call.arguments": "{}"}
    spans = [
        span(trace, base + 1, name="invoke_agent planner", attributes=agent, length=requests * 10 + 20, epoch=epoch),
        span(trace, base + 2, base + 1, name="plan", scope="app", length=requests * 10 + 10, epoch=epoch),
    ]
    for number in range(requests):
        attributes, name = (tool, "execute_tool look_up") if number % 3 == 2 else (chat, "chat gpt-4o-mini")
        start = 5 + number * 10
        spans.append(
            span(
                trace, base + 3 + number, base + 2, name=name, attributes=attributes, start=start, length=9, epoch=epoch
            )
        )
    return spans


def queries(sessions: int, requests: int) -> None:
    """Time the queries of the pages, with many sessions and with a long one."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "view.db")
        view = Running("--db", str(file))
        for first in range(1, sessions + 1, 50):
            spans = [span for trace in range(first, min(first + 50, sessions + 1)) for span in session_of(trace)]
            post(view, request_of("bench", spans).SerializeToString())
        post(view, request_of("long", session_of(sessions + 1, requests)).SerializeToString())
        while view.status()["waiting"]:
            time.sleep(0.2)
        for trace in range(sessions + 2, sessions + 6):
            post(view, request_of("longest", session_of(trace, 5_000, "longest")).SerializeToString())
        while view.status()["waiting"]:
            time.sleep(0.2)
        print(f"store                   {sum(one.stat().st_size for one in Path(folder).iterdir()) / 2**20:6.0f} MiB")
        view.stop()
        view = Running("--db", str(file))
        print(f"start to first page     {view.started:6.2f} s   with all of it in the file")
        first = json.loads(view.get("/api/sessions?name=long"))["sessions"][0]
        long = f"/api/session?id={first['id']}&name=long"
        request = with_requests(json.loads(view.get(long)))["requests"][requests // 2]["id"]
        for what, address in {
            "list": "/api/sessions",
            "list, a name": "/api/sessions?name=bench&sort=-duration",
            "list, a search": "/api/sessions?search=u-37&sort=-tokens",
            "list, a window": f"/api/sessions?from={EPOCH / 1e6 + 1e6}&to={EPOCH / 1e6 + 5e6}&page=3",
            "names": "/api/names",
            f"session of {requests}": long,
            "a request of it": f"/api/request?id={request}",
            "it as a file": f"/api/export?id={first['id']}&name=long",
            "file, 20,000 requests": "/api/export?id=longest",
            "CSV, 20,000 requests": "/api/export?id=longest&format=csv",
            "JSON, 20,000 requests": "/api/export?id=longest&format=json",
            "comparison of 50": "/api/compare?name=bench",
        }.items():
            times = []
            for _ in range(7):
                began = time.perf_counter()
                size = len(view.get(address))
                times.append(time.perf_counter() - began)
            middle, most = statistics.median(times) * 1e3, max(times) * 1e3
            print(f"{what:23s} {middle:6.0f} ms   {most:.0f} at most, {size / 1024:.0f} KiB")
        view.stop()


def post(view: Running, body: bytes) -> None:
    """Send spans, and check that the view accepts them."""
    request = urllib.request.Request(f"{view.http}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        intake(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
        if "--intake" not in sys.argv:
            queries(10_000, 5_000)

"""Count the files of the package that a span, a header and a row pass: `python -m tests.walks [--json]`.

A walk is the list of all calls of Python functions of `helicone_otel` while one thing happens: a span starts or ends,
a request gets its headers, or a row is made. Each walk runs twice, each time after a new `configure()`, and the second
run counts: all modules are imported by then, but the span is still the first of its kind.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple, Self
from unittest import mock

import urllib3
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import helicone_otel
from helicone_otel import Settings, configure, session
from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.server import FakeHelicone

PACKAGE: Final = str(Path(helicone_otel.__file__).parent) + os.sep
# The walk of a row ends when its encoder returns.
ENCODER: Final = "log/rows/encode.py"
# No part of any walk: the sender of rows, what Python asks at an import, and the servers that stand in for Helicone.
LEFT_OUT: Final = ("log/delivery/", "install/imports.py", "tools/")
KEY: Final = "sk-helicone-testing-fixture-nothing-private"
SCOPE: Final = "opentelemetry.instrumentation.genai.openai"
LLM: Final = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.request.temperature": 0.1,
    "gen_ai.request.max_tokens": 512,
}
_PORTO: Final = '[{"role":"assistant","parts":[{"type":"text","content":"Porto."}],"finish_reason":"stop"}]'
ANSWER: Final = {
    "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Where to?"}]}]',
    "gen_ai.output.messages": _PORTO,
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.response.model": "gpt-5-2026-01-01",
}
_COMPREHENSIONS: Final = {"<listcomp>", "<setcomp>", "<dictcomp>"}  # no calls since Python 3.12
_TIMEOUT: Final = 60.0
# In milliseconds: the log makes rows after this time.
_AT_ONCE: Final = {"OTEL_BSP_SCHEDULE_DELAY": "1"}


class Walk:
    """The calls of package functions while a block runs, in this thread and in threads that start in the block.

    Args:
        until: The walk ends when this code is called, which belongs to another package.
        encoded: The walk ends when the encoder of rows returns.

    Attributes:
        calls: The file and the function of each call, in order.
        over: Is set when the walk has ended.
    """

    def __init__(self, until: CodeType | None = None, *, encoded: bool = False) -> None:
        self.calls: list[tuple[str, str]] = []
        self.over = threading.Event()
        self._until, self._encoded = until, encoded

    def __enter__(self) -> Self:
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)
        self.over.set()

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if self.over.is_set() or event not in {"call", "return"}:
            return
        code = frame.f_code
        if event == "call" and code is self._until:
            self.over.set()
        if not code.co_filename.startswith(PACKAGE) or code.co_name in _COMPREHENSIONS:
            return
        file = code.co_filename.removeprefix(PACKAGE).replace(os.sep, "/")
        if event == "return":
            if self._encoded and file == ENCODER and not _is_called_by(frame, ENCODER):
                self.over.set()
        elif not file.startswith(LEFT_OUT):
            self.calls.append((file, code.co_qualname))

    @property
    def files(self) -> list[str]:
        """The distinct files, in the order of their first calls."""
        return list(dict.fromkeys(file for file, _ in self.calls))

    @property
    def moves(self) -> int:
        """How many calls are in another file than the call before them."""
        return sum(before != after for (before, _), (after, _) in pairwise(self.calls))


def _is_called_by(frame: FrameType, file: str) -> bool:
    caller = frame.f_back
    return caller is not None and caller.f_code.co_filename == PACKAGE + file.replace("/", os.sep)


class Walks(NamedTuple):
    """The walks that have a budget, or a description of each."""

    start: Any
    end: Any
    next_start: Any
    next_end: Any
    header: Any
    row: Any


DESCRIPTIONS: Final = Walks(
    start="first span of its kind in a session: start",
    end="first span of its kind in a session: end",
    next_start="second span of its kind: start",
    next_end="second span of its kind: end",
    header="first header by a transport hook, from the hook to the HTTP client's own method",
    row="one LLM row, from the end of the span to the encoded row",
)


def walks() -> Walks:
    """Do all walks twice, the first time to import everything, and return the second ones."""
    for _ in range(2):
        found = Walks(*_spans(), _header(), _row())
    return found


@contextlib.contextmanager
def _installed(**settings: Any) -> Iterator[trace.Tracer]:
    """Install the library and open a session; yield the tracer of an instrumentation of LLM calls."""
    provider = TracerProvider(shutdown_on_exit=False)
    handle = configure(Settings(**settings), provider=provider)
    try:
        with session("Trip Planning", id="trip-42"):
            yield provider.get_tracer(SCOPE)
    finally:
        provider.shutdown()
        handle.uninstall()


def _spans() -> list[Walk]:
    """Start and end the first two LLM spans of a session."""
    found = []
    with _installed() as tracer:
        for _ in range(2):
            with Walk() as start:
                span = tracer.start_span("chat gpt-5", kind=trace.SpanKind.CLIENT, attributes=LLM)
            with Walk() as end:
                span.end()
            found += [start, end]
    return found


def _header() -> Walk:
    """Send the first request of an LLM call to a gateway; the walk ends when the hook calls urllib3's own method."""
    send = urllib3.HTTPConnectionPool._make_request.__code__
    with serving(FakeHelicone()) as gateway, _installed(gateway_hosts=(gateway.url.removeprefix("http://"),)) as tracer:
        with tracer.start_as_current_span("chat gpt-5", kind=trace.SpanKind.CLIENT, attributes=LLM):
            with urllib3.PoolManager() as pool, Walk(send) as walk:
                pool.request("POST", f"{gateway.url}/v1/chat/completions", json={"model": "gpt-5", "messages": []})
        (request,) = gateway.requests("gateway")
    assert request.header("Helicone-Session-Id") == "trip-42"
    return walk


def _row() -> Walk:
    """End the span of an LLM call that bypasses gateways; the walk ends when its row is encoded."""
    with serving(FakeHelicone()) as helicone, mock.patch.dict(os.environ, _AT_ONCE):
        with _installed(log=True, api_key=KEY, log_endpoint=helicone.url) as tracer:
            span = tracer.start_span("chat gpt-5", kind=trace.SpanKind.CLIENT, attributes=LLM)
            span.set_attributes(ANSWER)
            with Walk(encoded=True) as walk:
                span.end()
                assert walk.over.wait(_TIMEOUT)
        (row,) = helicone.rows
    assert row.session_id == "trip-42"
    return walk


def main() -> None:
    """Print all walks."""
    found = walks()
    if "--json" in sys.argv:
        print(json.dumps({name: [len(walk.calls), walk.files] for name, walk in found._asdict().items()}))
        return
    for description, walk in zip(DESCRIPTIONS, found, strict=True):
        print(f"{description}\n  {len(walk.calls)} calls, {len(walk.files)} files, {walk.moves} moves between files")
        print("".join(f"    {file}\n" for file in walk.files))


if __name__ == "__main__":
    main()

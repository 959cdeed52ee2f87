"""A mixed load for some seconds: `python soak.py SECONDS`; prints what was made and what it took, as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from openai import OpenAI, OpenAIError
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import helicone_otel
from helicone_otel import data, session, step, tool, vector_query
from helicone_otel.failures import swallowed

END = time.monotonic() + float(sys.argv[1])
THREADS = 6
# Seconds between two pieces of work of a thread.
PAUSE = 0.05
CLIENT = trace.SpanKind.CLIENT
SDK = "opentelemetry.instrumentation.genai.openai"
FRAMEWORK = "opentelemetry.instrumentation.langchain"
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5"}
SAID = {"gen_ai.input.messages": json.dumps([{"role": "user", "content": "Where to? " * 100}])}

provider = TracerProvider()
trace.set_tracer_provider(provider)
helicone_otel.configure()
made: Counter[str] = Counter()


def logged_by_hand() -> int:
    with tool("search"), vector_query("guides", system="qdrant"):
        pass
    with suppress(ZeroDivisionError), step("rank"), data("rerank"):
        raise ZeroDivisionError
    return 3


def called_directly() -> int:
    with trace.get_tracer(SDK).start_as_current_span("chat gpt-5", attributes=CHAT | SAID, kind=CLIENT) as span:
        span.set_attribute("gen_ai.usage.input_tokens", 7)
    return 1


def called_by_a_framework() -> int:
    """Make three calls at the same time, each with a span beside it that tells of it, too."""
    framework, sdk = trace.get_tracer(FRAMEWORK), trace.get_tracer(SDK)
    around = [framework.start_span("ChatOpenAI.chat", attributes=CHAT) for _ in range(3)]
    calls = [sdk.start_span("chat gpt-5", attributes=CHAT | SAID, kind=CLIENT) for _ in around]
    for number, (call, wrapper) in enumerate(zip(calls, reversed(around), strict=True)):
        answer = f"{threading.get_ident()}-{time.time_ns()}-{number}"
        for span in (call, wrapper):
            span.set_attribute("gen_ai.response.id", answer)
        call.end()
    for wrapper in around:
        wrapper.end()
    return len(calls)


def called_by_a_gateway() -> int:
    with suppress(OpenAIError), OpenAI(base_url=os.environ["GATEWAY"], api_key="sk-1", max_retries=0) as client:
        client.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Where to?"}])
    return 0


WORK: tuple[Callable[[], int], ...] = (logged_by_hand, called_directly, called_by_a_framework, called_by_a_gateway)


def run(thread: int) -> None:
    chance = random.Random(thread)
    number = 0
    while time.monotonic() < END:
        number += 1
        with session("Soak", id=f"s-{thread}-{number}"), step("plan"):
            made[str(thread)] += chance.choice(WORK)()
        time.sleep(PAUSE)


async def run_tasks() -> None:
    async def one(number: int) -> int:
        with session("Soak", id=f"a-{number}"), tool("search"):
            await asyncio.sleep(PAUSE)
        return 1

    number = 0
    while time.monotonic() < END:
        made["tasks"] += sum(await asyncio.gather(*(one(number + n) for n in range(5))))
        number += 5


def megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
threads.append(threading.Thread(target=lambda: asyncio.run(run_tasks())))
for each in threads:
    each.start()
memory = []
while any(each.is_alive() for each in threads):
    memory.append(megabytes())
    time.sleep(0.5)
flushed = provider.force_flush(300_000)
print(
    json.dumps(
        {
            "made": made.total(),
            "flushed": flushed,
            "memory": memory,
            "threads": threading.active_count(),
            "swallowed": swallowed(),
        }
    )
)

"""Helicone's own published clients against the fake, which must make the rows that Helicone makes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from helicone_otel.testing import FakeHelicone
from tests.support.environments import Environments

pytestmark = pytest.mark.slow

# https://pypi.org/project/helicone-helpers/
MANUAL = """
    import asyncio, os
    from helicone_helpers import HeliconeManualLogger

    HEADERS = {"Helicone-Session-Id": "s-1", "Helicone-Session-Name": "Trip", "Helicone-Property-Env": "Test"}
    logger = HeliconeManualLogger(os.environ["KEY"], headers=HEADERS, logging_endpoint=os.environ["URL"])

    def log(request, response, path, provider=None):
        headers = {"Helicone-Session-Path": path}
        logger.log_request(request, lambda recorder: recorder.append_results(response), headers, provider)

    log({"_type": "vector_db", "operation": "search", "text": "x"}, {"status": "success", "matches": []}, "/vector")
    log({"_type": "tool", "toolName": "get_weather", "input": {}}, {"status": "success"}, "/tool")
    log({"_type": "data", "name": "rerank"}, {"status": "success"}, "/data")
    chat = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
    log(chat, {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}, "/chat", "openai")

    async def stream():
        builder = logger.log_builder({**chat, "stream": True}, {"Helicone-Session-Path": "/stream"})
        builder.add_chunk('data: {"model": "m", "choices": []}')
        await builder.send_log()

    asyncio.run(stream())
    HeliconeManualLogger("sk-short", logging_endpoint=os.environ["URL"]).send_log(
        None, chat, {}, {"start_time": 1, "end_time": 2}
    )
"""

# https://pypi.org/project/helicone-async/
TRACED = """
    import os
    from helicone_async import HeliconeAsyncLogger
    from opentelemetry import trace
    from traceloop.sdk import Traceloop

    logger = HeliconeAsyncLogger(api_key=os.environ["KEY"], base_url=os.environ["URL"] + "/v1/trace/log-python")
    logger.init()
    logger.set_properties({
        "Helicone-Session-Id": "s-1", "Helicone-Session-Path": "/plan", "Helicone-Session-Name": "Trip",
        "Helicone-Property-Env": "Test", "Helicone-User-Id": "u-17",
    })
    with trace.get_tracer("t").start_as_current_span("chat") as span:
        span.set_attribute("gen_ai.system", "OpenAI")
        span.set_attribute("gen_ai.response.model", "gpt-4o-mini")
"""


# Fixed versions: pip would need five minutes to find them.
ASYNC = (
    "helicone-async~=1.1",
    "traceloop-sdk==0.33.12",
    "opentelemetry-sdk==1.28.2",
    "opentelemetry-instrumentation-logging==0.49b2",
    "protobuf==5.29.6",
)


def run(fake: FakeHelicone, folder: Path, code: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
    environ |= {"PYTHONPATH": str(folder), "URL": fake.url, "KEY": fake.key, "TRACELOOP_TELEMETRY": "false"}
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_fake_understands_the_manual_logger(fake: FakeHelicone, environments: Environments) -> None:
    said = run(fake, environments.copy("helicone-helpers", ["helicone-helpers~=1.2"]), MANUAL)

    assert [(row.session_path, row.provider, row.model, row.badge) for row in fake.rows] == [
        ("/vector", "CUSTOM", "vector_db", "VectorDB"),
        ("/tool", "CUSTOM", "tool:get_weather", "Tool"),
        # The client does not repeat the name in the response, so Helicone shows this.
        ("/data", "CUSTOM", "data:undefined", "Data"),
        # Nor the model, and Helicone looks for that of the request at the top level of the POST.
        ("/chat", "OPENAI", "", "LLM"),
        ("/stream", "CUSTOM", "m", "LLM"),
    ]
    assert {(row.session_id, row.session_name, row.properties["env"]) for row in fake.rows} == {("s-1", "Trip", "Test")}
    chat, stream = fake.rows[3:]
    assert (chat.prompt_tokens, chat.completion_tokens, chat.time_to_first_token) == (3, 1, 0)
    assert stream.time_to_first_token is not None
    assert said.startswith("Error making request to Helicone log endpoint:")


def test_the_fake_understands_spans_of_the_async_logger(fake: FakeHelicone, environments: Environments) -> None:
    run(fake, environments.copy("helicone-async", ASYNC), TRACED)

    [row] = fake.rows
    assert (row.door, row.provider, row.model, row.user_id) == ("otlp", "OPENAI", "gpt-4o-mini", "u-17")
    assert row.properties == {
        "Helicone-Session-Id": "s-1",
        "Helicone-Session-Path": "/plan",
        "Helicone-Session-Name": "Trip",
        "Env": "Test",
    }

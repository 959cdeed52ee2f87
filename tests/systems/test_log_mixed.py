"""An agent with all kinds of calls has one row for each operation of the provider, the database and the tools."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest
from opentelemetry.instrumentation import httpx as http

from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.requests import Trouble
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support.launching import base_environ
from tests.support.paths import TESTS
from tests.support.raw_http import listening

pytest.importorskip("qdrant_client")
AGENT = TESTS / "apps" / "mixed.py"
# Calls that bypass the gateway: a plain one, a stream, and three at the same time.
DIRECT = {"llm": 5, "embedding": 1}
SERVICE = {"llm": 2, "embedding": 1}


@pytest.mark.parametrize(
    "instrumented",
    [
        pytest.param("", id="no HTTP instrumentation", marks=pytest.mark.slow),
        pytest.param(
            "yes",
            id="HTTP instrumentation",
            marks=pytest.mark.skipif(
                not hasattr(http, "HTTPX2ClientInstrumentor"), reason="this instrumentation knows no httpx2"
            ),
        ),
    ],
)
def test_a_mixed_agent_has_one_row_for_each_operation(instrumented: str) -> None:
    with serving(FakeHelicone()) as fake, listening() as direct, listening() as service:
        # The last two calls to the gateway fail at first: one is retried, the other is not.
        fake.troubles.next(
            *[Trouble()] * 6,
            Trouble(status=429, headers={"Retry-After": "0"}),
            Trouble(),
            Trouble(status=429),
            door="gateway",
        )
        done = subprocess.run(
            [sys.executable, AGENT],
            env={
                **base_environ("none"),
                "GATEWAY": fake.url,
                "DIRECT": direct.url,
                "SERVICE": service.url,
                "HTTP": instrumented,
                "OPENAI_API_KEY": "sk-1",
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
                "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
                "HELICONE_GATEWAY_HOSTS": fake.url.removeprefix("http://"),
                "HELICONE_PROPAGATE_HOSTS": service.netloc,
                "HELICONE_LOG": "true",
                "HELICONE_API_KEY": fake.key,
                "HELICONE_LOG_ENDPOINT": fake.url,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        rows = [row for row in fake.rows if row.door == "log"]

        assert len(direct.heads) == sum(DIRECT.values())
        assert len(service.heads) == sum(SERVICE.values())
        assert len(fake.requests("gateway")) == 9
        assert seen == {"vector_db": 3, "tool": 3, "rerank": 1, "guardrail": 1, "data": 1, "refused": 1}
        assert Counter(row.badge for row in rows) == {
            "LLM": len(direct.heads) + len(service.heads),
            "VectorDB": seen["vector_db"],
            "Tool": seen["tool"],
            "Data": seen["rerank"] + seen["guardrail"] + seen["data"],
        }
        assert {row.sends for row in rows} == {1}
        assert {(row.session_id, row.session_name) for row in fake.rows if row.properties} == {
            ("trip-42", "Trip Planning")
        }
        assert sorted(row.session_path for row in rows if row.badge != "LLM") == [
            "/bill",
            "/check",
            "/order",
            "/research/broken",
            "/research/query_points",
            "/research/search",
            "/research/trains",
            "/research/upsert",
            "/research/weather",
        ]
        assert {row.session_path for row in rows if row.badge == "LLM"} == {"/models"}
        assert [row.session_path for row in rows if row.failed] == ["/research/broken"]
        assert [flaw for row in rows for flaw in row.flaws] == []
        # No call has a row of the gateway and a row of the log.
        assert len({row.id for row in fake.rows}) == len(fake.rows)

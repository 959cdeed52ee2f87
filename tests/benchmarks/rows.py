"""What it costs to build and encode a row of Helicone's log from a span that has ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from helicone_otel.log.rows.content import Content
from helicone_otel.log.rows.encode import encoded
from helicone_otel.log.rows.row import row_of
from helicone_otel.log.rows.types import FinishedSpan
from tests.benchmarks.timing import Measurement, Sample, Variant, take_turns

# Messages as long as those of agents.
_SYSTEM: Final = "You plan trips for families. Answer in short paragraphs, and never invent a price. " * 4
_QUESTION: Final = "Plan three days in Oslo in March for two adults and a child, with little money. " * 2
_ANSWER: Final = "Day one: the fortress in the morning, the opera's roof at noon, and a swim by the harbour. " * 8
_LABEL: Final = {
    "helicone.session.id": "5f1c0c0e-6d0f-4d3a-9a55-2b1f6a0d7a11",
    "helicone.session.path": "/plan/draft",
    "helicone.session.name": "Trip planner",
    "helicone.request.id": "0d9a4c1e-33f0-5c0b-8a57-5a2f1f0e9c44",
    "session.id": "5f1c0c0e-6d0f-4d3a-9a55-2b1f6a0d7a11",
    "user.id": "u-17",
}
_CHAT: Final = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "server.address": "api.openai.com",
    "server.port": 443,
    "gen_ai.request.temperature": 0.2,
    "gen_ai.request.max_tokens": 500,
    "gen_ai.response.finish_reasons": ("stop",),
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 312,
    "gen_ai.usage.output_tokens": 185,
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "system", "parts": [{"type": "text", "content": _SYSTEM}]},
            {"role": "user", "parts": [{"type": "text", "content": _QUESTION}]},
        ]
    ),
    "gen_ai.output.messages": json.dumps(
        [{"role": "assistant", "parts": [{"type": "text", "content": _ANSWER}], "finish_reason": "stop"}]
    ),
    "openai.response.service_tier": "default",
    "openai.response.system_fingerprint": "fp_1",
}
_TOOL: Final = {
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "get_weather",
    "gen_ai.tool.type": "function",
    "gen_ai.tool.call.id": "call_1",
    "gen_ai.tool.call.arguments": '{"city": "Oslo"}',
    "gen_ai.tool.call.result": '{"temp_c": 4, "wind": "fresh", "sky": "clear"}',
}
_QUERY: Final = {
    "db.system.name": "faiss",
    "db.operation.name": "search",
    "db.collection.name": "docs",
    "gen_ai.retrieval.query.text": "visa rules",
    "gen_ai.retrieval.top_k": 3,
    "db.response.returned_rows": 3,
    "gen_ai.retrieval.documents": json.dumps(
        [{"id": f"d{number}", "score": 0.9 - number / 10, "content": _QUESTION} for number in range(3)]
    ),
}
_SPANS: Final[Mapping[str, Mapping[str, object]]] = {"llm": _CHAT, "tool": _TOOL, "vector_db": _QUERY}
_BUDGET: Final = 60.0


def rows() -> list[Measurement]:
    """Measure the rows of an LLM call, a tool call and a vector query."""
    measured = take_turns({kind: building(kind) for kind in _SPANS})
    return [
        Measurement(f"a row of kind {kind}, built and encoded", "µs", Sample.of(measured[kind]), None, "", _BUDGET)
        for kind in _SPANS
    ]


def _span(kind: str, attributes: Mapping[str, object]) -> FinishedSpan:
    label = {**_LABEL, "helicone.span.kind": kind}
    return FinishedSpan(
        "a span", "a.scope", {**attributes, **label}, (), 1_760_000_000 * 10**9, 1_760_000_001 * 10**9, False, ""
    )


def building(kind: str = "llm") -> Variant:
    """Return a variant that builds and encodes the row of a span of a kind."""
    span, content = _span(kind, _SPANS[kind]), Content()

    def prepare(repetitions: int) -> Callable[[], object]:
        def work() -> None:
            for _ in range(repetitions):
                row = row_of(span, content)
                assert row is not None
                encoded(row)

        return work

    return prepare

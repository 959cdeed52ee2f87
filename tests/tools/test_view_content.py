"""The view's reading of rows in the forms that Helicone's pages read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from helicone_otel.tools.view.content import content_of
from tests.support import logged

TALK = {
    "gen_ai.input.messages": json.dumps(
        [
            {"role": "user", "content": "Weather?"},
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": "c-1", "name": "f", "arguments": {"city": "Oslo"}}],
            },
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c-1", "response": "4 degrees"}]},
        ]
    ),
    "gen_ai.output.messages": json.dumps([{"role": "assistant", "content": "Cold."}]),
}


def parts_of(kind: str, attributes: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return side and content of each part of the messages that the view shows of a row."""
    messages = content_of(logged.row(kind, attributes).body).messages or []
    keys = ("text", "arguments", "result")
    return [(one["from"], next(part[key] for key in keys if key in part)) for one in messages for part in one["parts"]]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("azure.ai.openai", "gpt-4o"),
        ("anthropic", "claude-3"),
        ("gcp.vertex_ai", "claude-3"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("aws.bedrock", "eu.anthropic.claude-3"),
        ("aws.bedrock", "claude-3"),
        ("xai", "grok-4"),
    ],
)
@pytest.mark.parametrize("api", ["chat", "responses"])
def test_both_sides_of_a_call_are_shown_once(provider: str, model: str, api: str) -> None:
    named = {"gen_ai.provider.name": provider, "gen_ai.request.model": model, "openai.api.type": api}

    assert parts_of("llm", {**TALK, **named}) == [
        ("input", "Weather?"),
        ("input", {"city": "Oslo"}),
        # Gemini has results of tools in objects.
        ("input", {"result": "4 degrees"} if provider == "gcp.gemini" else "4 degrees"),
        ("output", "Cold."),
    ]


def test_a_completion_of_the_time_before_chats_is_shown() -> None:
    named = {"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-3.5-turbo-instruct"}
    talk = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Say hi.", "gen_ai.completion.0.content": "hi"}

    assert parts_of("llm", {**talk, **named}) == [("input", "Say hi."), ("output", "hi")]


def test_an_embedding_that_helicone_reads_as_a_chat_is_shown_once() -> None:
    attributes = {
        "gen_ai.provider.name": "cohere",
        "gen_ai.request.model": "embed-v4.0",
        "input.value": "visa rules",
        "embedding.embeddings.0.embedding.vector": (0.25, 0.5),
    }

    assert parts_of("embedding", attributes) == [
        ("input", "visa rules"),
        ("output", "Embedding 0: [0.250000, 0.500000...]"),
    ]

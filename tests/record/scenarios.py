"""The calls that are recorded. They run in an environment with the clients and without helicone-otel."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

from opentelemetry import trace

from tests.record.frameworks import FRAMEWORKS

_ASKED = [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Say hi"}]
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
_GPT = "gpt-4o-mini"
_CLAUDE = "claude-sonnet-4-5"


def openai(url: str) -> dict[str, Callable[[], Any]]:
    """Return calls of OpenAI's client by their names."""
    from openai import AsyncOpenAI, OpenAI

    settings: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": "none", "max_retries": 0}
    client = OpenAI(**settings)
    chat, responses = client.chat.completions.create, client.responses.create
    function = {"name": "get_weather", "description": "Weather", "parameters": _SCHEMA}

    def under_user_span() -> None:
        with trace.get_tracer("user.app").start_as_current_span("plan trip", attributes={"app.step": "plan"}):
            chat(model=_GPT, messages=_ASKED)

    async def asynchronous() -> None:
        client = AsyncOpenAI(**settings)
        await client.chat.completions.create(model=_GPT, messages=_ASKED)
        async for _ in await client.chat.completions.create(model=_GPT, messages=_ASKED, stream=True):
            pass
        await client.embeddings.create(model="text-embedding-3-small", input="a trip")

    return {
        "chat": lambda: chat(model=_GPT, messages=_ASKED, temperature=0.2, max_tokens=50, user="u-1"),
        "chat_under_user_span": under_user_span,
        "chat_stream": lambda: list(
            chat(model=_GPT, messages=_ASKED, stream=True, stream_options={"include_usage": True})
        ),
        "chat_tools": lambda: chat(model=_GPT, messages=_ASKED, tools=[{"type": "function", "function": function}]),
        "chat_error": lambda: chat(model="boom", messages=_ASKED),
        "embeddings": lambda: client.embeddings.create(model="text-embedding-3-small", input="a trip"),
        "responses": lambda: responses(model=_GPT, input="Say hi", instructions="terse"),
        "responses_conversation": lambda: responses(model=_GPT, input="Say hi", conversation="conv_123"),
        "responses_stream": lambda: list(responses(model=_GPT, input="Say hi", stream=True)),
        "moderations": lambda: client.moderations.create(input="Say hi"),
        "async": asynchronous,
        "raw_response": lambda: client.chat.completions.with_raw_response.create(model=_GPT, messages=_ASKED).parse(),
    }


def anthropic(url: str) -> dict[str, Callable[[], Any]]:
    """Return calls of Anthropic's client by their names."""
    from anthropic import Anthropic, AsyncAnthropic

    settings: dict[str, Any] = {"base_url": url, "api_key": "none", "max_retries": 0}
    create, stream = (messages := Anthropic(**settings).messages).create, messages.stream
    call: dict[str, Any] = {"model": _CLAUDE, "max_tokens": 64, "messages": _ASKED[1:]}
    tool = {"name": "get_weather", "description": "Weather", "input_schema": _SCHEMA}

    def managed() -> None:
        with stream(**call) as events:
            for _ in events.text_stream:
                pass

    async def asynchronous() -> None:
        client = AsyncAnthropic(**settings)
        await client.messages.create(**call)
        async with client.messages.stream(**call) as events:
            async for _ in events.text_stream:
                pass

    return {
        "messages": lambda: create(**call, system="terse"),
        "messages_tools": lambda: create(**call, tools=[tool]),
        "messages_create_stream": lambda: list(create(**call, stream=True)),
        "messages_stream_manager": managed,
        "messages_error": lambda: create(**{**call, "model": "boom", "max_tokens": 5}),
        "async": asynchronous,
    }


def bedrock(url: str) -> dict[str, Callable[[], Any]]:
    """Return calls of Bedrock's clients by their names."""
    import boto3

    def client(service: str) -> Any:
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="none",
            aws_secret_access_key="none",  # no secret
        )

    models, agents = client("bedrock-runtime"), client("bedrock-agent-runtime")
    asked = [{"role": "user", "content": [{"text": "Say hi"}]}]

    def embed() -> None:
        body = json.dumps({"inputText": "a trip"})
        models.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)["body"].read()

    def under_user_span() -> None:
        with trace.get_tracer("user.app").start_as_current_span("plan trip"):
            models.converse(modelId="anthropic.claude-sonnet-4-5-v1:0", messages=asked)
            agents.retrieve(knowledgeBaseId="TRIPS12345", retrievalQuery={"text": "a trip"})

    return {
        "converse": lambda: models.converse(modelId="anthropic.claude-sonnet-4-5-v1:0", messages=asked),
        "embed": embed,
        "under_user_span": under_user_span,
        "guardrail": lambda: models.apply_guardrail(
            guardrailIdentifier="rail", guardrailVersion="1", source="INPUT", content=[{"text": {"text": "Say hi"}}]
        ),
    }


PROGRAMS = {"openai": openai, "anthropic": anthropic, "bedrock": bedrock, **FRAMEWORKS}


def run(scenario: Callable[[], Any]) -> str | None:
    """Run a scenario and return its error, which some scenarios provoke."""
    try:
        if inspect.iscoroutinefunction(scenario):
            asyncio.run(scenario())
        else:
            scenario()
    except Exception as error:  # noqa: BLE001  # whatever the client raises
        return f"{type(error).__name__}: {error}"
    return None

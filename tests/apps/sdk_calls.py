"""Make one call with an LLM SDK: `python sdk_calls.py mistralai URL HOSTS yes|no`.

It prints the HTTP clients whose hook the request passed, the spans with their paths, and the ids of rows on spans.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from helicone_otel import Settings, configure, session, step
from helicone_otel.http.clients import HOOKS, Hook
from helicone_otel.install import patches

QUESTION = {"role": "user", "content": "Where to?"}
KEY = "sk-test"
# The scope of a span around each call, as an instrumentation of the SDK would make it.
CALL = "opentelemetry.instrumentation.genai.openai"


def openai(url: str) -> None:
    from openai import OpenAI

    OpenAI(base_url=f"{url}/v1", api_key=KEY).chat.completions.create(model="m", messages=[QUESTION])


async def openai_async(url: str) -> None:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY)
    await client.chat.completions.create(model="m", messages=[QUESTION])


async def openai_aiohttp(url: str) -> None:
    from openai import AsyncOpenAI, DefaultAioHttpClient

    async with DefaultAioHttpClient() as http:
        client = AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, http_client=http)
        await client.chat.completions.create(model="m", messages=[QUESTION])


def anthropic(url: str) -> None:
    from anthropic import Anthropic

    Anthropic(base_url=url, api_key=KEY).messages.create(model="m", messages=[QUESTION], max_tokens=8)


async def anthropic_async(url: str) -> None:
    from anthropic import AsyncAnthropic

    await AsyncAnthropic(base_url=url, api_key=KEY).messages.create(model="m", messages=[QUESTION], max_tokens=8)


def google_genai(url: str) -> None:
    from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": url})
    assert client.models.generate_content(model="gemini-m", contents="Where to?").text == "OK"


async def google_genai_async(url: str) -> None:
    from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": url})
    assert (await client.aio.models.generate_content(model="gemini-m", contents="Where to?")).text == "OK"


def mistralai(url: str) -> None:
    from mistralai.client import Mistral

    answer = Mistral(api_key=KEY, server_url=url).chat.complete(model="m", messages=[QUESTION])
    assert answer.choices[0].message.content == "OK"


async def mistralai_async(url: str) -> None:
    from mistralai.client import Mistral

    answer = await Mistral(api_key=KEY, server_url=url).chat.complete_async(model="m", messages=[QUESTION])
    assert answer.choices[0].message.content == "OK"


def cohere(url: str) -> None:
    from cohere import ClientV2

    answer = ClientV2(api_key=KEY, base_url=url).chat(model="m", messages=[QUESTION])
    assert answer.message.content[0].text == "OK"


async def cohere_async(url: str) -> None:
    from cohere import AsyncClientV2

    answer = await AsyncClientV2(api_key=KEY, base_url=url).chat(model="m", messages=[QUESTION])
    assert answer.message.content[0].text == "OK"


def litellm(url: str) -> None:
    from litellm import completion

    completion(model="openai/m", messages=[QUESTION], api_base=f"{url}/v1", api_key=KEY)


async def litellm_async(url: str) -> None:
    from litellm import acompletion

    await acompletion(model="openai/m", messages=[QUESTION], api_base=f"{url}/v1", api_key=KEY)


def ollama(url: str) -> None:
    from ollama import Client

    assert Client(host=url).chat(model="m", messages=[QUESTION]).message.content == "OK"


async def ollama_async(url: str) -> None:
    from ollama import AsyncClient

    assert (await AsyncClient(host=url).chat(model="m", messages=[QUESTION])).message.content == "OK"


def boto3(url: str) -> None:
    import boto3 as sdk

    client = sdk.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    )
    answer = client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "Where to?"}]}])
    assert answer["output"]["message"]["content"][0]["text"] == "OK"


INSTRUMENTORS = {
    "httpx": ("HTTPXClientInstrumentor", "HTTPX2ClientInstrumentor"),
    "requests": ("RequestsInstrumentor",),
    "urllib3": ("URLLib3Instrumentor",),
    "aiohttp_client": ("AioHttpClientInstrumentor",),
    "urllib": ("URLLibInstrumentor",),
    "botocore": ("BotocoreInstrumentor",),
}


def instrument() -> None:
    """Instrument all HTTP clients that are installed, as `opentelemetry-instrument` does."""
    for module, names in INSTRUMENTORS.items():
        for name in names:
            try:
                getattr(importlib.import_module(f"opentelemetry.instrumentation.{module}"), name)().instrument()
            except ImportError:  # this SDK does not need the client
                continue


def noting(hook: Hook, sent_by: list[str]) -> Hook:
    """Return a hook that notes its client when a request passes it."""

    def make(registry: Any, send: Callable[..., Any]) -> Callable[..., Any]:
        if hook.method == "start":
            return hook.make(registry, send)  # it reads an answer

        @functools.wraps(send)
        def noted(*args: Any, **kwargs: Any) -> Any:
            sent_by.append(hook.module)
            return send(*args, **kwargs)

        return hook.make(registry, noted)

    return Hook(hook.module, hook.owner, hook.method, make, hook.instead)


def main(call: str, url: str, hosts: str, instrumented: str) -> None:
    """Make the call in a session, and print clients and spans."""
    sent_by: list[str] = []
    patches.HOOKS = tuple(noting(hook, sent_by) for hook in HOOKS)
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    configure(Settings(gateway_hosts=tuple(hosts.split(","))))
    if instrumented == "yes":
        instrument()
    asked = provider.get_tracer(CALL).start_as_current_span("chat m", attributes={"gen_ai.operation.name": "chat"})
    with session("Ours", id="ours"), step("ours"), asked:
        made = globals()[call](url)
        if made is not None:
            asyncio.run(made)
    ids = [(span.attributes or {}).get("helicone.request.id") for span in exporter.get_finished_spans()]
    spans = [
        (span.instrumentation_scope.name, (span.attributes or {}).get("helicone.session.path"))
        for span in exporter.get_finished_spans()
        if span.instrumentation_scope and span.instrumentation_scope.name != CALL
    ]
    print(json.dumps({"sent_by": sent_by, "spans": spans, "ids": [one for one in ids if one]}))


if __name__ == "__main__":
    main(*sys.argv[1:])

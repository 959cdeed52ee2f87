"""What a request's span tells of its call: model, provider, tokens, time to the first token."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/, what came before, OpenInference's, Langfuse's.
_MODELS: Final = (
    "gen_ai.request.model",
    "gen_ai.response.model",
    "llm.model_name",
    "llm.request.model_name",
    "llm.response.model_name",
    "embedding.model_name",
    "reranker.model_name",
    "langfuse.observation.model.name",
)
_PROVIDERS: Final = (
    "gen_ai.provider.name",
    "gen_ai.system",
    "llm.provider",
    "llm.system",
    "db.system.name",
    "db.system",
)
_INPUT_TOKENS: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT_TOKENS: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
# In seconds.
_FIRST_TOKEN: Final = (
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.server.time_to_first_token",
    "gen_ai.client.operation.time_to_first_chunk",
)
# Events at the first piece of a streamed answer: OpenLLMetry's and OpenInference's.
_FIRST_TOKEN_EVENTS: Final = frozenset(
    {"gen_ai.content.completion.chunk", "llm.content.completion.chunk", "First Token Stream Event"}
)
_CALLS: Final = frozenset({"llm", "embedding"})
_MAX_NAME: Final = 256
# More tokens than any model takes: what says so is mistaken.
_MAX_TOKENS: Final = 10**12
_MAX_SECONDS: Final = 10**6


class Call(NamedTuple):
    """What is known of a call; `ttft` is in nanoseconds."""

    name: str
    model: str | None
    provider: str | None
    ttft: int | None
    input_tokens: int | None
    output_tokens: int | None


def call_of(data: bytes, kind: str, segment: str, attributes: Mapping[str, Any]) -> Call:
    """Return what a span tells of its call.

    Args:
        data: OTLP's Span, encoded.
        kind: What it is.
        segment: What it is called where it is no call of a model.
        attributes: Its attributes, as plain values.
    """
    model = _text(attributes, _MODELS)
    return Call(
        name=((model if kind in _CALLS else segment) or segment or kind)[:_MAX_NAME],
        model=model,
        provider=_text(attributes, _PROVIDERS),
        ttft=_first_token(data, attributes),
        input_tokens=_count(attributes, _INPUT_TOKENS),
        output_tokens=_count(attributes, _OUTPUT_TOKENS),
    )


def _text(attributes: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    values = (attributes.get(key) for key in keys)
    return next((value[:_MAX_NAME] for value in values if isinstance(value, str) and value.strip()), None)


def _count(attributes: Mapping[str, Any], keys: Iterable[str]) -> int | None:
    for key in keys:
        try:
            value = int(attributes[key])
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if 0 <= value <= _MAX_TOKENS:
            return value
    return None


def _first_token(data: bytes, attributes: Mapping[str, Any]) -> int | None:
    for key in _FIRST_TOKEN:
        value = attributes.get(key)
        if isinstance(value, int | float) and 0 < value < _MAX_SECONDS:
            return round(value * 1e9)
    if any(name.encode() in data for name in _FIRST_TOKEN_EVENTS):
        span = Span.FromString(data)
        times = [event.time_unix_nano for event in span.events if event.name in _FIRST_TOKEN_EVENTS]
        if times and min(times) >= span.start_time_unix_nano:
            return int(min(times) - span.start_time_unix_nano)
    return None

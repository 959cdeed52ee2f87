"""An LLM call or embedding, as its span tells of it, before it takes a provider's shape."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ...spans.providers import CUSTOM, ENDPOINTS, FRAMEWORKS, MODELS, Endpoint, providers_in
from .facts import SpanFacts
from .jsonread import number, whole
from .messages import Message, Part
from .sources import OTHER_NAMES, PARAMETERS

# Of an object that tells of usage, by the fact: the names at its top, and within its details.
_USAGE: Final = {
    "tokens.input": (("input_tokens", "prompt_tokens", "input", "promptTokenCount"), ()),
    "tokens.output": (("output_tokens", "completion_tokens", "output", "candidatesTokenCount"), ()),
    "tokens.total": (("total_tokens", "total", "totalTokenCount"), ()),
    "tokens.cached": (
        ("cache_read_input_tokens", "input_cached_tokens", "cachedContentTokenCount"),
        (("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens")),
    ),
    "tokens.written": (("cache_creation_input_tokens", "input_cache_creation"), ()),
    "tokens.reasoning": (
        ("output_reasoning_tokens", "thoughtsTokenCount"),
        (("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens")),
    ),
}


class Usage(NamedTuple):
    """Tokens; `None` where it is not known how many.

    Attributes:
        input: Those from the cache and those written to it among them, as OpenTelemetry's conventions have it.
        output: Those of the reasoning among them.
        total: Both.
        cached: Read from the cache.
        written: Written to the cache.
        reasoning: Spent on reasoning.
    """

    input: int | None
    output: int | None
    total: int | None
    cached: int | None
    written: int | None
    reasoning: int | None


def usage_of(told: SpanFacts) -> Usage:
    """Return the tokens of a call, all by one count: not everybody counts those of the cache among the input's."""
    if len(told.each) == 1:
        return _counted(told)
    # The first of those that know most.
    return max(map(_counted, told.each), key=lambda usage: _is_known(usage.input, usage.output))


def _is_known(*counts: int | None) -> int:
    return sum(count is not None for count in counts)


def _counted(told: SpanFacts) -> Usage:
    known = told.tokens()
    if told.knows("usage"):
        objects = [_inside(value) for value in told.all("usage") if isinstance(value, dict)]
        for fact, names in _USAGE.items() if objects else ():
            if known.get(fact) is None:
                known[fact] = _in_objects(objects, *names)
    given, said, total, *more = map(known.get, _USAGE)
    if total is None and given is not None:
        total = given + (said or 0)
    return Usage(given, said, total, *more)


def _inside(value: dict[str, Any]) -> dict[str, Any]:
    return value["usage"] if isinstance(value.get("usage"), dict) else value


def _in_objects(
    objects: list[dict[str, Any]], names: tuple[str, ...], nested: tuple[tuple[str, str], ...]
) -> int | None:
    for told in objects:
        values = [told.get(name) for name in names]
        values += [inner.get(name) for outer, name in nested if isinstance(inner := told.get(outer), dict)]
        for value in values:
            if (found := whole(value)) is not None:
                return found
    return None


_MAX_NAME, _MAX_NAMES = 128, 256
# What OpenLIT writes where nothing was asked for.
_TEXTS: Final = frozenset({"stop", "reasoning_effort", "service_tier", "encoding_format"})
_UNSET: Final = (-1, "", None)


class Failure(NamedTuple):
    """How a call failed."""

    type: str
    message: str
    status: int


class Call(NamedTuple):
    """A call to a model.

    Attributes:
        endpoint: Where it went.
        shape: Whose bodies it has.
        api: Of OpenAI's: `chat` or `responses`; `embeddings`.
        model: The one that was asked.
        answered: The one that answered.
        id: The answer's.
        system: What the model was instructed with.
        messages: What it was told, the system's messages not among them.
        answers: What it said.
        finishes: Why each answer ended.
        tools: Definitions: name, description and schema.
        parameters: By OpenAI's names.
        usage: Tokens.
        vectors: The embeddings.
        failure: How it failed, if it did.
        fingerprint: Of the system that answered.
    """

    endpoint: Endpoint
    shape: str
    api: str
    model: str
    answered: str
    id: str
    system: list[Message]
    messages: list[Message]
    answers: list[Message]
    finishes: list[str]
    tools: list[dict[str, Any]]
    parameters: dict[str, Any]
    usage: Usage
    vectors: list[list[Any]]
    failure: Failure | None
    fingerprint: str

    @property
    def url(self) -> str:
        """The provider's endpoint."""
        url = self.endpoint.urls.get(self.api, "custom-model-nopath")
        return url.replace("{model}", self.model or self.answered)


def call_of(told: SpanFacts, failure: Failure | None) -> Call:
    """Return the call that a span tells of."""
    answered = told.text("model.answered")
    model = told.text("model") or answered
    provider, endpoint = _provider(told, model)
    if "/" in model or "/" in answered:
        model, answered = _bare(model, provider), _bare(answered, provider)
    answer_id = told.text("response.id")
    system, messages = _spoken(told)
    answers = _answered(told)
    return Call(
        endpoint=endpoint,
        shape=_shape(endpoint, model),
        api=_api(told, answer_id),
        model=model,
        answered=answered or model,
        id=answer_id,
        system=system,
        messages=messages,
        answers=answers,
        finishes=_finishes(told, answers),
        tools=told.one("tools") or [],
        parameters=_parameters(told),
        usage=usage_of(told),
        vectors=(told.one("embeddings") or []) if told.kind == "embedding" else [],
        failure=failure,
        fingerprint=told.text("fingerprint"),
    )


def _provider(told: SpanFacts, model: str) -> tuple[str, Endpoint]:
    """Return who was called: as the span says, or if it says nothing, whose model it is."""
    return _endpoint(
        tuple([name[:_MAX_NAME] for name in told.given("provider") if name and isinstance(name, str)]),
        model[:_MAX_NAME],
    )


@lru_cache(_MAX_NAMES)
def _endpoint(names: tuple[str, ...], model: str) -> tuple[str, Endpoint]:
    names = tuple(name for name in names if name.lower() not in FRAMEWORKS)
    known = next((found for name in names if (found := providers_in([name]))), None)
    if known:
        provider = min(known, key=lambda one: (one not in ENDPOINTS, one != "azure", one))
        return provider, ENDPOINTS.get(provider, CUSTOM)
    return ("", CUSTOM) if names else ((maker := _maker(model)), ENDPOINTS.get(maker, CUSTOM))


def _maker(model: str) -> str:
    bare = model.lower().rpartition("/")[2]
    return next((maker for beginning, maker in MODELS if bare.startswith(beginning)), "")


def _shape(endpoint: Endpoint, model: str) -> str:
    if endpoint is not CUSTOM:
        return endpoint.shape
    # Bedrock's Claude takes and gives what Anthropic's does: `eu.anthropic.claude-…`.
    return "anthropic" if "claude" in model.lower() else CUSTOM.shape


def _bare(model: str, provider: str) -> str:
    """Return a model's name without the provider that routers put before it: `openai/gpt-4o`."""
    first, slash, rest = model.partition("/")
    return rest if slash and rest and provider in providers_in([first]) else model


def _api(told: SpanFacts, answer_id: str) -> str:
    if told.kind == "embedding":
        return "embeddings"
    is_response = answer_id.startswith("resp_") or told.text("api") == "responses"
    return "responses" if is_response or told.facts.name == "Response" else "chat"


def _spoken(told: SpanFacts) -> tuple[list[Message], list[Message]]:
    """Return what the system said, and what was said otherwise."""
    messages = told.messages("messages")
    instructions = told.messages("instructions")
    # The conversation may begin with them as well.
    system = [message for message in messages if message.role == "system"]
    said = [message.parts for message in system]
    added = [message for message in instructions if message.parts not in said]
    return [*added, *system], [message for message in messages if message.role != "system"]


def _answered(told: SpanFacts) -> list[Message]:
    answers = told.messages("answers")
    calls: list[Part] = told.one("calls") or []
    if calls and not any(part.kind == "call" for answer in answers for part in answer.parts):
        first = answers[0] if answers else Message("assistant", [])
        return [first._replace(parts=[*first.parts, *calls]), *answers[1:]]
    return answers


def _finishes(told: SpanFacts, answers: list[Message]) -> list[str]:
    said = [answer.finish for answer in answers]
    if any(said):
        return said
    listed = told.one("finish") or []
    return [str(item) for item in (listed if isinstance(listed, list) else [listed])]


def _parameters(told: SpanFacts) -> dict[str, Any]:
    known = told.parameters()
    if told.knows("parameters"):
        known = {**_parameters_in_objects(told), **known}
    if (formats := known.get("encoding_format")) and not isinstance(formats, str):
        known["encoding_format"] = formats[0] if isinstance(formats, list | tuple) else None
    return {name: value for name, value in known.items() if value not in _UNSET and _fits(name, value)}


def _parameters_in_objects(told: SpanFacts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for given in told.all("parameters"):
        if isinstance(given, dict):
            for name, value in given.items():
                found.setdefault(OTHER_NAMES.get(name) or name, value)
    if "stop" in found:
        found["stop"] = told.redacted("parameter.stop", found["stop"])
    return {name: value for name, value in found.items() if name in PARAMETERS}


def _fits(name: str, value: object) -> bool:
    """Tell whether a parameter has a value of its type; Langfuse writes that there is no limit as a text."""
    if name in _TEXTS:
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    return not isinstance(value, str) and number(value) is not None


_UNKNOWN: Final = 500
_LOWEST, _HIGHEST = 400, 599
# How the SDKs of OpenAI and Anthropic begin what they say of an answer.
_IN_MESSAGE: Final = re.compile(r"\AError code: ([45]\d\d)\b|\A([45]\d\d) ")


def failure_of(told: SpanFacts) -> Failure | None:
    """Return how a call failed; `None` if it did not."""
    status = _status(told.one("status"))
    if not told.facts.failed and status is None:
        return None
    exceptions = told.happened("exception")
    last = exceptions[-1] if exceptions else {}
    kind = told.text("error.type") or str(last.get("type") or "")
    message = _message(told, last)
    status = status or _status(kind) or _told_status(_reason(told)) or _told_status(str(last.get("message") or ""))
    return Failure(kind, message or kind or "error", status or _UNKNOWN)


def _message(told: SpanFacts, exception: dict[str, Any]) -> str:
    """Return what is said of a failure, as far as it may leave: such messages quote what went in."""
    given = told.text("error.message")
    if given:
        return given
    said = _reason(told) or str(exception.get("message") or "")
    return str(told.redacted("error.message", said) or "")


def _reason(told: SpanFacts) -> str:
    return next((one.facts.reason for one in told.each if one.facts.failed and one.facts.reason), told.facts.reason)


def _status(value: object) -> int | None:
    found = whole(value)
    return found if found is not None and _LOWEST <= found <= _HIGHEST else None


def _told_status(text: str) -> int | None:
    found = _IN_MESSAGE.match(text)
    return _status(found[1] or found[2]) if found else None

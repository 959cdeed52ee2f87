"""An LLM call or embedding as its spans describe it, before a provider's bodies are made of it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ...spans.providers import CUSTOM, ENDPOINTS, MODELS, Api, Endpoint, Form, is_framework, place_of, providers_in
from .facts import SpanFacts
from .jsonread import number, read, whole
from .messages import Message, Part
from .sources import OTHER_NAMES, PARAMETERS

_MAX_NAME, _MAX_NAMES = 128, 256
# Parameters that are texts. All others are numbers.
_TEXT_PARAMETERS: Final = frozenset({"stop", "reasoning_effort", "service_tier", "encoding_format"})
# What OpenLIT writes for a parameter that was not given.
_UNSET: Final = (-1, "", None)
# By fact: the names of a number of tokens in an object with the usage, and its paths in objects inside of that.
_USAGE: Final = {
    "tokens.input": (("input_tokens", "prompt_tokens", "input", "promptTokenCount"), ()),
    "tokens.output": (("output_tokens", "completion_tokens", "output", "candidatesTokenCount"), ()),
    "tokens.total": (("total_tokens", "total", "totalTokenCount"), ()),
    "tokens.cached": (
        ("cache_read_input_tokens", "input_cached_tokens", "cachedContentTokenCount"),
        (("prompt_tokens_details", "cached_tokens"), ("input_tokens_details", "cached_tokens")),
    ),
    "tokens.written": (("cache_creation_input_tokens", "input_cache_creation"), ()),
    "tokens.written_1h": ((), (("cache_creation", "ephemeral_1h_input_tokens"),)),
    "tokens.reasoning": (
        ("output_reasoning_tokens", "thoughtsTokenCount"),
        (("completion_tokens_details", "reasoning_tokens"), ("output_tokens_details", "reasoning_tokens")),
    ),
}
# The status of a failed call whose span has none.
_UNKNOWN_STATUS: Final = 500
_LOWEST_FAILURE, _HIGHEST_FAILURE = 400, 599
# How error messages of the OpenAI and Anthropic SDKs begin.
_STATUS_IN_MESSAGE: Final = re.compile(r"\AError code: ([45]\d\d)\b|\A([45]\d\d) ")


# The first word of a finish reason, without the name of its type.
_WORD: Final = re.compile(r"(?:[A-Za-z]\w*\.)*([A-Za-z][\w-]{0,63})")


class Call(NamedTuple):
    """A call to a model.

    Attributes:
        endpoint: Where its row goes.
        api: What was called.
        form: The form of its bodies.
        model: The requested model.
        response_model: The model that answered.
        id: The id of the answer.
        system: The messages of the system, with its instructions.
        messages: The other messages of the request.
        answers: The messages of the answer, one for each choice.
        finish_reasons: Why each answer ended.
        tools: The tools that the model could call: name, description and schema of each.
        parameters: By OpenAI's names.
        usage: Numbers of tokens.
        vectors: The embeddings.
        failure: How the call failed; `None` if it did not.
        fingerprint: The fingerprint of the system that answered.
    """

    endpoint: Endpoint
    api: Api
    form: Form
    model: str
    response_model: str
    id: str
    system: list[Message]
    messages: list[Message]
    answers: list[Message]
    finish_reasons: list[str]
    tools: list[dict[str, Any]]
    parameters: dict[str, Any]
    usage: Usage
    vectors: list[list[Any]]
    failure: Failure | None
    fingerprint: str

    @property
    def url(self) -> str:
        """The URL of the provider's endpoint."""
        url = self.endpoint.urls.get(self.api, "custom-model-nopath")
        return url.replace("{model}", self.model or self.response_model)

    @property
    def is_priced(self) -> bool:
        """Whether Helicone reads its tokens as the provider counts them, and has prices."""
        return self.endpoint is not CUSTOM


class Usage(NamedTuple):
    """Numbers of tokens; `None` if unknown.

    Attributes:
        input: With those that were read from the cache or written to it, as in OpenTelemetry's conventions.
        output: With those of the reasoning.
        total: Input and output.
        cached: Read from the cache.
        written: Written to the cache.
        written_1h: Those of them that the cache keeps for an hour, and not for five minutes.
        reasoning: Used for reasoning.
    """

    input: int | None
    output: int | None
    total: int | None
    cached: int | None
    written: int | None
    written_1h: int | None
    reasoning: int | None


class Failure(NamedTuple):
    """How a call failed; `status` is an HTTP status from 400 to 599."""

    type: str
    message: str
    status: int


def call_of(facts: SpanFacts, failure: Failure | None) -> Call:
    """Return the call that spans describe.

    Args:
        facts: What the spans say.
        failure: How the call failed, if it did.
    """
    response_model = facts.text("model.answered")
    model = facts.text("model") or response_model
    provider = _provider(facts, model)
    if "/" in model or "/" in response_model:
        model, response_model = _without_provider(model, provider), _without_provider(response_model, provider)
    answer_id = facts.text("response.id")
    endpoint, api, form = place_of(provider, (response_model or model)[:_MAX_NAME], _api(facts, answer_id))
    system, messages = _request_messages(facts)
    answers = answers_of(facts)
    return Call(
        endpoint=endpoint,
        api=api,
        form=form,
        model=model,
        response_model=response_model or model,
        id=answer_id,
        system=system,
        messages=messages,
        answers=answers,
        finish_reasons=finish_reasons_of(facts, answers),
        tools=facts.one("tools") or [],
        parameters=_parameters(facts),
        usage=usage_of(facts),
        vectors=(facts.one("embeddings") or []) if facts.kind == "embedding" else [],
        failure=failure,
        fingerprint=facts.text("fingerprint"),
    )


# --- provider and model ---------------------------------------------------------------------------


def _provider(facts: SpanFacts, model: str) -> str:
    """Return the provider that the span names. If it names none, return the provider that made the model."""
    return _provider_of(
        tuple([name[:_MAX_NAME] for name in facts.raw("provider") if name and isinstance(name, str)]),
        model[:_MAX_NAME],
    )


@lru_cache(_MAX_NAMES)
def _provider_of(names: tuple[str, ...], model: str) -> str:
    names = tuple(name for name in names if not is_framework(name))
    known = next((found for name in names if (found := providers_in([name]))), None)
    if known:
        return min(known, key=lambda one: (one not in ENDPOINTS, one != "azure", one))
    return "" if names else _maker(model)


def _maker(model: str) -> str:
    name = model.lower().rpartition("/")[2]
    return next((maker for beginning, maker in MODELS if name.startswith(beginning)), "")


def _without_provider(model: str, provider: str) -> str:
    """Return the name of a model without the provider that routers put before it: `openai/gpt-4o`."""
    first, slash, rest = model.partition("/")
    return rest if slash and rest and provider in providers_in([first]) else model


def _api(facts: SpanFacts, answer_id: str) -> Api:
    if facts.kind == "embedding":
        return "embeddings"
    is_response = answer_id.startswith("resp_") or facts.text("api") == "responses"
    return "responses" if is_response or facts.span.name == "Response" else "chat"


# --- messages -------------------------------------------------------------------------------------


def _request_messages(facts: SpanFacts) -> tuple[list[Message], list[Message]]:
    """Return the messages of the system, and the other messages of the request."""
    messages = facts.messages("messages")
    instructions = facts.messages("instructions")
    system = [message for message in messages if message.role == "system"]
    # The messages may repeat the instructions.
    known = [message.parts for message in system]
    added = [message for message in instructions if message.parts not in known]
    return [*added, *system], [message for message in messages if message.role != "system"]


def answers_of(facts: SpanFacts) -> list[Message]:
    """Return the messages of the answer, one for each choice."""
    answers = facts.messages("answers")
    calls: list[Part] = facts.one("calls") or []
    if calls and not any(part.kind == "call" for answer in answers for part in answer.parts):
        first = answers[0] if answers else Message("assistant", [])
        return [first._replace(parts=[*first.parts, *calls]), *answers[1:]]
    return answers


def finish_reasons_of(facts: SpanFacts, answers: list[Message]) -> list[str]:
    """Return why each answer ended, as words."""
    reasons = [answer.finish_reason for answer in answers]
    if not any(reasons):
        found = read(facts.one("finish"))
        reasons = [str(item or "") for item in (found if isinstance(found, list) else [found])]
    return [_word(reason) for reason in reasons]


def _word(reason: str) -> str:
    """Return a finish reason as one word: `stop` for `["stop"]`, and `STOP` for `FinishReason.STOP`."""
    if reason.isalpha():  # the usual case
        return reason
    found = _WORD.search(reason)
    return found[1] if found else ""


# --- parameters -----------------------------------------------------------------------------------


def _parameters(facts: SpanFacts) -> dict[str, Any]:
    found = facts.parameters()
    if facts.has("parameters"):
        found = {**_parameters_in_objects(facts), **found}
    if (formats := found.get("encoding_format")) and not isinstance(formats, str):
        found["encoding_format"] = formats[0] if isinstance(formats, list | tuple) else None
    return {name: value for name, value in found.items() if value not in _UNSET and _has_its_type(name, value)}


def _parameters_in_objects(facts: SpanFacts) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for parameters in facts.all("parameters"):
        if isinstance(parameters, dict):
            for name, value in parameters.items():
                found.setdefault(OTHER_NAMES.get(name) or name, value)
    if "stop" in found:
        found["stop"] = facts.redacted("parameter.stop", found["stop"])
    return {name: value for name, value in found.items() if name in PARAMETERS}


def _has_its_type(name: str, value: object) -> bool:
    """Tell whether a parameter has a value of its type. Langfuse writes a limit that was not given as a text."""
    if name in _TEXT_PARAMETERS:
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    return not isinstance(value, str) and number(value) is not None


# --- usage ----------------------------------------------------------------------------------------


def usage_of(facts: SpanFacts) -> Usage:
    """Return the tokens of a call, all from one span, because not every span counts cached tokens as input."""
    if len(facts.by_span) == 1:
        return _usage(facts)
    # `max` returns the first of the spans that know most.
    return max(map(_usage, facts.by_span), key=lambda usage: _count_known(usage.input, usage.output))


def _count_known(*numbers: int | None) -> int:
    return sum(one is not None for one in numbers)


def _usage(facts: SpanFacts) -> Usage:
    found = facts.tokens()
    if facts.has("usage"):
        objects = [_usage_object(value) for value in facts.all("usage") if isinstance(value, dict)]
        for fact, names in _USAGE.items() if objects else ():
            if found.get(fact) is None:
                found[fact] = _tokens_in(objects, *names)
    input_, output, total, *details = map(found.get, _USAGE)
    if total is None and input_ is not None:
        total = input_ + (output or 0)
    return Usage(input_, output, total, *details)


def _usage_object(value: dict[str, Any]) -> dict[str, Any]:
    return value["usage"] if isinstance(value.get("usage"), dict) else value


def _tokens_in(
    objects: list[dict[str, Any]], names: tuple[str, ...], nested: tuple[tuple[str, str], ...]
) -> int | None:
    """Return the first number of tokens under one of some names, or of some paths of two names."""
    for usage in objects:
        values = [usage.get(name) for name in names]
        values += [inner.get(name) for outer, name in nested if isinstance(inner := usage.get(outer), dict)]
        for value in values:
            if (found := whole(value)) is not None:
                return found
    return None


# --- failure --------------------------------------------------------------------------------------


def failure_of(facts: SpanFacts) -> Failure | None:
    """Return how a call failed; `None` if it did not."""
    status = _failure_status(facts.one("status"))
    if not facts.span.failed and status is None:
        return None
    exceptions = facts.event_attributes("exception")
    exception = exceptions[-1] if exceptions else {}
    kind = facts.text("error.type") or str(exception.get("type") or "")
    message = _failure_message(facts, exception)
    status = (
        status
        or _failure_status(kind)
        or _status_in(_status_description(facts))
        or _status_in(str(exception.get("message") or ""))
    )
    return Failure(kind, message or kind or "error", status or _UNKNOWN_STATUS)


def _failure_message(facts: SpanFacts, exception: dict[str, Any]) -> str:
    """Return the message of a failure, redacted, because it may quote the input."""
    message = facts.text("error.message")
    if message:
        return message
    message = _status_description(facts) or str(exception.get("message") or "")
    return str(facts.redacted("error.message", message) or "")


def _status_description(facts: SpanFacts) -> str:
    spans = (one.span for one in facts.by_span)
    return next((span.reason for span in spans if span.failed and span.reason), facts.span.reason)


def _failure_status(value: object) -> int | None:
    found = whole(value)
    return found if found is not None and _LOWEST_FAILURE <= found <= _HIGHEST_FAILURE else None


def _status_in(message: str) -> int | None:
    found = _STATUS_IN_MESSAGE.match(message)
    return _failure_status(found[1] or found[2]) if found else None

"""Reads model, provider, tokens and the time to the first token from a span.

The library's tables for log rows know which attributes and events hold these facts, so they are read here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ...log.rows.call import answers_of, failure_of, finish_reasons_of, usage_of
from ...log.rows.content import Content
from ...log.rows.facts import SpanFacts, facts_of
from ...log.rows.sources import SOURCES
from ...log.rows.types import Event, FinishedSpan
from ...wire import CALL_KINDS
from .otlp import attributes_of

_MAX_NAME: Final = 256
_MAX_ERROR: Final = 1024
# No model takes more tokens. A larger number is a mistake of the instrumentation.
_MAX_TOKENS: Final = 10**12
_MAX_NANOSECONDS: Final = 10**15
# https://opentelemetry.io/docs/specs/semconv/http/http-spans/, and as it was before
_STATUS: Final = ("http.response.status_code", "http.status_code")
_IS_STATUS: Final = re.compile(r"[0-9]{3}\Z").match
# The reasons for which an answer ends with calls of tools, in the words of OpenAI, Anthropic and older APIs.
_FOR_TOOLS: Final = frozenset({"tool_calls", "tool_call", "tool_use", "function_call"})
_MODEL_FACTS: Final = ("model", "model.answered")
# The attributes that hold a model's name and nothing else.
MODEL_ATTRIBUTES: Final = frozenset(
    key for source in SOURCES if source.fact in _MODEL_FACTS and source.form == "plain" for key in source.keys
)


class CallSummary(NamedTuple):
    """What is known of a call; `None` where the span has no such attribute or event.

    Attributes:
        model: The model that was asked for, or else the one that answered.
        provider: The provider, or the database of a vector query.
        first_token: Nanoseconds from the start of the span to the first token of the answer.
        input_tokens: The number of tokens of the request.
        output_tokens: The number of tokens of the answer.
        error: Why the call failed; `None` if it did not.
        calls_tools: The answer of the model calls tools.
        ends_for_tools: The answer ended in order to call tools, whether or not the span has its content.
        answered_by: The model that answered.
        cached_tokens: Those of the request that were read from the provider's cache.
        written_tokens: Those of the request that were written to it.
        written_tokens_1h: Those of them that it keeps for an hour.
    """

    model: str | None
    provider: str | None
    first_token: int | None
    input_tokens: int | None
    output_tokens: int | None
    error: str | None = None
    calls_tools: bool = False
    ends_for_tools: bool = False
    answered_by: str | None = None
    cached_tokens: int | None = None
    written_tokens: int | None = None
    written_tokens_1h: int | None = None


def finished_span(scope: str, span: Span, attributes: Mapping[str, object]) -> FinishedSpan:
    """Return a span as log rows are made from it.

    Args:
        scope: The name of its instrumentation scope.
        span: The span.
        attributes: Its attributes, with those of the library.
    """
    return FinishedSpan(
        name=span.name,
        scope=scope,
        attributes=attributes,
        events=[Event(event.name, event.time_unix_nano, attributes_of(event.attributes)) for event in span.events],
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        reason=span.status.message,
    )


def summary_of(span: FinishedSpan, kind: str) -> CallSummary:
    """Return what is known of the call of a span.

    Args:
        span: The span.
        kind: Its kind, such as `llm`.
    """
    facts = facts_of(span, kind, Content())
    failure = failure_of(facts)
    answers = answers_of(facts) if kind in CALL_KINDS else []
    usage = usage_of(facts)
    return CallSummary(
        model=_first_text(facts, *_MODEL_FACTS),
        provider=_first_text(facts, "provider", "database"),
        first_token=_first_token(facts),
        input_tokens=_plausible(usage.input),
        output_tokens=_plausible(usage.output),
        error=_clean(failure.message, _MAX_ERROR) if failure is not None else None,
        calls_tools=any(part.kind == "call" for answer in answers for part in answer.parts),
        ends_for_tools=any(reason.lower() in _FOR_TOOLS for reason in finish_reasons_of(facts, answers)),
        answered_by=_first_text(facts, "model.answered"),
        cached_tokens=_plausible(usage.cached),
        written_tokens=_plausible(usage.written),
        written_tokens_1h=_plausible(usage.written_1h),
    )


def model_of(attributes: Mapping[str, object]) -> str:
    """Return the model that a span's attributes name, or an empty text."""
    facts = SpanFacts(FinishedSpan("", "", attributes, (), 0, 0, failed=False, reason=""), "llm", Content())
    return _first_text(facts, *_MODEL_FACTS) or ""


def status_of(attributes: Mapping[str, object]) -> int | None:
    """Return the HTTP status of the answer that a span records; `None` without one."""
    text = next((str(attributes[key]) for key in _STATUS if attributes.get(key)), "")
    return int(text) if _IS_STATUS(text) else None


def failed_status(status: int | None) -> str | None:
    """Return a status from 400 on as a text, `None` for others."""
    return f"status {status}" if status is not None and status >= HTTPStatus.BAD_REQUEST else None


def _first_text(facts: SpanFacts, *names: str) -> str | None:
    return _clean(next(filter(None, map(facts.text, names)), ""), _MAX_NAME) or None


def _clean(text: str, limit: int) -> str:
    # JSON in an attribute can hold lone surrogates, which a database does not accept.
    return text[:limit].encode("utf-8", "replace").decode()


def _plausible(tokens: int | None) -> int | None:
    return tokens if tokens is not None and tokens <= _MAX_TOKENS else None


def _first_token(facts: SpanFacts) -> int | None:
    for fact, unit in (("first.seconds", 1e9), ("first.milliseconds", 1e6)):
        found = facts.number(fact)
        if found is not None and 0 < found * unit < _MAX_NANOSECONDS:
            return round(found * unit)
    moment, start = facts.first_event_time("first.time"), facts.span.start
    return moment - start if moment is not None and moment >= start else None

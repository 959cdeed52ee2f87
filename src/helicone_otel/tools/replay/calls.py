"""Reads model, provider, tokens and the time to the first token from a span.

The library's tables for log rows know which attributes and events hold these facts, so they are read here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ...log.rows.call import usage_of
from ...log.rows.content import Content
from ...log.rows.facts import SpanFacts
from ...log.rows.sources import SOURCES
from ...log.rows.types import Event, FinishedSpan
from .otlp import attributes_of

_MAX_NAME: Final = 256
# No model takes more tokens. A larger number is a mistake of the instrumentation.
_MAX_TOKENS: Final = 10**12
_MAX_NANOSECONDS: Final = 10**15
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
    """

    model: str | None
    provider: str | None
    first_token: int | None
    input_tokens: int | None
    output_tokens: int | None


def finished_span(scope: str, span: Span, label: Mapping[str, object]) -> FinishedSpan:
    """Return a span as log rows are made from it.

    Args:
        scope: The name of its instrumentation scope.
        span: The span.
        label: The library's attributes, which replace those of the span.
    """
    return FinishedSpan(
        name=span.name,
        scope=scope,
        attributes={**attributes_of(span.attributes), **label},
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
    facts = SpanFacts(span, kind, Content())
    usage = usage_of(facts)
    return CallSummary(
        model=_first_text(facts, *_MODEL_FACTS),
        provider=_first_text(facts, "provider", "database"),
        first_token=_first_token(facts),
        input_tokens=_plausible(usage.input),
        output_tokens=_plausible(usage.output),
    )


def model_of(attributes: Mapping[str, object]) -> str:
    """Return the model that a span's attributes name, or an empty text."""
    facts = SpanFacts(FinishedSpan("", "", attributes, (), 0, 0, failed=False, reason=""), "llm", Content())
    return _first_text(facts, *_MODEL_FACTS) or ""


def _first_text(facts: SpanFacts, *names: str) -> str | None:
    text = next(filter(None, map(facts.text, names)), "")
    # JSON in an attribute can hold lone surrogates, which a database does not accept.
    return text[:_MAX_NAME].encode("utf-8", "replace").decode() or None


def _plausible(tokens: int | None) -> int | None:
    return tokens if tokens is not None and tokens <= _MAX_TOKENS else None


def _first_token(facts: SpanFacts) -> int | None:
    for fact, unit in (("first.seconds", 1e9), ("first.milliseconds", 1e6)):
        found = facts.number(fact)
        if found is not None and 0 < found * unit < _MAX_NANOSECONDS:
            return round(found * unit)
    moment, start = facts.first_event_time("first.time"), facts.span.start
    return moment - start if moment is not None and moment >= start else None

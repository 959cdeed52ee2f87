"""Calls that the app records by hand: each is a span, with its input and output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from traceback import TracebackException
from typing import Any, Final, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode

from .. import wire
from ..failures import swallow
from ..jsontext import Collected, content_text
from ..spans.retrieval import Matches, dimension, found_in

_T = TypeVar("_T")
_MAX_MESSAGE: Final = 1024
# OTLP has 64 bits for a number. A larger one would lose the whole batch.
_MAX_INT: Final = 2**63
# Names of the parameters of a search in the clients of vector databases.
_QUERIES: Final = ("query", "text", "question", "query_text", "vector", "embedding", "query_vector", "query_embedding")
_LIMITS: Final = ("top_k", "k", "limit", "n_results")


class ManualCall:
    """A call that the app records by hand: a span, with its input and output.

    Input and output are recorded as text or JSON of bounded size. Recording never raises.

    Attributes:
        span: The OpenTelemetry span, for attributes of your own.
        stale: See `Activity`.
    """

    stale = False

    def __init__(self, name: str, kind: SpanKind, attributes: Mapping[str, Any]) -> None:
        self._keeps_content = False
        self._yielded: Collected | None = None
        self.span: trace.Span = trace.INVALID_SPAN
        try:
            self.span = _tracer().start_span(wire.valid_text(name), kind=kind, attributes=dict(attributes))
        except Exception as error:  # noqa: BLE001  # it would be raised in the app's code
            swallow("call by hand", error)

    def input(self, value: _T) -> _T:
        """Record the input, and return it."""
        self._record(self._input, value)
        return value

    def output(self, value: _T) -> _T:
        """Record the output, and return it."""
        self._record(self._output, value)
        return value

    def _record(self, write: Callable[[Any], None], value: object) -> None:
        try:
            if self.span.is_recording():
                write(value)
        except Exception as error:  # noqa: BLE001  # it would be raised in the app's code
            swallow("recording by hand", error)

    def _input(self, value: object) -> None:
        raise NotImplementedError

    def _output(self, value: object) -> None:
        raise NotImplementedError

    # --- what a decorated function does -------------------------------------------------------

    def called(self, arguments: Mapping[str, object], keeps_content: bool) -> None:
        """Record the arguments of the decorated function.

        Args:
            arguments: By the names of the parameters.
            keeps_content: Whether arguments and results are recorded at all.
        """
        self._keeps_content = keeps_content
        if keeps_content:
            self.input(arguments)

    def returned(self, value: object) -> None:
        """Record the result of the decorated function."""
        if self._keeps_content:
            self.output(value)

    def yielded(self, item: object) -> None:
        """Record an item of the decorated generator."""
        if self._keeps_content:
            self._yielded = self._yielded or Collected()
            self._yielded.add(item)

    # --- an `Activity`: the call is current inside of a block or function -----------------------

    def within(self, context: Context) -> Context:
        """Return a Context in which the call's span is current."""
        return context if self.span is trace.INVALID_SPAN else trace.set_span_in_context(self.span, context)

    def holds(self, context: Context) -> bool:
        """Tell whether the call's span is current in a Context."""
        return trace.get_current_span(context) is self.span

    def close(self, error: BaseException | None) -> None:
        """Record what was yielded and the error, and end the span."""
        if self._yielded is not None:
            self.output(self._yielded.items())
        if error is not None:
            self._record(lambda raised: _record_error(self.span, raised), error)
        try:
            self.span.end()
        except Exception as failure:  # noqa: BLE001  # it would hide the app's own exception
            swallow("call by hand", failure)


class ToolCall(ManualCall):
    """A tool call: `gen_ai.operation.name` is `execute_tool`."""

    def __init__(self, name: str) -> None:
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": wire.valid_text(name),
            "gen_ai.tool.type": "function",
        }
        super().__init__(f"execute_tool {name}", SpanKind.INTERNAL, attributes)

    def _input(self, value: object) -> None:
        self.span.set_attribute("gen_ai.tool.call.arguments", content_text(value))

    def _output(self, value: object) -> None:
        self.span.set_attribute("gen_ai.tool.call.result", content_text(value))


class DataCall(ManualCall):
    """Any other call that becomes a row in Helicone: a rerank, a guardrail, a computation."""

    def __init__(self, name: str, kind: str) -> None:
        attributes = {wire.DATA_NAME: wire.valid_text(name)}
        if kind != "data":
            attributes[wire.SPAN_KIND] = kind
        super().__init__(name, SpanKind.INTERNAL, attributes)

    def _input(self, value: object) -> None:
        self._write("input", value)

    def _output(self, value: object) -> None:
        self._write("output", value)

    def _write(self, side: str, value: object) -> None:
        self.span.set_attribute(f"{side}.value", content_text(value))
        mime_type = "text/plain" if isinstance(value, str) else "application/json"
        self.span.set_attribute(f"{side}.mime_type", mime_type)


class VectorQuery(ManualCall):
    """An operation of a vector database or index."""

    def __init__(self, collection: str | None, system: str | None, operation: str) -> None:
        attributes = {
            "db.operation.name": operation,
            "db.system.name": system,
            "db.collection.name": collection,
            # Backends for GenAI show a search as a retrieval.
            "gen_ai.operation.name": "retrieval" if operation == "search" else None,
        }
        known = {key: wire.valid_text(value) for key, value in attributes.items() if value}
        super().__init__(f"{operation} {collection}" if collection else operation, SpanKind.CLIENT, known)
        self._yielded_matches: Matches | None = None

    def matches(self, found: _T) -> _T:
        """Record the matches of a search, and return them.

        Args:
            found: Matches with an id and a score: mappings, objects, or pairs of the two. Their texts, metadata and
                distances are recorded, too. An iterator is empty afterwards.
        """
        return self.output(found)

    def top_k(self, number: int) -> int:
        """Record how many matches are requested, and return the number."""
        self._record(self._top_k, number)
        return number

    def _top_k(self, number: object) -> None:
        if isinstance(number, int) and 0 <= number < _MAX_INT:
            self.span.set_attribute("gen_ai.retrieval.top_k", number)

    def _input(self, value: object) -> None:
        """Record the text of a query, or the size of an embedding."""
        if isinstance(value, str):
            text = content_text(value)
            self.span.set_attributes({"db.query.text": text, "gen_ai.retrieval.query.text": text})
        elif (size := dimension(value)) is not None:
            self.span.set_attribute("gen_ai.embeddings.dimension.count", size)

    def _output(self, value: object) -> None:
        if (matches := found_in(value)) is not None:
            self._write(matches, with_documents=True)

    def _write(self, matches: Matches, with_documents: bool) -> None:
        self.span.set_attribute("db.response.returned_rows", matches.count)
        if with_documents:
            self.span.set_attribute("gen_ai.retrieval.documents", content_text(matches.shown))

    def called(self, arguments: Mapping[str, object], keeps_content: bool) -> None:
        """Record the query of the decorated function, and how many matches it requests."""
        self._keeps_content = keeps_content
        query = next((arguments[name] for name in _QUERIES if name in arguments), None)
        if keeps_content or not isinstance(query, str):
            self.input(query)
        self.top_k(next((arguments[name] for name in _LIMITS if name in arguments), None))  # type: ignore[arg-type]  # checked there

    def returned(self, value: object) -> None:
        """Record the matches that the decorated function returns. An iterator is not read."""
        if not isinstance(value, Iterator) and (matches := found_in(value)) is not None:
            self._record(lambda found: self._write(found, self._keeps_content), matches)

    def yielded(self, item: object) -> None:
        """Record a match that the decorated generator yields."""
        self._yielded_matches = self._yielded_matches or Matches()
        self._yielded_matches.add(item)

    def close(self, error: BaseException | None) -> None:
        """Record the matches that were yielded and the error, and end the span."""
        if self._yielded_matches is not None:
            self._record(lambda found: self._write(found, self._keeps_content), self._yielded_matches)
        super().close(error)


def _tracer() -> trace.Tracer:
    return _tracer_of(trace.get_tracer_provider())


@lru_cache(maxsize=1)
def _tracer_of(provider: trace.TracerProvider) -> trace.Tracer:
    # Asked once: the SDK's provider locks what a signal handler, or a `__del__`, that makes a call here would wait for.
    return provider.get_tracer(wire.SCOPE, _version())


@cache
def _version() -> str | None:
    try:
        return version("helicone-otel")
    except PackageNotFoundError:  # run from a copy that was not installed
        return None


def _record_error(span: trace.Span, error: BaseException) -> None:
    # Not by the SDK's `record_exception`, which writes texts of any size, and raises where `str(error)` does.
    description = TracebackException.from_exception(error)
    kind, message = type(error).__qualname__, content_text(str(description), _MAX_MESSAGE)
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, message))
    stack = content_text("".join(description.format()))
    span.add_event("exception", {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack})

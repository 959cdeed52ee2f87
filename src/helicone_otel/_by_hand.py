"""A call made by hand: a span of its own, and what went in and came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from traceback import TracebackException
from typing import Any, Final, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode

from . import _wire
from ._content import Collected, content_text
from ._guard import swallow

_T = TypeVar("_T")
_MAX_MESSAGE: Final = 1024


class Call:
    """A call made by hand: a span, and what went in and came out of it.

    What is recorded is text or JSON, of bounded size. Recording never raises.

    Attributes:
        span: The OpenTelemetry span, for attributes of your own.
        left: See `Scene`.
    """

    left = False

    def __init__(self, name: str, kind: SpanKind, attributes: Mapping[str, Any]) -> None:
        self._keeps_content = False
        self._collected: Collected | None = None
        self.span: trace.Span = trace.INVALID_SPAN
        try:
            self.span = _tracer().start_span(_wire.valid_text(name), kind=kind, attributes=dict(attributes))
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's work
            swallow("call by hand", error)

    def input(self, value: _T) -> _T:
        """Record what went in, and return it."""
        self._record(self._input, value)
        return value

    def output(self, value: _T) -> _T:
        """Record what came out, and return it."""
        self._record(self._output, value)
        return value

    def _record(self, write: Callable[[Any], None], value: object) -> None:
        try:
            if self.span.is_recording():
                write(value)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's work
            swallow("recording by hand", error)

    def _input(self, value: object) -> None:
        raise NotImplementedError

    def _output(self, value: object) -> None:
        raise NotImplementedError

    # --- what a decorated function shows of itself ----------------------------------------------

    def called(self, arguments: Mapping[str, object], keeps_content: bool) -> None:
        """Take note of what a decorated function was called with, if content is to be kept."""
        self._keeps_content = keeps_content
        if keeps_content:
            self.input(arguments)

    def returned(self, value: object) -> None:
        """Take note of what a decorated function returned."""
        if self._keeps_content:
            self.output(value)

    def yielded(self, item: object) -> None:
        """Take note of an item of a decorated generator."""
        if self._keeps_content:
            self._collected = self._collected or Collected()
            self._collected.add(item)

    # --- a scene --------------------------------------------------------------------------------

    def within(self, context: Context) -> Context:
        """Return a Context in which the call's span is current."""
        return context if self.span is trace.INVALID_SPAN else trace.set_span_in_context(self.span, context)

    def holds(self, context: Context) -> bool:
        """Tell whether the call's span is current in a Context."""
        return trace.get_current_span(context) is self.span

    def close(self, error: BaseException | None) -> None:
        """End the span, with what came out of it."""
        if self._collected is not None:
            self.output(self._collected.items())
        if error is not None:
            self._record(lambda raised: _record_error(self.span, raised), error)
        try:
            self.span.end()
        except Exception as failure:  # noqa: BLE001  # an exception here would hide the user's own
            swallow("call by hand", failure)


def _tracer() -> trace.Tracer:
    return trace.get_tracer(_wire.SCOPE, _version())


@cache
def _version() -> str | None:
    try:
        return version("helicone-otel")
    except PackageNotFoundError:  # run from a copy that was not installed
        return None


def _record_error(span: trace.Span, error: BaseException) -> None:
    # What the SDK records of an exception is of any size, and fails where its text does.
    told = TracebackException.from_exception(error)
    kind, message = type(error).__qualname__, content_text(str(told), _MAX_MESSAGE)
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, message))
    stack = content_text("".join(told.format()))
    span.add_event("exception", {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack})

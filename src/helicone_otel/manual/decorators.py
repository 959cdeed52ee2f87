"""Records calls that no instrumentation records: `tool()`, `vector_query()` and `data()`.

Each is a context manager, and a decorator for functions, coroutines, generators and async generators. It makes an
ordinary span, which gets its path, its label and its row in Helicone as the span of an instrumentation does.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar, get_args, overload

from ..sessions.scoped import Activity, Scoped, decorated
from .calls import DataCall, ManualCall, ToolCall, VectorQuery

_F = TypeVar("_F", bound=Callable[..., Any])
_C = TypeVar("_C", bound=ManualCall)
_DataKind = Literal["data", "rerank", "guardrail"]

_CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_CAPTURES: Final = frozenset({"true", "span_only", "span_and_event"})
# Names of the parameter for the object whose method is called.
_RECEIVERS: Final = frozenset({"self", "cls"})


@overload
def tool(name: _F) -> _F: ...
@overload
def tool(name: str | None = None, *, input: object = ..., content: bool | None = None) -> CallRecorder[ToolCall]: ...
def tool(
    name: _F | str | None = None,
    *,
    input: object = None,  # noqa: A002  # users know it by this name
    content: bool | None = None,
) -> _F | CallRecorder[ToolCall]:
    """Record a tool call: a `with` block, or each call of a decorated function.

        @tool(content=True)  # the path ends with /get_weather
        def get_weather(city: str) -> str:
            return f"Sunny in {city}"

        with tool("get_time", input={"city": "Porto"}) as call:
            call.output("14:05")

    Args:
        name: The tool's name, which becomes a segment of the path unchanged; that of the decorated function if not
            given.
        input: The input, if it is recorded.
        content: Whether arguments and result of a decorated function are recorded. If not given,
            `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` decides, whose default is no. Values passed to
            `input` and `output` are always recorded.

    Returns:
        A context manager (`with`, `async with`) that gives a `ToolCall`, and a decorator.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The name is blank.
    """
    return _recorder(lambda name: _with_input(ToolCall(name), input), name, content)


@overload
def vector_query(collection: _F) -> _F: ...
@overload
def vector_query(
    collection: str | None = None,
    *,
    system: str | None = None,
    operation: str = "search",
    query: object = None,
    top_k: int | None = None,
    content: bool | None = None,
) -> CallRecorder[VectorQuery]: ...
def vector_query(
    collection: _F | str | None = None,
    *,
    system: str | None = None,
    operation: str = "search",
    query: object = None,
    top_k: int | None = None,
    content: bool | None = None,
) -> _F | CallRecorder[VectorQuery]:
    """Record an operation of a vector database or index: a `with` block, or each call of a decorated function.

        with vector_query("guides", system="faiss", query="visa rules", top_k=2) as call:
            call.matches([{"id": "a", "score": 0.91, "text": "No visa for weekends."}])

    Args:
        collection: The collection, index or table.
        system: The database, for instance `faiss`.
        operation: `search`, `insert`, `update`, `delete` or another name. It becomes a segment of the path.
        query: The text of the query, or its embedding, of which only the size is recorded.
        top_k: How many matches are requested.
        content: As for `tool`. Of a decorated function the parameters `query` (or `text`, `vector`, …) and
            `top_k` (or `k`, `limit`, …) are recorded, and a result that is a list of matches.

    Returns:
        A context manager (`with`, `async with`) that gives a `VectorQuery`, and a decorator.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The collection, system or operation is blank.
    """
    if callable(collection) or isinstance(collection, classmethod):
        return vector_query()(collection)
    for argument, value in (("collection", collection), ("system", system), ("operation", operation)):
        _check_name(f"vector_query({argument}=…)", value)

    def begin(_: str) -> VectorQuery:
        call = VectorQuery(collection, system, operation)
        if top_k is not None:
            call.top_k(top_k)
        return _with_input(call, query)

    return CallRecorder(begin, operation, content)


@overload
def data(name: _F) -> _F: ...
@overload
def data(
    name: str | None = None, *, kind: _DataKind = "data", input: object = ..., content: bool | None = None
) -> CallRecorder[DataCall]: ...
def data(
    name: _F | str | None = None,
    *,
    kind: _DataKind = "data",
    input: object = None,  # noqa: A002  # users know it by this name
    content: bool | None = None,
) -> _F | CallRecorder[DataCall]:
    """Record any other work that becomes a row in Helicone: a `with` block, or each call of a decorated function.

        with data("rank", kind="rerank", input=["b", "a"]) as call:
            call.output(["a", "b"])

    Args:
        name: Its name, which becomes a segment of the path unchanged; that of the decorated function if not given.
        kind: `rerank` or `guardrail`, if it is one of those.
        input: The input, if it is recorded.
        content: As for `tool`.

    Returns:
        A context manager (`with`, `async with`) that gives a `DataCall`, and a decorator.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The name is blank, or there is no such kind.
    """
    if kind not in get_args(_DataKind):
        raise ValueError(f"data(kind=…) is one of {', '.join(get_args(_DataKind))}, not {kind!r:.60}")
    return _recorder(lambda name: _with_input(DataCall(name, kind), input), name, content)


class CallRecorder(Scoped[_C]):
    """A context manager and a decorator that records each block, or each call of the decorated function.

    Args:
        begin: Begins a call with a name.
        name: The name; that of the decorated function if not given.
        content: See `tool`.
    """

    def __init__(self, begin: Callable[[str], _C], name: str | None, content: bool | None) -> None:
        super().__init__(self._begin_block, _same)
        self._begin = begin
        self._name = name
        self._content = content

    def _begin_block(self) -> _C:
        if self._name is None:
            raise TypeError('a `with` block needs a name, for instance tool("get_weather")')
        return self._begin(self._name)

    def __call__(self, function: _F) -> _F:
        """Decorate a function, coroutine function, generator function, async generator function or method.

        Raises:
            TypeError: It is a class.
        """
        name = self._name or str(getattr(function, "__name__", type(function).__name__))
        signature = _signature_of(function.__func__ if isinstance(function, classmethod | staticmethod) else function)

        def make(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Activity:
            call = self._begin(name)
            if call.span.is_recording():
                call.called(_arguments(signature, args, kwargs), self._keeps_content())
            return call

        return decorated(function, make)

    def _keeps_content(self) -> bool:
        if self._content is not None:
            return self._content
        return os.environ.get(_CAPTURE, "").strip().lower() in _CAPTURES


def _recorder(begin: Callable[[str], _C], name: _F | str | None, content: bool | None) -> _F | CallRecorder[_C]:
    if callable(name) or isinstance(name, classmethod):
        return CallRecorder(begin, None, content)(name)
    _check_name("name", name)
    return CallRecorder(begin, name, content)


def _check_name(what: str, name: object) -> None:
    if name is not None and not isinstance(name, str):
        raise TypeError(f"{what} is a str, not {type(name).__name__}")
    if name is not None and not name.strip():
        raise ValueError(f"{what} is blank")


def _with_input(call: _C, value: object) -> _C:
    if value is not None:
        call.input(value)
    return call


def _same(call: _C) -> _C:
    return call


def _signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have none
        return None


def _arguments(
    signature: inspect.Signature | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, object]:
    """Return the arguments of a call by name, without the object whose method is called."""
    if signature is None:
        return kwargs
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:  # the function itself will raise it
        return kwargs
    bound.apply_defaults()
    first = next(iter(bound.arguments), "")
    return {name: value for name, value in bound.arguments.items() if name != first or name not in _RECEIVERS}

"""`with` block, `async with` block and decorator over one implementation, for functions, coroutines and generators.

`Scoped` is the object that `session()`, `step()` and the functions of `manual` return. It activates an `Activity`
in OpenTelemetry's Context for as long as the block, the call or the generator's own code runs. Leaving it never
raises, and never brings back a Context that is out of date.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast

from opentelemetry.context import Context, attach, get_current

# Set when an activity is entered and reset when it is left. A token cannot be reset in another `contextvars.Context`,
# which is how `_leave` finds out that it runs in one.
_probe: ContextVar[object] = ContextVar("helicone_otel_probe")


class Activity(Protocol):
    """Something that is open while code runs: a session, a step, a call that is recorded by hand.

    Attributes:
        stale: The code has finished, but the Context could not be restored, so it may still hold the activity.
    """

    stale: bool

    def within(self, context: Context) -> Context:
        """Return a Context in which this activity is the current one."""

    def holds(self, context: Context) -> bool:
        """Tell whether this activity is open in a Context."""

    def returned(self, value: object) -> None:
        """Receive the return value of the decorated function."""

    def yielded(self, item: object) -> None:
        """Receive an item that the decorated generator has yielded."""

    def close(self, error: BaseException | None) -> None:
        """End the activity; `error` is the exception that came out of the code, if one did."""


class Activation:
    """A context manager that makes one activity current in one thread or task.

    Args:
        activity: The activity.
    """

    __slots__ = ("_before", "_inside", "_token", "activity")

    def __init__(self, activity: Activity) -> None:
        self.activity = activity

    def __enter__(self) -> Activity:
        self._before = get_current()
        self._inside = self.activity.within(self._before)
        self._token: Token[object] = _probe.set(self.activity)
        attach(self._inside)
        return self.activity

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        self.activity.close(error)

    def _leave(self) -> None:
        try:
            _probe.reset(self._token)
        except ValueError:  # entered in another contextvars.Context: nothing can be restored
            self.activity.stale = True
            return
        if get_current() is self._inside:
            attach(self._before)
        else:
            # Other code attached a Context after us and has not detached it, so that one stays. When that code
            # detaches, it brings back a Context with our activity. So the activity is marked as stale.
            self.activity.stale = True


class GeneratorActivation:
    """A context manager that makes an activity current in a generator's code, but not in its consumer's.

    It is entered each time the generator's code runs, and left at each `yield`. If the generator attaches a span or
    opens a `step()`, that is set aside at the `yield` and restored when its code runs again.

    Args:
        activity: The activity.
    """

    __slots__ = ("_activity", "_before", "_inside")

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._inside: Context | None = None

    def __enter__(self) -> None:
        self._before = get_current()
        attach(self._activity.within(self._before) if self._inside is None else self._inside)

    def __exit__(self, *_: object) -> None:
        self._inside = get_current()
        attach(self._before)


_F = TypeVar("_F", bound=Callable[..., Any])
_T_co = TypeVar("_T_co", covariant=True)
# Makes the activity of one call from the call's arguments.
_Make = Callable[[tuple[Any, ...], Mapping[str, Any]], Activity]


class Scoped(Generic[_T_co]):
    """A context manager, for `with` and `async with`, that is a decorator, too.

    Each `with` block and each call of a decorated function gets an activity of its own. In a decorated generator,
    the activity is current while the generator's own code runs, and never while its consumer's code runs.

    Args:
        make: Makes an activity. It is called once for each block and each call.
        value_of: Returns what `with … as` gives, from the activity.
    """

    def __init__(self, make: Callable[[], Activity], value_of: Callable[[Any], _T_co]) -> None:
        self._make = make
        self._value_of = value_of
        self._activations: list[Activation] = []

    def __enter__(self) -> _T_co:
        activation = Activation(self._make())
        activation.__enter__()
        self._activations.append(activation)
        return self._value_of(activation.activity)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        activation = self._current_activation()
        self._activations.remove(activation)
        activation.__exit__(kind, error, traceback)

    def _current_activation(self) -> Activation:
        """Return the innermost activation of this task or thread: several may share this object."""
        activations = tuple(self._activations)
        if len(activations) > 1:
            context = get_current()
            for activation in reversed(activations):
                if activation.activity.holds(context):
                    return activation
        return activations[-1]

    async def __aenter__(self) -> _T_co:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: _F) -> _F:
        """Decorate a function, coroutine function, generator function, async generator function or method.

        Raises:
            TypeError: It is a class.
        """
        return decorated(function, lambda *_: self._make())


def decorated(function: _F, make: _Make) -> _F:
    """Return a function that does the same as this one, inside an activity that is made for each call.

    Args:
        function: A function, coroutine function, generator function or async generator function, or a class method or
            static method.
        make: Makes the activity of a call from the call's arguments.

    Raises:
        TypeError: It is a class.
    """
    if isinstance(function, type):
        raise TypeError(f"{function.__qualname__} is a class: decorate its methods, or a function")
    if isinstance(function, classmethod | staticmethod):  # whose decorator stands below this one
        return cast("_F", type(function)(decorated(function.__func__, make)))
    if inspect.isasyncgenfunction(function):
        return cast("_F", _async_generator(function, make))
    if inspect.isgeneratorfunction(function):
        return cast("_F", _generator(function, make))
    if inspect.iscoroutinefunction(function):
        return cast("_F", _coroutine(function, make))
    return cast("_F", _function(function, make))


def _function(function: Callable[..., Any], make: _Make) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with Activation(make(args, kwargs)) as activity:
            result = function(*args, **kwargs)
            activity.returned(result)
            return result

    return call


def _coroutine(function: Callable[..., Any], make: _Make) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with Activation(make(args, kwargs)) as activity:
            result = await function(*args, **kwargs)
            activity.returned(result)
            return result

    return call


def _generator(function: Callable[..., Any], make: _Make) -> Callable[..., Any]:
    @functools.wraps(function)
    def generate(*args: Any, **kwargs: Any) -> Any:
        activity = make(args, kwargs)
        with _Closing(activity):
            return (yield from _run_generator(function(*args, **kwargs), activity))

    return generate


def _run_generator(generator: Generator[Any, Any, Any], activity: Activity) -> Generator[Any, Any, Any]:
    """Run a generator so that the activity is current in its code only, not in its consumer's."""
    activation = GeneratorActivation(activity)
    resume: Callable[[Any], Any] = generator.send
    sent: Any = None
    while True:
        with activation:
            try:
                item = resume(sent)
            except StopIteration as stop:
                return stop.value
        activity.yielded(item)
        try:
            sent = yield item
            resume = generator.send
        except GeneratorExit:
            with activation:
                generator.close()
            raise
        except BaseException as error:  # noqa: BLE001  # thrown in by the consumer, for the generator
            sent = error
            resume = generator.throw


def _async_generator(function: Callable[..., Any], make: _Make) -> Callable[..., Any]:
    """Do for an async generator function what `_run_generator` does; `yield from` has no async form."""

    @functools.wraps(function)
    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        activity = make(args, kwargs)
        with _Closing(activity):
            generator = function(*args, **kwargs)
            activation = GeneratorActivation(activity)
            next_item = _first_item(generator)
            while True:
                with activation:
                    try:
                        item = await next_item
                    except StopAsyncIteration:
                        return
                activity.yielded(item)
                try:
                    next_item = generator.asend((yield item))
                except GeneratorExit:
                    with activation:
                        await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  # thrown in by the consumer, for the generator
                    next_item = generator.athrow(error)

    return generate


class _Closing:
    """A context manager that closes an activity when the generator that ran inside it has ended."""

    __slots__ = ("_activity",)

    def __init__(self, activity: Activity) -> None:
        self._activity = activity

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A consumer that stops early is no failure.
        self._activity.close(None if isinstance(error, GeneratorExit) else error)


def _first_item(generator: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Return the awaitable of an async generator's first item, without the event loop's hooks.

    With its hooks, the event loop registers a generator at its first item, and closes all registered generators at
    the same time when the loop ends. Our wrapper is registered and closes the wrapped generator itself. If the
    wrapped one were registered, too, it would be closed twice at once, and one of the two would fail.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)

"""Opening something for as long as a `with` block, a call or a generator's own code runs."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast

from opentelemetry.context import Context, attach, get_current

_probe: ContextVar[object] = ContextVar("helicone_otel_probe")


class Activity(Protocol):
    """What code can be inside of: a session, a step, a call made by hand.

    Attributes:
        left: It was left in a way that could not restore the Context.
    """

    left: bool

    def within(self, context: Context) -> Context:
        """Return a Context in which this is current."""

    def holds(self, context: Context) -> bool:
        """Tell whether a Context lies inside of this."""

    def returned(self, value: object) -> None:
        """Take note of what the function returned that ran inside."""

    def yielded(self, item: object) -> None:
        """Take note of an item of the generator that runs inside."""

    def close(self, error: BaseException | None) -> None:
        """End it, with what came out of it."""


class Activation:
    """One stay inside a scene, from entering to leaving, in one thread or task."""

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
            self.activity.left = True
            return
        if get_current() is self._inside:
            attach(self._before)
        else:
            # Somebody attached on top and has not detached. Theirs stays, and when they detach at
            # last, what comes back is a Context that holds our scene: it must be known as left.
            self.activity.left = True


class GeneratorActivation:
    """The stay of a generator inside a scene: interrupted at each `yield`, and taken up again after it.

    What the generator itself attached meanwhile, a span or an inner step, is set aside with it.
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
_Make = Callable[[tuple[Any, ...], Mapping[str, Any]], Activity]


class Scoped(Generic[_T_co]):
    """A context manager, async too, and a decorator.

    As a decorator it opens a scene anew for each call. Around a generator the scene is current
    while the generator's own code runs and never while its consumer's does.

    Args:
        make: Makes the scene, each time it is opened.
        show: What `with … as` gives of a scene.
    """

    def __init__(self, make: Callable[[], Activity], show: Callable[[Any], _T_co]) -> None:
        self._make = make
        self._show = show
        self._activations: list[Activation] = []

    def __enter__(self) -> _T_co:
        activation = Activation(self._make())
        activation.__enter__()
        self._activations.append(activation)
        return self._show(activation.activity)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        activation = self._activation_here()
        self._activations.remove(activation)
        activation.__exit__(kind, error, traceback)

    def _activation_here(self) -> Activation:
        """Return the innermost stay that began here: tasks and threads may share one opening."""
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
        """Decorate a function, coroutine function, generator function or async generator function."""
        return decorated(function, lambda *_: self._make())


def decorated(function: _F, make: _Make) -> _F:
    """Return a function that runs inside a scene, made anew for each call from its arguments."""
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
            return (yield from _driven(function(*args, **kwargs), activity))

    return generate


def _driven(generator: Generator[Any, Any, Any], activity: Activity) -> Generator[Any, Any, Any]:
    """Run a generator so that the scene is current in its code only, not in its consumer's."""
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
    """Wrap an async generator function as `_driven` runs a generator: `yield from` has no async twin."""

    @functools.wraps(function)
    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        activity = make(args, kwargs)
        with _Closing(activity):
            generator = function(*args, **kwargs)
            activation = GeneratorActivation(activity)
            following = _first_step(generator)
            while True:
                with activation:
                    try:
                        item = await following
                    except StopAsyncIteration:
                        return
                activity.yielded(item)
                try:
                    following = generator.asend((yield item))
                except GeneratorExit:
                    with activation:
                        await generator.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  # thrown in by the consumer, for the generator
                    following = generator.athrow(error)

    return generate


class _Closing:
    """Closes a scene when a generator that ran inside it has ended, however it did."""

    __slots__ = ("_activity",)

    def __init__(self, activity: Activity) -> None:
        self._activity = activity

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A consumer that has had enough is no failure.
        self._activity.close(None if isinstance(error, GeneratorExit) else error)


def _first_step(generator: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Return the first step of an async generator, of which the event loop then takes no note.

    At its end the loop closes all that it has taken note of at the same time: the wrapped one too,
    which ours is just closing, and one of the two would fail.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)

"""What the user opened on purpose: `session()` and `step()`, held in the OpenTelemetry Context.

Leaving is token-free. `opentelemetry.context.detach` logs an error when a generator is closed in
another `contextvars.Context` than the one it was entered in, and it revives what was current
before, dead or alive (https://github.com/open-telemetry/opentelemetry-python/issues/2606). Here a
place that could not be left properly is marked as left, and readers walk past it.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, TypeVar, cast

from opentelemetry import trace
from opentelemetry.context import Context, attach, create_key, get_current, set_value

from ._session import Session, SessionPath, path_segments

_F = TypeVar("_F", bound=Callable[..., Any])

PLACE_KEY = create_key("helicone-otel-place")
# As long as it is: so many places exist. While none does, no Context needs to be searched for one.
# (Appending to a list and popping from it are atomic.)
PLACES: list[None] = []
_MAX_DEPTH = 128
_numbers = itertools.count(1)
_probe: ContextVar[object] = ContextVar("helicone_otel_probe")


class Place:
    """Where code said that it is: a session that it opened, a step inside one, or neither.

    Attributes:
        session: The session opened here; `None` for a step and for `session(None)`.
        steps: The segments that a step adds.
        detached: Opened by `session(None)`: nothing from outside holds here.
        outer: The place around it.
        anchor: The span that was current when it was opened.
        number: Grows with every place, so that of two the newer is known.
        left: It was left in a way that could not restore the Context.
        record: The registry's own record of it.
    """

    __slots__ = ("anchor", "depth", "detached", "left", "number", "outer", "record", "session", "steps")

    def __init__(
        self,
        session: Session | None,
        steps: tuple[str, ...] = (),
        detached: bool = False,
        context: Context | None = None,
    ) -> None:
        self.session = session
        self.steps = steps
        self.detached = detached
        outer = None if detached else current_place(context)
        self.depth: int = outer.depth + 1 if outer is not None else 0
        # A callback that schedules itself opens each place inside the last: such a line has an end.
        self.outer = outer if self.depth % _MAX_DEPTH else None
        self.anchor: trace.Span = trace.INVALID_SPAN if detached else trace.get_current_span(context)
        self.number = next(_numbers)
        self.left = False
        self.record: Any = None
        PLACES.append(None)

    def __del__(self) -> None:
        PLACES.pop()


def current_place(context: Context | None = None) -> Place | None:
    """Return the place that a Context holds, walking past those that were left."""
    place = cast("Place | None", (get_current() if context is None else context).get(PLACE_KEY))
    while place is not None and place.left:
        place = place.outer
    return place


def with_place(place: Place, context: Context | None = None) -> Context:
    """Return a Context in which a place is the current one."""
    return set_value(PLACE_KEY, place, context)


class Visit:
    """One stay at a place, from entering to leaving, in one thread or task."""

    __slots__ = ("_before", "_inside", "_token", "place")

    def __init__(self, place: Place) -> None:
        self.place = place

    def __enter__(self) -> None:
        self._before = get_current()
        self._inside = with_place(self.place, self._before)
        self._token: Token[object] = _probe.set(self.place)
        attach(self._inside)

    def __exit__(self, *_: object) -> None:
        try:
            _probe.reset(self._token)
        except ValueError:  # entered in another contextvars.Context: nothing can be restored
            self.place.left = True
            return
        if get_current() is self._inside:
            attach(self._before)
        else:
            # Somebody attached on top and has not detached. Theirs stays, and when they detach at
            # last, what comes back is a Context that holds our place: it must be known as left.
            self.place.left = True


class Stay:
    """The stay of a generator at a place: interrupted at each `yield`, and taken up again after it.

    What the generator itself attached meanwhile, a span or an inner step, is set aside with it.
    """

    __slots__ = ("_before", "_inside", "_place")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._inside: Context | None = None

    def __enter__(self) -> None:
        self._before = get_current()
        attach(with_place(self._place, self._before) if self._inside is None else self._inside)

    def __exit__(self, *_: object) -> None:
        self._inside = get_current()
        attach(self._before)


class Opening:
    """What `session()` and `step()` return: a context manager, async too, and a decorator.

    As a decorator it opens a place anew for each call. Around a generator the place is current
    while the generator's own code runs and never while its consumer's does.
    """

    def __init__(self, make: Callable[[], Place]) -> None:
        self._make = make
        self._visits: list[Visit] = []

    def __enter__(self) -> Session | None:
        visit = Visit(self._make())
        visit.__enter__()
        self._visits.append(visit)
        return visit.place.session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        visit = self._visit_here()
        self._visits.remove(visit)
        visit.__exit__(kind, error, traceback)

    def _visit_here(self) -> Visit:
        """Return the innermost stay that began here: tasks and threads may share one opening."""
        visits = tuple(self._visits)
        if len(visits) > 1:
            place = cast("Place | None", get_current().get(PLACE_KEY))
            while place is not None:
                for visit in visits:
                    if visit.place is place:
                        return visit
                place = place.outer
        return visits[-1]

    async def __aenter__(self) -> Session | None:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: _F) -> _F:
        """Decorate a function, coroutine function, generator function or async generator function."""
        return cast("_F", _decorated(function, self._make))


def session(
    name: str | None,
    *,
    id: str | int | uuid.UUID | None = None,  # noqa: A002  # the word users know
    path: str | SessionPath = "/",
    user_id: str | None = None,
    properties: Mapping[str, str] | None = None,
) -> Opening:
    """Open a session: everything below it is one task in Helicone.

    Args:
        name: Human-readable, the same for all sessions of a kind ("Trip Planning"). An empty one
            falls back to the settings. `None` detaches: what follows belongs to no session that was
            opened outside, as a long-lived worker needs it.
        id: Identifies the session; a fresh UUIDv4 per opening if not given.
        path: Where the session begins in the hierarchy, starting with `/`.
        user_id: For `Helicone-User-Id`.
        properties: For `Helicone-Property-<name>`; names must be header tokens.

    Returns:
        A context manager (`with`, `async with`) that gives the `Session`, and a decorator.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `path` does not start with `/`.
    """
    if name is None:
        return Opening(lambda: Place(None, detached=True))
    if not isinstance(name, str):
        raise TypeError(f"session() takes a name, a str or None, not {type(name).__name__}")
    if user_id is not None and not isinstance(user_id, str):
        raise TypeError(f"session(user_id=…) is a str, not {type(user_id).__name__}")
    if properties is not None and not isinstance(properties, Mapping):
        raise TypeError(f"session(properties=…) is a mapping, not {type(properties).__name__}")
    fixed_id = _id_text(id)
    begin = path if isinstance(path, SessionPath) else SessionPath(path)
    chosen = dict(properties or {})

    def make() -> Place:
        fresh = fixed_id or str(uuid.uuid4())
        return Place(Session(fresh, name.strip() or None, begin, user_id, chosen))

    return Opening(make)


def step(name: str) -> Opening:
    """Go one or more levels deeper: `step("research")`, `step("research/web")`.

    Args:
        name: A function of the work, never an occurrence: no ids, no counters. It stays as it is
            but for blanks, which become `_`.

    Returns:
        A context manager (`with`, `async with`) and a decorator.

    Raises:
        TypeError: `name` is not a string.
    """
    if not isinstance(name, str):
        raise TypeError(f"step() takes a name, a str, not {type(name).__name__}")
    steps = path_segments(name)
    return Opening(lambda: Place(None, steps))


def _id_text(value: str | int | uuid.UUID | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | uuid.UUID):
        raise TypeError(f"session(id=…) is a str, int or UUID, not {type(value).__name__}")
    return str(value).strip()


def _decorated(function: Callable[..., Any], make: Callable[[], Place]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with Visit(make()):
            return function(*args, **kwargs)

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        with Visit(make()):
            return await function(*args, **kwargs)

    @functools.wraps(function)
    def generate(*args: Any, **kwargs: Any) -> Any:
        return (yield from _driven(function(*args, **kwargs), make()))

    if inspect.isasyncgenfunction(function):
        return _async_generator(function, make)
    if inspect.isgeneratorfunction(function):
        return generate
    return call_async if inspect.iscoroutinefunction(function) else call


def _driven(generator: Generator[Any, Any, Any], place: Place) -> Generator[Any, Any, Any]:
    """Run a generator so that the place is current in its code only, not in its consumer's."""
    stay = Stay(place)
    resume: Callable[[Any], Any] = generator.send
    sent: Any = None
    while True:
        with stay:
            try:
                item = resume(sent)
            except StopIteration as stop:
                return stop.value
        try:
            sent = yield item
            resume = generator.send
        except GeneratorExit:
            with stay:
                generator.close()
            raise
        except BaseException as error:  # noqa: BLE001  # thrown in by the consumer, for the generator
            sent = error
            resume = generator.throw


def _async_generator(function: Callable[..., Any], make: Callable[[], Place]) -> Callable[..., Any]:
    """Wrap an async generator function as `_driven` runs a generator: `yield from` has no async twin."""

    @functools.wraps(function)
    async def generate(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        generator = function(*args, **kwargs)
        stay = Stay(make())
        following = _first_step(generator)
        while True:
            with stay:
                try:
                    item = await following
                except StopAsyncIteration:
                    return
            try:
                following = generator.asend((yield item))
            except GeneratorExit:
                with stay:
                    await generator.aclose()
                raise
            except BaseException as error:  # noqa: BLE001  # thrown in by the consumer, for the generator
                following = generator.athrow(error)

    return generate


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

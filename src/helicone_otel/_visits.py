"""Being inside of something, in the OpenTelemetry Context.

Leaving is token-free. `opentelemetry.context.detach` logs an error when a generator is closed in
another `contextvars.Context` than the one it was entered in, and it revives what was current
before, dead or alive (https://github.com/open-telemetry/opentelemetry-python/issues/2606). Here what
could not be left properly is marked as left, and readers walk past it.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Protocol

from opentelemetry.context import Context, attach, get_current

_probe: ContextVar[object] = ContextVar("helicone_otel_probe")


class Scene(Protocol):
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


class Visit:
    """One stay inside a scene, from entering to leaving, in one thread or task."""

    __slots__ = ("_before", "_inside", "_token", "scene")

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def __enter__(self) -> Scene:
        self._before = get_current()
        self._inside = self.scene.within(self._before)
        self._token: Token[object] = _probe.set(self.scene)
        attach(self._inside)
        return self.scene

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._leave()
        self.scene.close(error)

    def _leave(self) -> None:
        try:
            _probe.reset(self._token)
        except ValueError:  # entered in another contextvars.Context: nothing can be restored
            self.scene.left = True
            return
        if get_current() is self._inside:
            attach(self._before)
        else:
            # Somebody attached on top and has not detached. Theirs stays, and when they detach at
            # last, what comes back is a Context that holds our scene: it must be known as left.
            self.scene.left = True


class Stay:
    """The stay of a generator inside a scene: interrupted at each `yield`, and taken up again after it.

    What the generator itself attached meanwhile, a span or an inner step, is set aside with it.
    """

    __slots__ = ("_before", "_inside", "_scene")

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._inside: Context | None = None

    def __enter__(self) -> None:
        self._before = get_current()
        attach(self._scene.within(self._before) if self._inside is None else self._inside)

    def __exit__(self, *_: object) -> None:
        self._inside = get_current()
        attach(self._before)

"""Wrapping, and taking wraps out again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ._guard import swallow
from ._registry import Registry
from ._transport import MODULES, hooked, hooked_async


class Wraps:
    """The wraps of one installation."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any]] = []
        self._hooks_live = False
        self._waiting = False

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace a function of a class or module by `make(function)`.

        Ours goes innermost: instrumentations take out what is outermost, whoever put it there, when
        they uninstrument.
        """
        holder: Any = None
        function: Any = vars(owner)[name]
        while isinstance(function, _proxies()):
            holder, function = function, function.__wrapped__
        wrapped = make(function)
        if holder is None:
            setattr(owner, name, wrapped)
        else:
            holder.__wrapped__ = wrapped
        self._done.append((owner, name, wrapped))

    def undo(self) -> None:
        """Take all wraps out."""
        self._hooks_live = False
        while self._done:
            owner, name, wrapped = self._done.pop()
            holder: Any = None
            function: Any = vars(owner)[name]
            while function is not wrapped and isinstance(function, _proxies()):
                holder, function = function, function.__wrapped__
            if function is not wrapped:
                continue  # Somebody replaced it with something of their own; ours is out already.
            if holder is None:
                setattr(owner, name, wrapped.__wrapped__)
            else:
                holder.__wrapped__ = wrapped.__wrapped__

    def hook_transports(self, registry: Registry) -> None:
        """Hook the transports of httpx and httpx2 now, or when they are imported."""
        import wrapt  # noqa: PLC0415  # see `_proxies`

        self._hooks_live = True
        for name in MODULES:
            if (module := sys.modules.get(name)) is not None:
                self._hook(registry, module)
            elif not self._waiting:
                wrapt.register_post_import_hook(lambda module: self._hook_late(registry, module), name)
        self._waiting = True

    def _hook_late(self, registry: Registry, module: Any) -> None:
        if self._hooks_live:
            self._hook(registry, module)

    def _hook(self, registry: Registry, module: Any) -> None:
        try:
            self.wrap(module.HTTPTransport, "handle_request", lambda send: hooked(registry, send))
            self.wrap(module.AsyncHTTPTransport, "handle_async_request", lambda send: hooked_async(registry, send))
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's import
            swallow("transport hook", error)


def _proxies() -> Any:
    """Return the classes of wrapt's wrappers, with which instrumentations wrap."""
    # It imports asyncio and more, so not before anything is installed.
    import wrapt  # noqa: PLC0415

    # Since wrapt 2 its wrappers descend from a base of ObjectProxy and no longer from it.
    return (wrapt.ObjectProxy, getattr(wrapt, "BaseObjectProxy", wrapt.ObjectProxy))

"""Wrapping, and taking wraps out again."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from ..failures import swallow
from ..http.clients import HOOKS, Hook
from ..sessions.foreign import MODULES, find_imported_sdks
from ..tracking.registry import Registry


class Patches:
    """The wraps of one installation."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any]] = []
        self._hooks_live = False
        self._waiting: set[Hook] = set()
        self._hooked: set[str] = set()
        self._watching = False

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
        """Take all wraps out that can be reached.

        One that somebody wrapped with a function of their own stays beneath it; each of ours does
        nothing while the registry is not active.
        """
        self._hooks_live = False
        self._hooked.clear()
        while self._done:
            owner, name, wrapped = self._done.pop()
            holder: Any = None
            function: Any = vars(owner)[name]
            while function is not wrapped and isinstance(function, _proxies()):
                holder, function = function, function.__wrapped__
            if function is not wrapped:
                continue  # It lies beneath a function of somebody else's, or was replaced.
            if holder is None:
                setattr(owner, name, wrapped.__wrapped__)
            else:
                holder.__wrapped__ = wrapped.__wrapped__

    def hook_transports(self, registry: Registry) -> None:
        """Hook the HTTP clients that are imported now, and the others when they are."""
        import wrapt  # noqa: PLC0415  # see `_proxies`

        self._hooks_live = True
        self._hooked = registry.hooked
        for hook in HOOKS:
            if (module := sys.modules.get(hook.module)) is not None:
                self._hook(registry, hook, module)
            elif hook not in self._waiting:
                self._waiting.add(hook)
                wrapt.register_post_import_hook(functools.partial(self._hook_late, registry, hook), hook.module)

    def watch_for_others(self) -> None:
        """Take note when other SDKs are imported that may say whose session it is."""
        import wrapt  # noqa: PLC0415  # see `_proxies`

        if not self._watching:
            self._watching = True
            for module in MODULES:
                wrapt.register_post_import_hook(_look_again, module)

    def _hook_late(self, registry: Registry, hook: Hook, module: Any) -> None:
        if self._hooks_live:
            self._hook(registry, hook, module)

    def _hook(self, registry: Registry, hook: Hook, module: Any) -> None:
        try:
            self.wrap(getattr(module, hook.owner), hook.method, functools.partial(hook.make, registry))
            registry.hooked.update(hook.instead)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's import
            swallow("transport hook", error)


def _look_again(_: object) -> None:
    find_imported_sdks()


def _proxies() -> Any:
    """Return the classes of wrapt's wrappers, with which instrumentations wrap."""
    # It imports asyncio and more, so not before anything is installed.
    import wrapt  # noqa: PLC0415

    # Since wrapt 2 its wrappers descend from a base of ObjectProxy and no longer from it.
    return (wrapt.ObjectProxy, getattr(wrapt, "BaseObjectProxy", wrapt.ObjectProxy))

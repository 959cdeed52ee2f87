"""Wraps functions of OpenTelemetry and of HTTP clients, and restores them again."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from ..failures import swallow
from ..http.clients import HOOKS, Hook
from ..sessions.foreign import MODULES, find_imported_sdks
from ..tracking.registry import Registry
from .imports import IMPORTS


class Patches:
    """The functions that one installation has wrapped."""

    def __init__(self) -> None:
        # For each: the class or module, the function's name, and our function.
        self._wrapped: list[tuple[Any, str, Any]] = []
        self._hooks_active = False
        # The hooks whose module was not imported yet.
        self._waiting: set[Hook] = set()
        # The registry's set of what the hooks cover; empty again after `undo`.
        self._hooked: set[str] = set()
        self._watches_sdks = False

    def wrap(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Replace a function of a class or module by `make(function)`.

        If instrumentations have wrapped the function already, ours is put inside of theirs. When they uninstrument,
        they remove the outermost wrapper, whoever put it there.
        """
        proxy: Any = None
        function: Any = vars(owner)[name]
        while isinstance(function, _proxies()):
            proxy, function = function, function.__wrapped__
        wrapped = make(function)
        if proxy is None:
            setattr(owner, name, wrapped)
        else:
            proxy.__wrapped__ = wrapped
        self._wrapped.append((owner, name, wrapped))

    def undo(self) -> None:
        """Restore all wrapped functions that can be reached.

        If somebody has wrapped ours with a plain function, ours stays inside of it. Each of ours does nothing while
        the registry is not active.
        """
        self._hooks_active = False
        self._hooked.clear()
        while self._wrapped:
            owner, name, wrapped = self._wrapped.pop()
            proxy: Any = None
            function: Any = vars(owner)[name]
            while function is not wrapped and isinstance(function, _proxies()):
                proxy, function = function, function.__wrapped__
            if function is not wrapped:
                continue  # somebody else's function is around ours, or has replaced it
            if proxy is None:
                setattr(owner, name, wrapped.__wrapped__)
            else:
                proxy.__wrapped__ = wrapped.__wrapped__

    def hook_transports(self, registry: Registry) -> None:
        """Hook the HTTP clients that are imported already, and each other one when it is imported."""
        self._hooks_active = True
        self._hooked = registry.hooked
        registry.is_hooking = True
        for hook in HOOKS:
            if (module := sys.modules.get(hook.module)) is not None:
                self._hook(registry, hook, module)
            elif hook not in self._waiting:
                self._waiting.add(hook)
                IMPORTS.call(functools.partial(self._hook_late, registry, hook), hook.module)

    def watch_sdks(self) -> None:
        """Look for session claims of other SDKs as soon as the app imports one of these SDKs."""
        if not self._watches_sdks:
            self._watches_sdks = True
            for module in MODULES:
                IMPORTS.call(_sdk_imported, module)

    def _hook_late(self, registry: Registry, hook: Hook, module: Any) -> None:
        if self._hooks_active:
            self._hook(registry, hook, module)

    def _hook(self, registry: Registry, hook: Hook, module: Any) -> None:
        try:
            self.wrap(getattr(module, hook.owner), hook.method, functools.partial(hook.make, registry))
            registry.hooked.update(hook.instead)
        except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's import
            swallow("transport hook", error)


def _sdk_imported(_: object) -> None:
    find_imported_sdks()


def _proxies() -> Any:
    """Return wrapt's proxy classes, which instrumentations wrap functions with; none if nobody has imported wrapt."""
    # Not imported here, because it imports asyncio and ssl, see `imports.py`.
    wrapt = sys.modules.get("wrapt")
    # Since wrapt 2, its wrappers inherit from `BaseObjectProxy` and no longer from `ObjectProxy`.
    names = ("ObjectProxy", "BaseObjectProxy")
    return tuple(getattr(wrapt, name) for name in names if hasattr(wrapt, name))

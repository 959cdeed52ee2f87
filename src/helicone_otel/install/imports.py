"""Calls functions when modules are imported. wrapt can do this, too, but it imports asyncio and ssl.

An app that gevent or eventlet patches wants to do that before these two are imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ..failures import swallow

_Function = Callable[[ModuleType], None]


class ImportWatch(MetaPathFinder):
    """Stands before the finders of modules, once there has been a module to wait for. It finds nothing itself."""

    def __init__(self) -> None:
        self._functions: dict[str, list[_Function]] = {}
        # The modules that the other finders look for just now: some of them ask all finders.
        self._searched: set[str] = set()

    def call(self, function: _Function, name: str) -> None:
        """Call a function with a module as soon as it is imported, which may be now. Its failures are swallowed."""
        if (module := sys.modules.get(name)) is not None:
            _call(function, module)
            return
        self._functions.setdefault(name, []).append(function)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders find, with a loader that tells of the import."""
        if fullname not in self._functions or fullname in self._searched:
            return None
        self._searched.add(fullname)
        try:
            # Like `importlib`, which leaves out what has no such method.
            finders = [getattr(finder, "find_spec", None) for finder in sys.meta_path if finder is not self]
            specs = (find(fullname, path, target) for find in finders if find is not None)
            spec = next((spec for spec in specs if spec is not None), None)
        finally:
            self._searched.discard(fullname)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _WatchedLoader(spec.loader, self)
        return spec

    def note(self, module: ModuleType) -> None:
        """Call the functions that wait for a module, once."""
        for function in self._functions.pop(module.__name__, ()):
            _call(function, module)


class _WatchedLoader:
    """A loader that tells when it has loaded a module. In all else it is the original."""

    def __init__(self, loader: Any, watch: ImportWatch) -> None:
        self._loader, self._watch = loader, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        """Load a module, which sees the original as its loader."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._watch.note(module)


def _call(function: _Function, module: ModuleType) -> None:
    try:
        function(module)
    except Exception as error:  # noqa: BLE001  # an exception here would come out of the user's import
        swallow("import", error)


IMPORTS = ImportWatch()

"""Functions are called when modules are imported, and nobody's import fails or changes because of that."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from helicone_otel.failures import swallowed
from helicone_otel.install.imports import ImportWatch

NAME = "a_module_of_the_app"


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ImportWatch]:
    (tmp_path / f"{NAME}.py").write_text("value = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    yield ImportWatch()
    sys.modules.pop(NAME, None)


def test_a_function_is_called_once_with_the_module_as_soon_as_that_is_loaded(watch: ImportWatch) -> None:
    seen: list[tuple[ModuleType, int]] = []
    watch.call(lambda module: seen.append((module, module.value)), NAME)
    assert seen == []

    module = importlib.import_module(NAME)
    importlib.reload(module)
    watch.call(lambda module: seen.append((module, module.value + 1)), NAME)

    assert seen == [(module, 7), (module, 8)]
    assert type(module.__loader__).__module__ == "_frozen_importlib_external"


@pytest.mark.failures
def test_a_failure_of_a_function_is_none_of_the_import(watch: ImportWatch) -> None:
    def fail(_: ModuleType) -> None:
        raise ZeroDivisionError

    watch.call(fail, NAME)

    assert importlib.import_module(NAME).value == 7
    assert swallowed()["import: ZeroDivisionError"] == 1


def test_a_finder_of_the_app_without_the_method_for_finding_is_left_out(watch: ImportWatch) -> None:
    seen: list[ModuleType] = []
    watch.call(seen.append, NAME)
    sys.meta_path.insert(1, object())  # type: ignore[arg-type]  # as the import system accepts it

    assert importlib.import_module(NAME) is seen[0]

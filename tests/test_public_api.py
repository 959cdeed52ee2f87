"""What users may import: the names of `helicone_otel`, its `testing` and its `notebooks`, complete and documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import helicone_otel
from helicone_otel import notebooks, testing
from tests.support.paths import REPOSITORY

PUBLIC = [(module, name) for module in (helicone_otel, testing, notebooks) for name in module.__all__]
IDS = [f"{module.__name__}.{name}" for module, name in PUBLIC]


def _members(value: object) -> Iterator[tuple[str, object]]:
    """Yield the public methods and properties that a class defines itself."""
    if inspect.isclass(value):
        for name, member in vars(value).items():
            if not name.startswith("_") and isinstance(member, classmethod | staticmethod | property):
                yield name, member
            elif not name.startswith("_") and inspect.isfunction(member):
                yield name, getattr(value, name)


def _names_for_type_checkers(module: ModuleType) -> set[str]:
    """Return the names that a module imports where only type checkers look."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    blocks = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    return {
        alias.asname or alias.name
        for block in blocks
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("module", [helicone_otel, testing, notebooks])
def test_the_public_names_are_sorted_and_each_can_be_loaded(module: ModuleType) -> None:
    assert module.__all__ == sorted(set(module.__all__))
    assert all(hasattr(module, name) for name in module.__all__)


def test_the_public_names_are_those_that_have_a_home() -> None:
    assert helicone_otel.__all__ == sorted(helicone_otel._HOMES)
    assert set(testing._HOMES) < set(testing.__all__)


def test_type_checkers_are_told_of_every_public_name() -> None:
    assert _names_for_type_checkers(helicone_otel) == set(helicone_otel.__all__)
    assert set(testing._HOMES) <= _names_for_type_checkers(testing)


@pytest.mark.parametrize("name", helicone_otel.__all__)
def test_a_public_name_is_the_object_of_that_name_in_its_home(name: str) -> None:
    home = importlib.import_module(f"helicone_otel.{helicone_otel._HOMES[name]}")
    value = getattr(helicone_otel, name)

    assert value is getattr(home, name)
    assert value.__name__ == value.__qualname__ == name
    assert value is getattr(importlib.import_module(value.__module__), name)
    assert value.__module__.startswith(home.__name__)


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=IDS)
def test_a_public_name_has_a_docstring_and_so_have_its_methods(module: ModuleType, name: str) -> None:
    value = getattr(module, name)
    undocumented = [member for member, definition in _members(value) if not inspect.getdoc(definition)]

    # `__doc__` alone: a class without a docstring must not pass with that of its base.
    assert value.__doc__
    assert undocumented == []


def test_every_public_name_is_documented_in_the_table_of_the_architecture_page_and_no_other_name_is() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    table = page.partition("<!-- public names -->\n")[2].partition("<!-- /public names -->")[0]
    names = [name for line in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])]

    assert sorted(names) == sorted(name for _, name in PUBLIC)


def test_a_plain_import_offers_the_public_names_and_loads_no_other_module() -> None:
    code = (
        "import sys, helicone_otel\n"
        "assert dir(helicone_otel) == helicone_otel.__all__, dir(helicone_otel)\n"
        "print([name for name in sys.modules if name.startswith(('helicone_otel.', 'opentelemetry'))])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (run.stdout, run.stderr) == ("[]\n", "")


@pytest.mark.parametrize("module", [helicone_otel, testing])
def test_a_name_that_is_not_public_is_an_attribute_error(module: ModuleType) -> None:
    with pytest.raises(AttributeError, match=f"module '{module.__name__}' has no attribute 'sessions_of'"):
        module.sessions_of  # noqa: B018  # to ask for it is the test

"""The tests are one package: nothing of them is importable by a top-level name."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import TESTS

# Without hidden folders, which are virtual environments, and without apps, which run as scripts of their own.
FILES = [*TESTS.glob("*.py"), *(file for file in TESTS.glob("[!.]*/**/*.py") if TESTS / "apps" not in file.parents)]
MODULES = {file.stem for file in FILES} | {file.parent.name for file in FILES if file.parent != TESTS}


def test_every_folder_is_a_package_with_an_empty_init_file() -> None:
    inits = [file for file in FILES if file.name == "__init__.py"]

    assert {file.parent for file in FILES} == {file.parent for file in inits}
    # Other environments import some modules, and must not need more packages for that.
    assert [file for file in inits if file.read_bytes()] == []


def test_modules_import_each_other_from_the_package() -> None:
    top_level = MODULES - sys.stdlib_module_names - {"__main__"}

    assert {(str(file), name) for file in FILES for name in _imports(file) if name in top_level} == set()


def _imports(file: Path) -> Iterator[str]:
    """Yield the top-level name of each absolute import."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]

"""Packages import in one direction, there are no cycles of files, and imports stay cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import helicone_otel

PACKAGE = Path(helicone_otel.__file__).parent

# A package imports only packages to its left. `base` is the modules at the root.
ORDER = ("base", "spans", "sessions", "settings", "tracking", "http", "otel", "log", "install")
# These two are outside of this order. They import up to `settings`; only the entry modules and the tools import them.
SEPARATE = ("manual", "collector")
TOOL_RANKS = (
    ("terminal", "redaction", "folders", "body_limits"),
    ("replay", "fakes"),
    ("view", "diagnostics"),
    ("cli",),
)
# The modules that users import or run. Each loads what it needs when it is used.
ENTRY_MODULES = ("__init__", "__main__", "testing", "notebooks")
PURE = ("base", "spans")


def _modules() -> dict[str, Path]:
    named = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


MODULES = _modules()


def _package(module: str) -> str:
    first = module.split(".", maxsplit=1)[0]
    if (PACKAGE / first).is_dir():
        return first
    return first if first in {*ENTRY_MODULES, "settings"} else "base"


def _imported(module: str) -> Iterator[tuple[str, bool]]:
    """Yield the modules of this package that a module imports, and whether it imports them when it is loaded."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" and module != "__init__" else module.split(".")[:-1]
    tree = ast.parse(path.read_text())
    at_load = {id(node) for statement in tree.body if not _is_lazy(statement) for node in ast.walk(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("helicone_otel")):
            base = package[: len(package) - node.level + 1] if node.level else []
            inside = [*base, *(part for part in (node.module or "").split(".") if part and part != "helicone_otel")]
            for alias in node.names:
                whole = ".".join([*inside, alias.name])
                yield (whole if whole in MODULES else ".".join(inside) or "__init__"), id(node) in at_load


def _is_lazy(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or (
        isinstance(statement, ast.If) and isinstance(statement.test, ast.Name) and statement.test.id == "TYPE_CHECKING"
    )


IMPORTS: Mapping[str, list[tuple[str, bool]]] = {module: list(_imported(module)) for module in MODULES}


def _may_import(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    if importer in SEPARATE:
        return imported in ORDER[: ORDER.index("settings") + 1]
    if importer == "tools":
        return imported in {*ORDER, *SEPARATE}
    return imported in ORDER[: ORDER.index(importer)]


@pytest.mark.parametrize("module", sorted(name for name in MODULES if _package(name) not in ENTRY_MODULES))
def test_a_module_imports_only_packages_to_its_left(module: str) -> None:
    importer = _package(module)
    wrong = {name for name, _ in IMPORTS[module] if not _may_import(importer, _package(name))}

    assert wrong == set()


def test_the_library_imports_its_tools_only_in_three_modules_and_only_on_use() -> None:
    importers = {
        (module, at_load)
        for module, imports in IMPORTS.items()
        for name, at_load in imports
        if _package(name) == "tools" and _package(module) not in {"tools", "__main__"}
    }

    assert importers == {("__init__", False), ("testing", False), ("notebooks", False)}


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("tools.")))
def test_a_tool_imports_only_tools_of_a_lower_rank(module: str) -> None:
    rank = {name: level for level, names in enumerate(TOOL_RANKS) for name in names}
    own = module.split(".")[1]
    others = {name.split(".")[1] for name, _ in IMPORTS[module] if name.startswith("tools.")} - {own}

    assert {name for name in others if rank[name] >= rank[own]} == set()


def test_there_is_no_cycle_of_imports_between_files() -> None:
    finished: set[str] = set()
    cycles: list[list[str]] = []

    def visit(module: str, line: list[str]) -> None:
        if module in line:
            cycles.append([*line[line.index(module) :], module])
        elif module not in finished:
            for name in sorted({name for name, _ in IMPORTS[module]} - {module}):
                visit(name, [*line, module])
            finished.add(module)

    for module in sorted(MODULES):
        visit(module, [])

    assert cycles == []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if _package(name) in PURE))
def test_base_and_spans_know_nothing_of_opentelemetry(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}

    assert {name for name in imported if name.startswith("opentelemetry")} == set()


def test_the_number_of_modules_at_the_root_and_of_all_files_is_limited() -> None:
    assert len([name for name in MODULES if "." not in name and not (PACKAGE / name).is_dir()]) <= 16
    assert len(MODULES) <= 205


def test_no_package_or_module_has_the_name_of_a_public_function() -> None:
    assert {name for name in MODULES if "." not in name} & set(helicone_otel.__all__) == set()


@pytest.mark.parametrize(
    "code",
    [
        "import opentelemetry.propagate",
        "import helicone_otel, opentelemetry.propagate",
        "import opentelemetry.sdk.trace, helicone_otel, opentelemetry.propagate",
    ],
)
def test_the_propagator_loads_from_the_environment_in_any_import_order(code: str) -> None:
    show = "; print('Helicone-Session-Id' in opentelemetry.propagate.get_global_textmap().fields)"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + show],
        env={"OTEL_PROPAGATORS": "tracecontext,baggage,helicone"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (run.stdout, run.stderr, run.returncode) == ("True\n", "", 0)


def test_importing_the_package_loads_no_exporter_no_propagate_and_no_http_client() -> None:
    code = (
        "import sys, helicone_otel\n"
        "for name in helicone_otel.__all__: getattr(helicone_otel, name)\n"
        "heavy = ('opentelemetry.exporter', 'httpx', 'requests', 'grpc', 'starlette', 'helicone_otel.tools.view')\n"
        "loaded = [name for name in sys.modules if name.startswith(heavy)\n"
        "          or name == 'opentelemetry.propagate']\n"
        "print(sorted(loaded))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"

"""Imports go down only, and importing the package does not reach what it must not reach."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import helicone_otel

PACKAGE = Path(helicone_otel.__file__).parent

# A module may import modules of lower layers, and those of its own layer that stand before it.
LAYERS = (
    ("_wire", "_fractions", "_guard", "_memory", "_content", "_matches"),
    ("_session", "_names", "_spans", "_vocabulary", "_destinations", "_endpoint", "_limits"),
    (
        "dialects._anthropic",
        "dialects._by_hand",
        "dialects._contents",
        "dialects._databases",
        "dialects._endpoints",
        "dialects._entrances",
        "dialects._gen_ai",
        "dialects._frameworks",
        "dialects._langfuse",
        "dialects._langsmith",
        "dialects._libraries",
        "dialects._llama_index",
        "dialects._mcp",
        "dialects._operations",
        "dialects._openinference",
        "dialects._langchain",
        "dialects._openlit",
        "dialects._providers",
        "dialects._pydantic",
        "dialects._scopes",
        "dialects._traceloop",
        "dialects",
        "_entrances",
        "_ottl",
        "_own_dialects",
        "_settings",
        "_stands",
        "_records._json",
        "_records._pieces",
        "_records._numbered",
        "_records._parts",
        "_records._messages",
        "_records._types",
        "_records._content",
        "_records._forms",
        "_records._shapes",
        "_records._told",
        "_records._together",
        "_records._usage",
        "_records._call",
        "_records._failure",
        "_records._openai",
        "_records._anthropic",
        "_records._google",
        "_records._steps",
        "_records._meta",
        "_records._row",
        "_records._encode",
        "_records",
    ),
    (
        "_visits",
        "_openings",
        "_by_hand",
        "_manual_calls",
        "_manual",
        "_shown",
        "_scopes",
        "_context",
        "_record",
        "_requests",
        "_calls",
        "_lineage",
        "_bridges",
        "_sessions",
        "_around",
        "_strangers",
        "_resolver",
        "_labeller",
        "_arrivals",
        "_foresight",
        "_registry",
    ),
    (
        "_carriers",
        "_written",
        "_inbound",
        "_messages",
        "_processor",
        "_propagator",
        "_sampler",
        "_settled",
        "_transport",
        "_clients",
        "_client.verdict",
        "_client.parcel",
        "_client.outbox",
        "_client.watch",
        "_client.pools",
        "_client.post",
        "_client",
        "_api",
        "_feedback",
        "_joined",
        "_exporter",
        "_log",
    ),
    ("_by_name", "_exporter_by_name", "_wraps", "_first", "_bootstrap"),
)
ORDER = {module: place for place, module in enumerate(module for layer in LAYERS for module in layer)}
PURE = {module for layer in LAYERS[:3] for module in layer}
# The doors stand on top of everything: each may use the others, and nothing below uses them.
DOORS = (
    "__init__",
    "__main__",
    "_cli",
    "_demo",
    "_doctor",
    "_explain",
    "_instrumentor",
    "_testing",
    "_view",
    "testing",
)


def _modules() -> dict[str, Path]:
    named = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def _is_door(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in DOORS


def _imports(name: str, path: Path) -> set[str]:
    """Return the modules of this package that a module imports, by their names below it."""
    package = name.split(".") if path.name == "__init__.py" and name != "__init__" else name.split(".")[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = package[: len(package) - node.level + 1]
        inside = [*base, *(node.module.split(".") if node.module else [])]
        found |= {".".join(inside)} if node.module else {".".join([*inside, alias.name]) for alias in node.names}
    return found


def test_every_module_has_its_layer() -> None:
    assert sorted(name for name in _modules() if not _is_door(name)) == sorted(ORDER)


@pytest.mark.parametrize("name", sorted(ORDER))
def test_a_module_imports_only_what_stands_below_it(name: str) -> None:
    wrong = {module for module in _imports(name, _modules()[name]) if _is_door(module) or ORDER[module] >= ORDER[name]}

    assert wrong == set()


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_pure_layers_know_nothing_of_opentelemetry(name: str) -> None:
    tree = ast.parse(_modules()[name].read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}

    assert {module for module in imported if module.startswith("opentelemetry")} == set()


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
        "heavy = ('opentelemetry.exporter', 'httpx', 'requests', 'grpc', 'starlette', 'helicone_otel._view')\n"
        "loaded = [name for name in sys.modules if name.startswith(heavy)\n"
        "          or name == 'opentelemetry.propagate']\n"
        "print(sorted(loaded))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


def test_the_public_names_are_sorted_and_there() -> None:
    assert helicone_otel.__all__ == sorted(helicone_otel.__all__) == sorted(helicone_otel._HOMES)
    assert all(hasattr(helicone_otel, name) for name in helicone_otel.__all__)


def test_type_checkers_are_told_of_every_public_name() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    told = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }

    assert told == set(helicone_otel.__all__)

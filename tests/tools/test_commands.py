"""The command line without the extras: each command adds its own arguments, and says what is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT_EXTRAS = """
import sys

EXTRAS = {
    "rich", "starlette", "uvicorn", "jinja2", "xlsx2echarts", "js_lib_tabulator", "openai", "mcp", "qdrant_client"
}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from helicone_otel.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def without_extras(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("command", ["env", "collector-config"])
def test_a_command_that_needs_no_extra_works_without_one(command: str) -> None:
    code, output, errors = without_extras(command)

    assert (code, bool(output), errors) == (0, True, "")


@pytest.mark.parametrize("command", ["run", "demo", "doctor", "explain", "view"])
def test_help_needs_no_extra(command: str) -> None:
    code, output, errors = without_extras(command, "--help")

    assert (code, output.startswith(f"usage: helicone-otel {command}"), errors) == (0, True, "")


@pytest.mark.parametrize("arguments", [["run", "--", "python"], ["demo"], ["view"]])
def test_the_packages_that_are_missing_are_named(arguments: list[str]) -> None:
    code, output, errors = without_extras(*arguments)

    assert (code, output) == (2, "")
    assert f'pip install "helicone-otel[{arguments[0]}]"' in errors

"""What stands around the package: hooks and workflows run what the gate runs, and documents name what exists."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import helicone_otel
from helicone_otel.tools.fakes.server import API_HOSTS, GATEWAY_HOSTS, LOG_HOSTS
from tests.support.documents import PAGES
from tests.support.paths import REPOSITORY

GATE = (REPOSITORY / ".ci" / "run").read_text()
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
PACKAGE = Path(helicone_otel.__file__).parent
DOCUMENTS = ("CONTRIBUTING.md", "SECURITY.md", "examples/README.md", *PAGES)
# A file, or a folder with a `/` at its end.
A_PATH = re.compile(r"\.?\w[\w./-]*(?:/|\.(?:py|md|toml|ya?ml|json))|\.ci/run")
# What the guide to a new family has for an example.
EXAMPLE = "native_acme"
# The websites of Helicone.
WEBSITES = {"us.helicone.ai", "eu.helicone.ai", "www.helicone.ai", "docs.helicone.ai"}
A_HOST = re.compile(r"https://([a-z0-9.-]+\.(?:helicone\.ai|hconeai\.com))\b")
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


def test_each_host_of_helicones_that_we_name_exists() -> None:
    files = [REPOSITORY / name for name in (*DOCUMENTS, "collector-config.yaml")]
    files += [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".md", ".yaml", ".js", ".html"}]
    named = {host: path.name for path in files for host in A_HOST.findall(path.read_text())}

    assert {host: name for host, name in named.items() if host not in LOG_HOSTS | API_HOSTS | GATEWAY_HOSTS} == {
        host: name for host, name in named.items() if host in WEBSITES
    }


def _loaded(name: str) -> dict[Any, Any]:
    return yaml.safe_load((REPOSITORY / name).read_text())


def _commands(title: str) -> list[str]:
    """Return the commands of one step of the gate, without those that install."""
    (body,) = re.findall(rf'^step "{re.escape(title)}"\n((?:.+\n)*)', GATE, flags=re.MULTILINE)
    return [line for line in body.splitlines() if not line.startswith("pip install")]


def test_the_pre_commit_hooks_run_what_the_gate_runs_for_lint_and_types() -> None:
    (local,) = _loaded(".pre-commit-config.yaml")["repos"]
    entries = {hook["id"]: hook["entry"] for hook in local["hooks"]}
    tests = entries.pop("architecture")

    assert list(entries.values()) == [
        *_commands("lint"),
        *_commands("types (strict), of the library and of users' code"),
    ]
    # The suite of the gate has these too.
    assert tests.startswith("pytest ")
    assert [name for name in tests.split() if name.endswith(".py") and not (REPOSITORY / name).is_file()] == []


def test_the_gate_runs_on_each_python_that_the_package_names() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text()
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    (job,) = _loaded(".github/workflows/gate.yml")["jobs"].values()

    assert job["strategy"]["matrix"]["python"] == named
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
def test_a_workflow_may_only_read_and_pins_the_actions_that_it_uses(name: str) -> None:
    workflow = _loaded(f".github/workflows/{name}")
    jobs = workflow["jobs"].values()
    uses = [step["uses"] for job in jobs for step in job.get("steps", ()) if "uses" in step]

    assert workflow["permissions"] == {"contents": "read"}
    assert [action for action in uses if not PINNED.fullmatch(action)] == []


def test_only_the_job_that_publishes_gets_an_identity_and_it_runs_after_the_gate() -> None:
    jobs = _loaded(".github/workflows/publish.yml")["jobs"]
    runs = [step["run"] for step in jobs["build"]["steps"] if "run" in step]

    assert {name: job["permissions"] for name, job in jobs.items() if "permissions" in job} == {
        "publish": {"id-token": "write"}
    }
    assert jobs["publish"]["environment"] == "pypi"
    assert set(jobs["publish"]["needs"]) == {"gate", "build"}
    assert runs[-2:] == ["python -m build", "twine check --strict dist/*"]


def _paths(document: str) -> Iterator[tuple[str, list[Path]]]:
    """Yield the files and folders that a document names in backticks, and the folders in which each may be."""
    for line in (REPOSITORY / document).read_text().splitlines():
        # In the table of packages, files are relative to the package that the row is about.
        package = re.match(r"\| `(\w+/)` \|", line)
        folders = [REPOSITORY, PACKAGE, *([PACKAGE / package[1]] if package else ())]
        for name in re.findall(r"`([^`\s]+)`", line):
            if A_PATH.fullmatch(name) and EXAMPLE not in name:
                yield name, folders


def _is_there(folder: Path, name: str) -> bool:
    path = folder / name
    return path.is_dir() if name.endswith("/") else path.is_file()


def _definitions(path: Path) -> set[str]:
    """Return the functions, classes and methods of a module: `Class.method` for methods."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def _commands_shown(document: str) -> Iterator[list[str]]:
    """Yield the commands of a document's shell blocks, and those in backticks, as words."""
    text = (REPOSITORY / document).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    for command in (*lines, *re.findall(r"`((?:python|pytest) [^`]+)`", text)):
        if command.startswith(("python tests/", "python -m tests.", "pytest ")):
            yield shlex.split(command, comments=True)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_and_folder_that_a_document_names_exists(document: str) -> None:
    missing = [name for name, folders in _paths(document) if not any(_is_there(folder, name) for folder in folders)]

    assert missing == []


def test_every_function_that_the_architecture_page_names_is_in_the_file_that_it_names() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    named = re.findall(r"`([\w/]+\.py)` \(`([\w.]+)`\)", page)

    assert len(named) > 15
    assert [pair for pair in named if pair[1] not in _definitions(PACKAGE / pair[0])] == []


def test_the_architecture_page_names_every_package_and_every_file_of_tracking() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    files = {f"tracking/{path.name}" for path in PACKAGE.glob("tracking/*.py")} - {"tracking/__init__.py"}

    assert {name for name in packages if f"| `{name}/` |" not in page} == set()
    assert {name for name in files if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_inside_the_repository_leads_somewhere(document: str) -> None:
    text = (REPOSITORY / document).read_text()
    folder = (REPOSITORY / document).parent
    links = re.findall(r"\]\(([^)\s:]+)\)", text)
    broken = []
    for link in links:
        name, _, anchor = link.partition("#")
        target = folder / name if name else REPOSITORY / document
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)

    assert broken == []


def _anchors(document: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_the_tests_that_a_document_shows_can_be_run(document: str) -> None:
    wrong = []
    for words in _commands_shown(document):
        if words[0] == "pytest":
            wrong += [word for word in words if word.startswith("tests/") and not (REPOSITORY / word).exists()]
        elif words[1] == "-m":
            module = REPOSITORY / words[2].replace(".", "/")
            runs = module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
            wrong += [] if runs and (module.parent / "__init__.py").is_file() else [words[2]]
        else:
            script = REPOSITORY / words[1]
            wrong += [] if script.is_file() or (script / "__main__.py").is_file() else [words[1]]
            # A package is run by its name: run by its path, it could not import itself.
            wrong += [words[1]] if (script / "__init__.py").is_file() else []

    assert wrong == []

"""What stands around the package: hooks and workflows run what the gate runs, and documents name what exists."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support.paths import REPOSITORY

GATE = (REPOSITORY / ".ci" / "run").read_text()
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40}")


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

"""The walks of `tests/walks.py` pass no more files of the package than their budgets allow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.paths import REPOSITORY

# The most files that each walk passes.
BUDGETS = {"start": 12, "end": 6, "header": 9, "row": 18}
# Calls and files of a span like one before it. These are exact: a call more is a cost on every span.
STEADY = {"next_start": (4, 4), "next_end": (2, 2)}

Walks = dict[str, tuple[int, list[str]]]


@pytest.fixture(scope="module")
def walks() -> Walks:
    """Walk in a new interpreter: what other tests import or install must not count."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "HELICONE_"))}
    command = [sys.executable, "-m", "tests.walks", "--json"]
    done = subprocess.run(command, env=environ, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found: Walks = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", BUDGETS)
def test_a_walk_passes_few_files(name: str, walks: Walks) -> None:
    _, files = walks[name]

    assert len(files) <= BUDGETS[name], "\n".join(files)


@pytest.mark.parametrize("name", STEADY)
def test_a_span_like_one_before_it_takes_few_calls(name: str, walks: Walks) -> None:
    calls, files = walks[name]

    assert (calls, len(files)) == STEADY[name], "\n".join(files)

"""Every test starts and ends without settings, sessions and failures; and fixtures for two HTTP servers."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator

import hypothesis
import pytest
from opentelemetry.context import attach, get_current

from helicone_otel import Settings, failures
from helicone_otel.tracking.registry import REGISTRY
from tests.support.examples import examples
from tests.support.raw_http import Wire, listening

# Tests must not depend on the speed of the machine.
hypothesis.settings.register_profile("helicone-otel", deadline=None, max_examples=examples(100))
hypothesis.settings.load_profile("helicone-otel")

# A run starts hundreds of interpreters. With PYTHONDONTWRITEBYTECODE, which many images of containers set, each of them
# compiles the whole library again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = [
    "pytester",
    "tests.support.ahead",
    "tests.support.environments",
    "tests.support.otelcol",
    "tests.support.load",
    "tests.support.logs",
]


def pytest_collection_finish() -> None:
    """Leave the modules that are loaded out of all garbage collections: with them each takes as long as many tests."""
    gc.collect()
    gc.freeze()
    gc.collect()  # now that there is little to look at, garbage of the tests is found as soon as in a small app


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Reset the environment and the library's state, and fail a test that leaves a Context or a failure behind."""
    for variable in [name for name in os.environ if name.startswith(("HELICONE_", "OTEL_"))]:
        monkeypatch.delenv(variable)
    REGISTRY.configure(Settings())
    REGISTRY.injected.clear()
    REGISTRY.decides_at_end = False
    REGISTRY.active = True  # a test before may have uninstalled the library
    failures._counts.clear()
    before = get_current()
    yield
    after = get_current()
    if after != before:
        attach(before)  # so that the next tests do not fail, too
    assert after == before
    if request.node.get_closest_marker("failures") is None:
        # A failure is counted as `where: class`, and what was dropped as a sentence.
        assert [kind for kind in failures.swallowed() if kind.endswith(("Error", "Exception"))] == []


@pytest.fixture
def gateway() -> Iterator[Wire]:
    with listening() as wire:
        yield wire


@pytest.fixture
def other() -> Iterator[Wire]:
    with listening() as wire:
        yield wire

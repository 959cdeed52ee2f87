"""What every test starts from and leaves behind: no setting, no session, nothing counted; and servers to talk to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
from opentelemetry.context import attach, get_current

from helicone_otel import Settings, _guard
from helicone_otel._registry import REGISTRY
from helicone_otel._written import WRITTEN
from wire import Wire, listening

# No test is about time, and shared machines have slow moments.
hypothesis.settings.register_profile("helicone-otel", deadline=None)
hypothesis.settings.load_profile("helicone-otel")

pytest_plugins = ["pytester", "environments", "otelcol", "load", "logs"]


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Scrub the environment and the library's state, and let no test leave a context or a failure behind."""
    for variable in [name for name in os.environ if name.startswith(("HELICONE_", "OTEL_"))]:
        monkeypatch.delenv(variable)
    REGISTRY.configure(Settings())
    WRITTEN.clear()
    REGISTRY.thorough = False
    REGISTRY.active = True  # a test before may have taken everything out
    _guard._counts.clear()
    before = get_current()
    yield
    after = get_current()
    if after != before:
        attach(before)  # the tests that follow are not to suffer
    assert after == before
    if request.node.get_closest_marker("failures") is None:
        # Of our failures the count says `where: class`; of what was dropped, a sentence.
        assert [kind for kind in _guard.swallowed() if kind.endswith(("Error", "Exception"))] == []


@pytest.fixture
def gateway() -> Iterator[Wire]:
    with listening() as wire:
        yield wire


@pytest.fixture
def other() -> Iterator[Wire]:
    with listening() as wire:
        yield wire

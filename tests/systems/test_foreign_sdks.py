"""Sessions of other SDKs are ours, and ours are theirs; with the real SDKs, each in its own environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.ahead import inherited
from tests.support.environments import Environments
from tests.support.paths import TESTS
from tests.systems.test_vendors import VENDORS

pytestmark = pytest.mark.slow

HERE = TESTS / "apps"
TRACELOOP = VENDORS["traceloop"]


class Sdk(NamedTuple):
    """An SDK.

    Attributes:
        requirements: What pip installs.
        alone: What pip installs without dependencies.
        scoped: Its API opens a session. Without this, it names a run, which stays in the session around it.
        user: The user that it sets for a request.
        groups_by: The attributes of its own spans by which its backend groups them.
    """

    requirements: tuple[str, ...]
    alone: tuple[str, ...] = ()
    scoped: bool = True
    user: str | None = "ann"
    groups_by: frozenset[str] = frozenset()


SDKS = {
    "openinference": Sdk(("openinference-instrumentation", "httpx"), groups_by=frozenset({"session.id"})),
    "langfuse": Sdk(VENDORS["langfuse"].requirements, groups_by=frozenset({"session.id"})),
    "traceloop": Sdk(TRACELOOP.requirements, TRACELOOP.alone, groups_by=frozenset({"gen_ai.conversation.id"})),
    "langsmith": Sdk(
        VENDORS["langsmith"].requirements, scoped=False, groups_by=frozenset({"langsmith.metadata.session_id"})
    ),
    "agents": Sdk(("openai-agents", "httpx"), scoped=False, user=None),
}


def printed_by(name: str, environments: Environments) -> dict[str, Any]:
    sdk = SDKS[name]
    return _run(environments.python(name, sdk.requirements, sdk.alone), name)


@pytest.mark.ahead(work=printed_by)
@pytest.mark.parametrize("name", SDKS)
def test_the_sessions_of_an_sdk_are_ours_and_ours_are_the_sdks(name: str, outcome: dict[str, Any]) -> None:
    sdk, printed = SDKS[name], outcome
    theirs = sdk.user
    assert printed["requests"] == [
        ["without a span", theirs],
        ["with one", theirs],
        ["inside ours", theirs] if sdk.scoped else ["ours", None],
        ["ours inside", None],
        ["unsampled", theirs],
        ["c1", theirs],
        ["c2", theirs],
        [None, None],
        ["ours", None],
    ]
    assert [{key: own[key] for key in sdk.groups_by} for own in printed["own"]] == [
        dict.fromkeys(sdk.groups_by, "ours") for _ in printed["own"]
    ]
    assert bool(printed["own"]) == bool(sdk.groups_by)


def _run(python: Path, name: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-W", "ignore", HERE / "foreign_sessions.py", name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=inherited("OTEL_", "HELICONE_"),
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return printed

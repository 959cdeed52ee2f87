"""Calls that bypass gateways are logged once, whatever creates the provider and when.

Every case runs in a new interpreter, which logs to a fake Helicone.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

import pytest

from helicone_otel.tools.fakes.loopback import serving
from helicone_otel.tools.fakes.requests import Trouble
from helicone_otel.tools.fakes.rows import Row
from helicone_otel.tools.fakes.server import FakeHelicone
from tests.support import launching
from tests.support.environments import Environments
from tests.support.launching import AppRun, base_environ
from tests.support.launching import run as run_setup
from tests.systems.test_setups import CASES, NAMED
from tests.systems.test_vendors import VENDORS
from tests.systems.test_vendors import run as run_vendor

CONFIGURATOR = CASES["configurator"]
LAUNCHED = pytest.mark.skipif(
    find_spec("opentelemetry.distro") is None, reason="the launcher's configurator is not installed"
)
FILES = pytest.mark.skipif(
    find_spec("opentelemetry.configuration") is None, reason="configuration files need opentelemetry-configuration"
)
# The calls of each app that bypass the gateway: a tool runs twice, once in a session that code opens.
SEARCHES = [
    ("tool:web_search", "shop", "/plan_trip/web_search"),
    ("tool:web_search", "Trip Planning", "/plan_trip/web_search"),
]


class Logged(NamedTuple):
    """What an app did, and what it logged."""

    app: AppRun
    rows: Sequence[Row]


def logged(name: str, method: str, **more: str) -> Logged:
    """Run an app that logs to a fake Helicone of its own."""
    with serving(FakeHelicone()) as fake:
        return Logged(run_setup(CASES[name], method, **environ(fake, **more)), fake.rows)


def environ(fake: FakeHelicone, **more: str) -> dict[str, str]:
    return {"HELICONE_API_KEY": fake.key, "HELICONE_LOG_ENDPOINT": fake.url, **more}


def summary(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    return [(row.model, row.session_name, row.session_path) for row in sorted(rows, key=lambda row: row.started)]


def check(rows: Sequence[Row]) -> None:
    """Check that each operation that bypassed the gateway is one row, sent once."""
    assert summary(rows) == SEARCHES
    assert [row.sends for row in rows] == [1, 1]
    assert [row.session_id for row in rows if row.session_name == "Trip Planning"] == ["trip-42"]
    assert [flaw for row in rows for flaw in row.flaws] == []


@pytest.mark.ahead(work=lambda name, method: logged(name, method, HELICONE_LOG="true"))
@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param("configurator", "instrument", marks=LAUNCHED),
        pytest.param("configuration file", "instrument", marks=[LAUNCHED, FILES, pytest.mark.slow]),
        pytest.param("configuration file that names us", "instrument", marks=[LAUNCHED, FILES, pytest.mark.slow]),
        pytest.param("own provider", "configure first", marks=pytest.mark.slow),
        pytest.param("own provider", "configure last", marks=pytest.mark.slow),
        pytest.param("own provider", "instrument", marks=pytest.mark.slow),
        pytest.param("own provider beside the configurator's", "configure last", marks=pytest.mark.slow),
        pytest.param("tracers before the provider", "configure first", marks=pytest.mark.slow),
        pytest.param("several providers", "configure last", marks=pytest.mark.slow),
        pytest.param("processors in a pool", "configure first", marks=pytest.mark.slow),
    ],
)
def test_calls_past_the_gateway_are_logged_whatever_makes_the_provider(name: str, method: str, outcome: Logged) -> None:
    check(outcome.rows)


@pytest.mark.ahead(work=lambda name, method: logged(name, method, LOG_IN_CODE="yes"))
@pytest.mark.parametrize(
    ("name", "method"),
    [
        *[
            pytest.param(name, method, marks=pytest.mark.slow)
            for name, method in [
                ("configurator", "configure first"),
                ("several providers", "configure first"),
                ("own provider", "configure first"),
                ("own provider", "configure last"),
            ]
        ],
    ],
)
def test_the_log_is_switched_on_in_code(name: str, method: str, outcome: Logged) -> None:
    check(outcome.rows)


@LAUNCHED
@pytest.mark.ahead(work=lambda more: logged("configurator", "instrument", OTEL_TRACES_EXPORTER="otlp,helicone", **more))
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="by name"),
        pytest.param({"HELICONE_LOG": "true"}, id="by name and by HELICONE_LOG", marks=pytest.mark.slow),
    ],
)
def test_the_configurator_finds_the_exporter_by_name(more: dict[str, str], outcome: Logged) -> None:
    check(outcome.rows)
    assert {span.name for span in outcome.app.spans} == {"plan trip", "chat gpt-5.4-mini", "POST", "look up"}


@LAUNCHED
@FILES
@pytest.mark.slow
def test_a_configuration_file_names_the_exporter(fake: FakeHelicone, monkeypatch: pytest.MonkeyPatch) -> None:
    both = "processors: [{{batch: {{exporter: {{helicone: {{}}}}}}}}, "
    monkeypatch.setattr(launching, "CONFIGURATION", launching.CONFIGURATION.replace("processors: [", both))

    run_setup(CASES["configuration file"]._replace(file=NAMED), "instrument", **environ(fake))

    check(fake.rows)


@LAUNCHED
@pytest.mark.slow
def test_nothing_is_logged_when_the_instrumentor_is_disabled(fake: FakeHelicone) -> None:
    # The variable disables us, but the exporter is still named.
    variables = environ(fake, OTEL_TRACES_EXPORTER="otlp,helicone", HELICONE_LOG="true")
    run_setup(CONFIGURATOR, "launched without", **variables, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="helicone")

    assert fake.rows == []


def logged_beside(name: str, method: str, environments: Environments) -> Sequence[Row]:
    """Run an app under a vendor's SDK, and return the rows that it logged."""
    vendor = VENDORS[name]
    python = environments.python(name.removesuffix("_client"), vendor.requirements, vendor.alone)
    with serving(FakeHelicone()) as fake:
        run_vendor(name, method, python, **environ(fake, HELICONE_LOG="true"))
        return fake.rows


@pytest.mark.slow
@pytest.mark.ahead(work=logged_beside)
@pytest.mark.parametrize("method", ["configure first", "instrument"])
@pytest.mark.parametrize("name", VENDORS)
def test_calls_past_the_gateway_are_logged_beside_a_vendor(name: str, method: str, outcome: Sequence[Row]) -> None:
    ours = [row for row in outcome if row.model == "tool:web_search"]
    assert summary(ours) == SEARCHES
    # Langfuse's generation is an LLM call that bypasses the gateway.
    assert len(outcome) == len(SEARCHES) + len(VENDORS[name].calls)
    assert {row.sends for row in outcome} == {1}


ENDING_APP = """
import os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from helicone_otel import HeliconeSpanExporter, Settings, configure, session, tool
provider = TracerProvider(shutdown_on_exit=sys.argv[1] == "shut down")
trace.set_tracer_provider(provider)
installation = configure(log=True)

@tool
def greet(who):
    return f"Hello {who}"

with session("Shop", id="before"):
    greet("Ann")
    if sys.argv[1] in {"configured again", "uninstalled"}:
        for _ in range(63):
            greet("Ann")
if sys.argv[1] == "configured again":
    configure(Settings(session_name="Other"), log=HeliconeSpanExporter())
if sys.argv[1] == "uninstalled":
    installation.uninstall()
if sys.argv[1] == "forked":
    child = os.fork()
    with session("Shop", id="child" if child == 0 else "parent"):
        greet("Bob")
    if child == 0:
        provider.force_flush()
        os._exit(0)
    os.waitpid(child, 0)
if sys.argv[1] == "multiprocessing":
    import multiprocessing
    def work():
        with session("Shop", id="worker"):
            greet("Bob")
    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    worker.join()
"""


def ended(how: str) -> tuple[int, str, Sequence[Row]]:
    """Run the app that ends in a certain way; return its exit code, its output, and what arrived."""
    with serving(FakeHelicone()) as fake:
        fake.troubles.from_now_on(Trouble(seconds=0.1))
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-c", ENDING_APP, how],
            env={**base_environ("none"), **environ(fake)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr, fake.rows


@pytest.mark.ahead(work=ended)
@pytest.mark.parametrize(
    ("how", "sessions"),
    [
        ("shut down", ["before"]),
        ("left alone", ["before"]),
        ("forked", ["before", "child", "parent"]),
        ("multiprocessing", ["before", "worker"]),
        ("configured again", ["before"] * 64),
        ("uninstalled", ["before"] * 64),
    ],
)
def test_rows_are_sent_when_the_interpreter_ends_and_a_fork_sends_none_twice(
    how: str, sessions: list[str], outcome: tuple[int, str, Sequence[Row]]
) -> None:
    code, output, rows = outcome

    assert (code, output) == (0, "")
    assert sorted(row.session_id for row in rows) == sessions
    assert {row.sends for row in rows} == {1}

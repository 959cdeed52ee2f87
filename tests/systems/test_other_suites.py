"""Other people's test suites behave the same with the library on: those that published source packages carry."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import pytest

from tests.support.environments import Environments
from tests.support.other_suites import Outcomes, Runner, differing, environment, unpacked
from tests.support.paths import REPOSITORY

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Suite(NamedTuple):
    """The tests of one source package.

    Attributes:
        package: The package, as `name==version`. It is also installed.
        environment: The environment in which the tests run, by its key in `ENVIRONMENTS`.
        tests: The folders or files of the tests.
        arguments: More arguments of pytest.
        left_out: Tests that are not run, and why: a file, a folder, or the start of a node id.
        meant: Tests whose outcome differs with the library on, as `classname::name`, and why that is meant.
    """

    package: str
    environment: str
    tests: tuple[str, ...] = ("tests",)
    arguments: tuple[str, ...] = ()
    left_out: Mapping[str, str] = _NONE
    meant: Mapping[str, str] = _NONE


_PYTEST: Final = ("pytest>=8", "pytest-timeout")
_PINNED_TO_B2: Final = "opentelemetry-test-utils==0.66b2"
_PINNED_TO_B1: Final = "opentelemetry-test-utils==0.66b1"
_NETWORK: Final = "It needs the network."
_COUNTS: Final = "It compares all attributes of a span of an LLM call, and ours is labelled."
_HASTE: Final = "It allows 30 ms between two clocks, and a full pass of Python's garbage collector takes longer."
_TIMES_OUT: Final = "It waits for an address outside this machine, which answers nothing."

# What the tests need beside the packages that they test. Releases of OpenTelemetry's instrumentations pin each other.
ENVIRONMENTS: Final = {
    "opentelemetry": (_PINNED_TO_B2, "opentelemetry-configuration==0.66b2", "mocket", "httpretty", "responses"),
    "asgi": (_PINNED_TO_B2, "pytest-asyncio"),
    # Newer ones have spans of their own, which the tests of this release do not expect even without us.
    "fastapi": (_PINNED_TO_B2, "fastapi==0.124.4", "requests", "httpx"),
    "httpx-instrumented": (_PINNED_TO_B2, "httpx[http2]", "httpx2", "respx"),
    "opentelemetry-older": (
        _PINNED_TO_B1,
        "mocket",
        "httpretty",
        "aiohttp",
        "urllib3",
        "requests",
        "http-server-mock",
    ),
    "genai": (_PINNED_TO_B2, "opentelemetry-util-genai[upload]", "pytest-asyncio"),
    "anthropic": (
        *("anthropic[aiohttp,bedrock,vertex,mcp,webhooks]", "opentelemetry-sdk", "respx", "pytest-asyncio"),
        *("time-machine", "dirty-equals", "importlib-metadata", "rich", "hypothesis", "inline-snapshot", "griffe"),
        "http-snapshot[httpx]==0.1.9",
    ),
    "openai": (
        *("openai[aiohttp,realtime]", "httpx", "respx", "pytest-asyncio", "inline-snapshot", "rich", "trio"),
        *("azure-identity", "botocore", "griffe", "Pillow"),
    ),
    "httpcore": ("anyio", "h2", "socksio", "trio", "pytest-trio", "pytest-httpbin==2.1.0", "trustme", "uvicorn"),
    "httpx": (
        *("httpx[http2,brotli,zstd,socks,cli]", "anyio[trio]", "trustme", "uvicorn", "cryptography"),
        # As in its own list: others guess other encodings.
        "chardet==5.2.0",
    ),
    "requests": ("pysocks", "pytest-httpbin==2.1.0", "httpbin~=0.10.0", "pytest-mock", "trustme"),
    "urllib3": (
        *("urllib3[h2,socks,brotli]", "anyio[trio]", "httpx", "hypercorn", "pytest-socket", "quart", "quart-trio"),
        *("trio", "trustme", "cryptography", "idna"),
    ),
}

SUITES: Final = (
    Suite("opentelemetry-api==1.45.2", "opentelemetry"),
    Suite("opentelemetry-sdk==1.45.2", "opentelemetry"),
    Suite("opentelemetry-exporter-otlp-proto-http==1.45.2", "opentelemetry"),
    Suite("opentelemetry-instrumentation==0.66b2", "opentelemetry"),
    Suite("opentelemetry-util-http==0.66b2", "opentelemetry"),
    Suite("opentelemetry-instrumentation-requests==0.66b2", "opentelemetry"),
    Suite("opentelemetry-instrumentation-httpx==0.66b2", "httpx-instrumented"),
    Suite(
        "opentelemetry-instrumentation-asgi==0.66b2",
        "asgi",
        left_out=dict.fromkeys(
            (
                "tests/test_asgi_middleware.py::TestAsgiApplication::test_basic_metric_success",
                "tests/test_asgi_middleware.py::TestAsgiApplication::test_basic_metric_success_nonrecording_span",
                "tests/test_asgi_middleware.py::TestAsgiApplication::test_basic_metric_success_both_semconv",
            ),
            _HASTE,
        ),
    ),
    Suite(
        "opentelemetry-instrumentation-fastapi==0.66b2",
        "fastapi",
        left_out=dict.fromkeys(
            (
                "tests/test_fastapi_instrumentation.py::TestAutoInstrumentation::test_entry_point_exists",
                "tests/test_fastapi_instrumentation.py::TestAutoInstrumentation::test_instruments_with_fastapi_installed",
            ),
            "It wants no other instrumentation installed, and we depend on the one of httpx.",
        ),
    ),
    Suite("opentelemetry-instrumentation-urllib==0.66b1", "opentelemetry-older"),
    Suite("opentelemetry-instrumentation-urllib3==0.66b1", "opentelemetry-older"),
    Suite("opentelemetry-instrumentation-aiohttp-client==0.66b1", "opentelemetry-older"),
    Suite("opentelemetry-instrumentation-threading==0.66b1", "opentelemetry-older"),
    Suite(
        "opentelemetry-util-genai==1.3b0",
        "genai",
        left_out=dict.fromkeys(
            ("tests/test_check_deps.py", "tests/test_version_utils.py"),
            "It imports a script that only the repository has.",
        ),
        meant={
            f"tests.test_utils.TestTelemetryHandler::{test}": _COUNTS
            for test in (
                "test_embedding_context_manager_error_path_records_error_status_and_attrs",
                "test_embedding_manual_start_and_stop_creates_span",
                "test_llm_context_manager_error_path_records_error_status_and_attrs",
                "test_llm_manual_start_and_stop_creates_span",
                "test_llm_span_finish_reasons_without_output_messages",
                "test_llm_start_and_stop_creates_span",
            )
        },
    ),
    Suite(
        "anthropic==2.14.0",
        "anthropic",
        # What sends requests or makes spans; the tests of single API methods are thousands, and want a server.
        tests=(
            *("tests/test_client.py", "tests/test_streaming.py", "tests/test_response.py", "tests/test_tracing.py"),
            *("tests/test_open_telemetry.py", "tests/test_middleware.py", "tests/test_prepare.py"),
            "tests/test_header_case_sensitivity.py",
        ),
        # As its own settings have it: its mocks are made for `httpx`, and it uses `httpx2`.
        arguments=("-p", "tests._alias_httpx"),
        meant={"tests.test_open_telemetry.TestCallSpans::test_unary_attributes": _COUNTS},
    ),
    Suite(
        "openai==3.57.0",
        "openai",
        # What sends requests, as of Anthropic's.
        tests=(
            *(
                "tests/test_client.py",
                "tests/test_httpx2.py",
                "tests/test_httpx2_base.py",
                "tests/test_httpx_compat.py",
            ),
            *("tests/test_streaming.py", "tests/test_response.py", "tests/test_module_client.py"),
        ),
    ),
    Suite("httpcore==1.0.9", "httpcore"),
    Suite(
        "httpx==0.28.1",
        "httpx",
        left_out=dict.fromkeys(
            (
                "tests/client/test_proxies.py::test_sync_proxy_close",
                "tests/client/test_proxies.py::test_async_proxy_close",
            ),
            _NETWORK,
        ),
    ),
    Suite(
        "requests==2.34.2",
        "requests",
        left_out=dict.fromkeys(
            (
                "tests/test_requests.py::TestTimeout::test_connect_timeout",
                "tests/test_requests.py::TestTimeout::test_total_timeout_connect",
            ),
            _TIMES_OUT,
        ),
    ),
    Suite(
        "urllib3==2.8.0",
        "urllib3",
        tests=("test",),
        # If this test fails, as it may without us, its thread waits for ever, and so does the exit of pytest.
        arguments=("-k", "not test_http2_probe_blocked_per_thread"),
        left_out={"test/contrib/emscripten": "It needs a browser."},
    ),
)


@pytest.mark.peers
@pytest.mark.parametrize("suite", SUITES, ids=[suite.package.partition("==")[0] for suite in SUITES])
def test_a_suite_has_the_same_outcomes_with_the_library_on_and_only_meant_differences(
    suite: Suite, environments: Environments, tmp_path: Path
) -> None:
    packages = [each.package for each in SUITES if each.environment == suite.environment]
    python, library = environment(
        environments, suite.environment, [*packages, *ENVIRONMENTS[suite.environment], *_PYTEST]
    )
    arguments = ("-o", "addopts=", "--timeout=120", *map(_without, suite.left_out))
    run = Runner(
        python, library, unpacked(suite.package, tmp_path), tmp_path, (*suite.tests, *arguments, *suite.arguments)
    )

    plain = run.without_library()
    assert sum("passed" in outcomes for outcomes in plain.outcomes.values()) > len(plain.outcomes) / 2, plain.printed
    ours = run.with_library()

    assert _differing(plain.outcomes, ours.outcomes, run, suite.meant) == set(suite.meant), ours.printed
    # A failure is counted as `where: class`, and what was dropped as a sentence.
    assert [kind for kind in ours.failures if kind.endswith(("Error", "Exception"))] == []


def _without(test: str) -> str:
    """Return the argument of pytest that leaves out a test. A whole file is not even imported."""
    return f"--deselect={test}" if "::" in test else f"--ignore={test}"


def _differing(plain: Outcomes, ours: Outcomes, run: Runner, meant: Mapping[str, str]) -> set[str]:
    """Return the tests that differ with the library on, without those that also differ among three plain runs."""
    found = differing(plain, ours)
    for _ in range(2):
        if found - set(meant):
            found -= differing(plain, run.without_library().outcomes)
    return found


@pytest.fixture
def small_suite(tmp_path: Path) -> Runner:
    """Return a suite of three tests: two of them have other outcomes, or other names, with the library on."""
    (tmp_path / "test_small.py").write_text(
        """
import sys
import pytest

def test_same(): ...
def test_alone():
    assert "helicone_otel" not in sys.modules
@pytest.mark.parametrize("there", ["helicone_otel" in sys.modules])
def test_named(there): ...
"""
    )
    arguments = ("test_small.py", "-p", "no:helicone_otel")
    return Runner(Path(sys.executable), (REPOSITORY / "src",), tmp_path, tmp_path, arguments)


@pytest.mark.slow
def test_a_difference_is_found_whatever_its_form(small_suite: Runner) -> None:
    plain, ours = small_suite.without_library(), small_suite.with_library()

    assert plain.outcomes == {
        "test_small::test_same": ("passed",),
        "test_small::test_alone": ("passed",),
        "test_small::test_named[False]": ("passed",),
    }
    assert differing(plain.outcomes, ours.outcomes) == {
        "test_small::test_alone",
        "test_small::test_named[False]",
        "test_small::test_named[True]",
    }
    assert ours.failures == {}

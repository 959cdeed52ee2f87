"""The app runs as without us if the library is switched off, uninstalled, or if something is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import helicone_otel
from tests.support.ahead import once
from tests.support.environments import Environments
from tests.support.launching import (
    AppRun,
    instrumented_only,
    labels,
    needs_a_configurator,
    run,
    side_by_side,
    without_ours,
)
from tests.support.raw_http import expected
from tests.systems.test_setups import CASES, LABELS, METHODS, PROPAGATORS, bare, planned

CONFIGURED = CASES["configurator"]
IN_SESSION = expected(id="trip-42", path="/plan_trip", name="Trip Planning")


# --- switches -------------------------------------------------------------------------------------


OTHERS = ", ".join(instrumented_only("httpx")["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"].split(","))


@needs_a_configurator
@pytest.mark.parametrize(
    "named",
    [
        pytest.param(OTHERS, id="helicone and others"),
        *(pytest.param(named, marks=pytest.mark.slow) for named in ("helicone", "requests, helicone", "*")),
    ],
)
def test_the_variable_that_disables_instrumentations_switches_every_entry_point_off(named: str) -> None:
    variables = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": named, "OTEL_PROPAGATORS": PROPAGATORS}
    before, after = side_by_side(
        lambda: bare(CONFIGURED, launched=True), lambda: run(CONFIGURED, "instrument", **variables)
    )

    assert (after.spans, after.headers, after.output) == (before.spans, [[], []], before.output)


def with_a_disabled_sdk(method: str, propagators: str) -> AppRun:
    variables = {"OTEL_PROPAGATORS": propagators} if propagators else {}
    return run(CASES["own provider"], method, OTEL_SDK_DISABLED="true", **variables)


@pytest.mark.ahead(work=with_a_disabled_sdk)
@pytest.mark.parametrize("method", ["configure first", "instrument"])
@pytest.mark.parametrize("propagators", ["", pytest.param(PROPAGATORS, marks=pytest.mark.slow)])
def test_with_a_disabled_sdk_sessions_opened_in_code_are_still_sent(
    method: str, propagators: str, outcome: AppRun
) -> None:
    # By the specification, this variable does not switch propagators off.
    after = outcome
    assert after.spans == []
    assert after.headers == [[], expected(id="trip-42", path="/chat", name="Trip Planning")]


@pytest.mark.ahead(work=lambda name, method: run(CASES[name], method, script="undo.py"))
@pytest.mark.parametrize("method", ["configure last", "instrument"])
@pytest.mark.parametrize("name", ["own provider", pytest.param("processors in a pool", marks=pytest.mark.slow)])
def test_after_uninstall_nothing_is_labelled_or_sent_and_install_works_again(
    name: str, method: str, outcome: AppRun
) -> None:
    after = outcome
    inside, outside, again = after.spans[:4], after.spans[4:8], after.spans[8:]
    wanted = planned("Trip Planning", "trip-42")
    assert [labels(spans) for spans in (inside, outside, again)] == [
        wanted,
        [(label[0], {}) for label in wanted],
        wanted,
    ]
    assert without_ours(inside) == without_ours(outside) == without_ours(again)
    assert after.headers == [IN_SESSION, [], IN_SESSION]


# --- what is broken -------------------------------------------------------------------------------


def python(script: str, **environ: str) -> tuple[int, str, str]:
    """Run a script in a new interpreter; return its exit code, its output and its errors."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def half_installed(folder: Path) -> str:
    """Make a copy of the package without one module; return the PYTHONPATH that finds it first."""
    shutil.copytree(Path(helicone_otel.__file__).parent, folder / "helicone_otel")
    (folder / "helicone_otel" / "tracking" / "resolver.py").unlink()
    return str(folder)


@needs_a_configurator
@pytest.mark.parametrize("propagators", [PROPAGATORS, pytest.param("", marks=pytest.mark.slow)])
def test_a_half_installed_package_is_one_log_line(propagators: str, tmp_path: Path) -> None:
    variables = {"OTEL_PROPAGATORS": propagators} if propagators else {}
    before = bare(CONFIGURED, launched=True)

    after = run(CONFIGURED, "instrument", INSTALL="none", PYTHONPATH=half_installed(tmp_path), **variables)

    assert (after.spans, after.headers) == (before.spans, [[], []])
    # The launcher is another process. It loads propagators as well, so it logs the line, too.
    assert set(after.output.splitlines()) == {
        "helicone-otel is off: ModuleNotFoundError: No module named 'helicone_otel.tracking.resolver'"
    }


ENTRY_POINTS = """
[opentelemetry_instrumentor]
a_vendors = vendors_instrumentation:{name}
"""
VENDORS = """
raise_at_import = {at_import}
if raise_at_import:
    raise ImportError("the vendor's own library is missing")
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

class Instrumentor(BaseInstrumentor):
    def instrumentation_dependencies(self):
        return ()
    def _instrument(self, **_):
        raise RuntimeError("the vendor's hook fails")
    def _uninstrument(self, **_):
        pass
"""


@needs_a_configurator
@pytest.mark.slow
@pytest.mark.parametrize("at_import", [True, False])
def test_a_failing_entry_point_of_another_package_has_the_same_effect_as_without_us(
    at_import: bool, tmp_path: Path
) -> None:
    info = tmp_path / "a_vendor-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-vendor\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS.format(name="Instrumentor"))
    (tmp_path / "vendors_instrumentation.py").write_text(VENDORS.format(at_import=at_import))

    before = run(CONFIGURED, "launched without", PYTHONPATH=str(tmp_path))
    after = run(CONFIGURED, "instrument", PYTHONPATH=str(tmp_path))

    assert without_ours(after.spans) == before.spans
    assert after.output == before.output


# OpenTelemetry's operator for Kubernetes puts such a copy before the app's own.
OLDER_COPY = (
    *("opentelemetry-distro==0.59b0", "opentelemetry-instrumentation-httpx==0.59b0"),
    "opentelemetry-exporter-otlp-proto-http==1.38.0",
)


@once
def bare_with(copy: str, name: str, launched: bool) -> AppRun:
    """Return what an app does without us, with another copy of OpenTelemetry."""
    return run(CASES[name], "launched without" if launched else "none", PYTHONPATH=copy)


def with_an_older_copy(name: str, method: str, environments: Environments) -> tuple[AppRun, AppRun]:
    """Return what an app does without and with us."""
    copy = str(environments.copy("older-copy", OLDER_COPY))
    before = bare_with(copy, name, CASES[name].launched or method == "instrument")
    return before, run(CASES[name], method, PYTHONPATH=copy)


@pytest.mark.slow
@pytest.mark.ahead(work=with_an_older_copy)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["configurator", "own provider"])
def test_an_older_copy_of_opentelemetry_on_the_path_works(
    name: str, method: str, outcome: tuple[AppRun, AppRun]
) -> None:
    before, after = outcome
    assert without_ours(after.spans) == before.spans
    assert labels(after.spans) == LABELS
    assert after.headers == [expected(id=after.spans[0].trace, path="/plan_trip", name="shop"), IN_SESSION]
    assert after.output == before.output


HOSTILE = """
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

class Pipeline(SpanProcessor):
    def add_span_processor(self, processor):
        raise RuntimeError("this pipeline is closed")

class Provider(TracerProvider):
    def add_span_processor(self, processor):
        raise RuntimeError("this provider is closed")

class Raising(SpanProcessor):
    def on_start(self, span, parent_context=None):
        raise RuntimeError("at the start")

"""
CLOSED = (
    "helicone-otel cannot add its processor to a TracerProvider, so the spans of this provider get no session: "
    "RuntimeError: this pipeline is closed\n"
)


@pytest.mark.parametrize("last", [False, True], ids=["configure first", "configure last"])
@pytest.mark.parametrize(
    ("make", "printed", "errors"),
    [
        pytest.param("TracerProvider(active_span_processor=Pipeline())", "{}", CLOSED, id="a closed pipeline"),
        pytest.param("Provider()", "{'session.id': 's1'}", "", id="a closed provider"),
    ],
)
def test_a_provider_to_which_no_processor_can_be_added_is_left_unchanged(
    make: str, printed: str, errors: str, last: bool
) -> None:
    order = [f"trace.set_tracer_provider({make})", "configure()"]
    script = (
        f"{HOSTILE}\nfrom helicone_otel import configure, session\n"
        + "\n".join(order if last else reversed(order))
        + "\nwith session('Trips', id='s1'), trace.get_tracer('shop').start_as_current_span('plan') as span: pass\n"
        "print({key: value for key, value in span.attributes.items() if key == 'session.id'})\n"
    )

    assert python(script) == (0, f"{printed}\n", errors)


@pytest.mark.parametrize("ours", ["", "from helicone_otel import configure; configure()"])
def test_a_processor_of_another_vendor_raises_as_it_does_without_us(ours: str) -> None:
    script = (
        f"{HOSTILE}\n{ours}\nprovider = TracerProvider()\nprovider.add_span_processor(Raising())\n"
        "try:\n    provider.get_tracer('shop').start_span('plan')\nexcept RuntimeError as error:\n    print(error)\n"
    )

    assert python(script) == (0, "at the start\n", "")


def test_a_provider_named_in_the_environment_does_not_replace_the_apps_own() -> None:
    script = (
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "from helicone_otel import configure, session\n"
        "configure()\nmine = TracerProvider()\ntrace.set_tracer_provider(mine)\n"
        "print(trace.get_tracer_provider() is mine)\nconfigure()\n"
        "with session('Trips', id='s1'), trace.get_tracer('shop').start_as_current_span('plan') as span:\n"
        "    print(span.attributes['session.id'])\n"
    )

    assert python(script, OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider") == (0, "True\ns1\n", "")


def test_an_app_starts_if_a_propagator_cannot_be_loaded() -> None:
    script = (
        "from opentelemetry.sdk.trace import TracerProvider\nfrom helicone_otel import configure, session\n"
        "print(configure().installed)\nprovider = TracerProvider()\n"
        "with session('Trips', id='s1'), provider.get_tracer('shop').start_as_current_span('plan') as span:\n"
        "    print(dict(span.attributes))\n"
    )

    code, printed, errors = python(script, OTEL_PROPAGATORS="carrier-pigeon")

    assert (code, printed) == (0, "False\n{}\n")
    assert errors == (
        "helicone-otel is off: Propagator carrier-pigeon not found. It is either misspelled or not installed.\n"
    )


def test_a_proxy_that_has_the_sdks_provider_as_logfires_does_is_configured() -> None:
    script = (
        "from opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        "from helicone_otel import configure, session\n"
        "class StandIn(trace.TracerProvider):\n"
        "    provider = TracerProvider()\n"
        "    def get_tracer(self, *arguments, **named):\n"
        "        return self.provider.get_tracer(*arguments, **named)\n"
        "trace.set_tracer_provider(StandIn())\nconfigure()\nconfigure(provider=trace.get_tracer_provider())\n"
        "with session('Trips', id='s1'), trace.get_tracer('shop').start_as_current_span('plan') as span:\n"
        "    print(span.attributes['session.id'])\n"
    )

    assert python(script) == (0, "s1\n", "")


@needs_a_configurator
def test_a_bad_setting_of_the_log_switches_only_the_log_off_and_misspelt_variables_are_named() -> None:
    after = run(CONFIGURED, "instrument", HELICONE_LOG="true", HELICONE_LOG_KINDS="lmm", HELICONE_SESION_ID="trip")

    assert labels(after.spans) == labels(run(CONFIGURED, "instrument").spans)
    assert after.output.splitlines() == [
        (
            "helicone-otel logs nothing to Helicone: log_kinds (HELICONE_LOG_KINDS): expected some of data, embedding, "
            "guardrail, llm, rerank, tool, vector_db, got 'lmm'"
        ),
        "HELICONE_SESION_ID is not a setting: nothing reads it. Did you mean HELICONE_SESSION_ID?",
    ]


NOTHING = (
    "helicone-otel logs nothing to Helicone: nothing makes spans. Start the app with opentelemetry-instrument, or set "
    "a TracerProvider.\n"
)
KEY = "sk-helicone-1234567-1234567-1234567-1234567"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("configure(log=True)", NOTHING),
        ("configure(log=True); trace.set_tracer_provider(TracerProvider())", ""),
        # The provider is gone at exit.
        ("configure(log=True, provider=TracerProvider(shutdown_on_exit=False)); gc.collect()", ""),
        ("configure(log=False)", ""),
        ("configure(log=True).uninstall()", ""),
        ("configure(log=True); configure(log=True)", NOTHING),
    ],
)
def test_at_exit_one_line_says_that_nothing_made_spans_for_the_log(statement: str, said: str) -> None:
    script = (
        "import gc\nfrom opentelemetry import trace\nfrom opentelemetry.sdk.trace import TracerProvider\n"
        f"from helicone_otel import configure\n{statement}\n"
    )

    assert python(script, HELICONE_API_KEY=KEY) == (0, "", said)

"""`helicone-otel doctor` in real environments, and `doctor()` in real apps, each in a fresh interpreter."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler, serving
from tests.support.ahead import inherited
from tests.support.documents import PAGES, part

pytest.importorskip("opentelemetry.distro", reason="the probe needs the launcher's configurator")
pytest.importorskip("opentelemetry.instrumentation.genai.openai", reason="the probe needs an instrumentation")

Done = subprocess.CompletedProcess[str]
SCRIPTS = Path(sys.executable).parent
GATEWAYS = {"OPENAI_BASE_URL": "https://oai.helicone.ai/v1", "ANTHROPIC_BASE_URL": "https://anthropic.helicone.ai"}


def run(command: list[str], environ: Mapping[str, str]) -> Done:
    kept = inherited("OTEL_", "HELICONE_", "OPENAI_", "ANTHROPIC_")
    return subprocess.run(
        command, env={**kept, **environ}, capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )


def doctor(*options: str, launcher: tuple[str, ...] = (), **environ: str) -> Done:
    # The console script, because `opentelemetry-instrument` starts a command, not a module.
    return run([*launcher, str(SCRIPTS / "helicone-otel"), "doctor", *options], environ)


def checks(done: Done) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for each in json.loads(done.stdout)["checks"]:
        found.setdefault(each["check"], []).append((each["level"], each["text"]))
    return found


def in_a_complete_environment() -> Done:
    return doctor("--json", **GATEWAYS, HELICONE_SESSION_NAME="Shop")


@pytest.mark.ahead(work=in_a_complete_environment)
def test_in_a_complete_environment_the_calls_of_every_sdk_carry_headers(outcome: Done) -> None:
    done = outcome
    found = checks(done)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["exit_code"] == 0
    calls = {text.split(" over ")[0].split()[0]: (level, text.split(": ", 1)[1]) for level, text in found["requests"]}
    carried = "a request to a gateway would carry Helicone-Session-Id, Helicone-Session-Path: /chat, "
    assert calls["openai"] == ("ok", f"{carried}Helicone-Session-Name: Shop.")
    assert calls["anthropic"] == ("ok", f"{carried}Helicone-Session-Name: Shop.")
    assert {level for level, _ in found["base_urls"]} == {"ok"}
    assert [level for level, _ in found["pieces"]] == ["ok", "ok"]
    assert "recorded_key" not in found
    assert "session_name" not in found


KEY = "sk-helicone-1234567-1234567-1234567-1234567"


def with_keys_content_and_an_endpoint() -> tuple[str, Done]:
    with serving(LoopbackServer(QuietHandler)) as collector:
        return collector.url.removeprefix("http://"), doctor(
            "--json",
            OPENAI_BASE_URL="https://oai.helicone.ai/v1",
            OPENAI_API_KEY="sk-of-the-provider",
            OPENAI_CUSTOM_HEADERS=f"Helicone-Auth: Bearer {KEY}",
            ANTHROPIC_BASE_URL="https://anthropic.helicone.ai",
            ANTHROPIC_API_KEY="sk-ant-of-the-provider",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
            HELICONE_SESION_NAME="Trip",
            HELICONE_LOG_KINDS="lmm",
        )


@pytest.mark.ahead(work=with_keys_content_and_an_endpoint)
def test_the_key_the_content_and_the_endpoint_are_checked_in_a_real_process(outcome: tuple[str, Done]) -> None:
    address, done = outcome
    found = checks(done)
    assert found["keys"] == [
        ("ok", "openai sends a key to oai.helicone.ai, as Helicone-Auth."),
        (
            "warning",
            (
                "The environment sends no key of Helicone's to anthropic.helicone.ai: unless your code passes "
                "Helicone-Auth to anthropic, Helicone refuses the calls."
            ),
        ),
    ]
    assert [level for level, _ in found["log_settings"]] == ["problem"]
    assert [level for level, _ in found["settings"]] == ["ok", "warning"]
    assert found["endpoint"] == [("ok", f"Something listens at {address}, where spans go by OTLP (grpc).")]
    assert found["content"][0][0] == "warning"
    assert {level for level, _ in found["requests"]} == {"ok"}
    # The set-up's own lines about our settings are not shown again.
    assert [text for _, text in found.get("log", ()) if "HELICONE" in text] == []
    assert KEY not in done.stdout


def with_an_unknown_propagator_and_secrets() -> Done:
    return doctor(
        OTEL_PROPAGATORS="tracecontext,nope",
        OPENAI_BASE_URL="https://me:hunter2hunter2@proxy.corp/v1",
        HELICONE_API_KEY="sk-helicone-abcdefg",
    )


@pytest.mark.ahead(work=with_an_unknown_propagator_and_secrets)
def test_an_unknown_propagator_is_the_first_finding_and_secrets_are_masked(outcome: Done) -> None:
    done = outcome
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[:2] == [
        '✗ OTEL_PROPAGATORS names "nope", which is not installed: the app would not start.',
        "  → export OTEL_PROPAGATORS=tracecontext",
    ]
    assert "OPENAI_BASE_URL points at proxy.corp, which gets no headers" in done.stdout
    assert "hunter2" not in done.stdout
    assert "abcdefg" not in done.stdout
    assert "\x1b" not in done.stdout


def with_the_variable_on_the_page() -> Done:
    page = PAGES["docs/troubleshooting.md"]
    (variable,) = re.findall(r"`(OTEL_[A-Z_]+=\S+)`:\n", page.partition("<!-- doctor -->")[0])
    return doctor(**dict([variable.split("=", 1)]))


@pytest.mark.ahead(work=with_the_variable_on_the_page)
def test_the_documentation_shows_the_output_of_the_command(outcome: Done) -> None:
    shown = part("doctor").removeprefix("```text\n").removesuffix("```")

    printed = [without_versions(line) for line in outcome.stdout.splitlines()]
    wanted = [without_versions(line) for line in shown.splitlines() if line != "┆"]
    # The page shows some of the lines, in the same order.
    rest = iter(printed)
    assert [line for line in wanted if line in rest] == wanted
    assert printed[:3] == wanted[:3]


def without_versions(line: str) -> str:
    return re.sub(r"\b\d+(\.\w+)+", "N", line)


# What the README shows is the same environment: these lines are in it.
@pytest.mark.slow
def test_without_an_instrumentation_the_reason_for_a_call_without_headers_is_shown() -> None:
    disabled = "openai,httpx,httpx2"
    done = doctor("--json", **GATEWAYS, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled)

    assert done.returncode == 1
    assert json.loads(done.stdout)["summary"].endswith(
        "a request to a gateway would carry no header: "
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai,httpx,httpx2 leaves no span around it."
    )
    # The Anthropic SDK makes a span itself, so the hook in the HTTP client has a session for the headers.
    assert [level for level, text in checks(done)["requests"] if text.startswith("anthropic")] == ["ok"]


@pytest.mark.slow
def test_the_doctor_sees_the_options_of_the_launcher() -> None:
    launcher = (
        str(SCRIPTS / "opentelemetry-instrument"),
        "--traces_sampler",
        "always_off",
        "--traces_exporter",
        "none",
    )
    done = doctor("--json", launcher=launcher, **GATEWAYS)

    assert done.returncode == 1
    assert checks(done)["sampling"][0][1].startswith("OTEL_TRACES_SAMPLER=always_off keeps no span")
    assert "OTEL_TRACES_SAMPLER=always_off keeps no span" in json.loads(done.stdout)["summary"]


@pytest.mark.slow
@pytest.mark.ahead(work=lambda environ: doctor("--json", **GATEWAYS, **environ))
@pytest.mark.parametrize(
    ("environ", "check"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, "sdk"),
        ({"HELICONE_SESSION_FALLBACK": "maybe"}, "settings"),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "helicone"}, "switched_off"),
        ({"OTEL_LOGS_EXPORTER": "nope"}, "exporters"),
        ({"HELICONE_SESSION_FALLBACK": "none"}, "requests"),
        ({"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST": "helicone-auth"}, "recorded_key"),
    ],
)
def test_the_cause_is_the_first_problem_in_each_broken_environment(
    environ: Mapping[str, str],
    check: str,
    outcome: Done,
) -> None:
    done = outcome
    assert done.returncode == 1
    first = next(each for each in json.loads(done.stdout)["checks"] if each["level"] == "problem")
    assert (first["check"], first["text"]) == (check, json.loads(done.stdout)["summary"])
    assert first["remedy"]


def on_path(folder: Path) -> str:
    """Return a `PYTHONPATH` with a folder before the current entries."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def app(code: str, **environ: str) -> str:
    done = run([sys.executable, "-W", "error", "-c", textwrap.dedent(code)], environ)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_in_a_complete_app_doctor_sees_the_processor_the_propagator_and_the_session() -> None:
    screen = app(
        """
        from helicone_otel import configure, doctor, session, step
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

        provider = TracerProvider(sampler=TraceIdRatioBased(0.25))
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        trace.set_tracer_provider(provider)
        configure()
        with session("Trip", id="trip-42"), step("research"):
            report = doctor()
        print(report)
        """
    )

    assert "✓ The processor is on the tracer provider (TracerProvider)." in screen
    assert "✓ The propagator is installed, and so are the hooks in the HTTP clients." in screen
    assert "! The sampler is TraceIdRatioBased{0.25}; " in screen
    assert "✓ Spans go to ConsoleSpanExporter." in screen
    assert "✓ The current session here is trip-42, at /research." in screen


def remain(path: Path) -> None:
    """Leave parts of distributions that were not removed well."""
    for name in ("broken-1.0", "openai-9.9"):
        folder = path / f"{name}.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_text("[opentelemetry_instrumentor]\nbroken = broken:Broken\n")


def test_remains_of_a_broken_installation_are_ignored(tmp_path: Path) -> None:
    remain(tmp_path)

    report = app("import helicone_otel; print(helicone_otel.doctor())", PYTHONPATH=on_path(tmp_path))

    assert "broken" not in report
    assert "Cannot inspect" not in report


@pytest.mark.slow
def test_the_command_ignores_remains_of_a_broken_installation_too(tmp_path: Path) -> None:
    remain(tmp_path)

    found = checks(doctor("--json", PYTHONPATH=on_path(tmp_path)))

    assert "facts" not in found
    assert [level for level, _ in found["pieces"]] == ["ok", "ok"]


def test_ctrl_c_ends_the_probe_with_the_command(tmp_path: Path) -> None:
    went_on = tmp_path / "went-on"
    probe = f"""
import os, pathlib, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.kill(os.getppid(), signal.SIGINT)
time.sleep(4)
pathlib.Path({str(went_on)!r}).touch()
"""
    # A shell lets a job in the background ignore Ctrl-C.
    program = f"""
import signal, sys
from helicone_otel.__main__ import main
from helicone_otel.tools.diagnostics import probe
signal.signal(signal.SIGINT, signal.default_int_handler)
probe._LAUNCHER = {probe!r}
sys.exit(main(["doctor"]))
"""
    done = run([sys.executable, "-c", program], {})

    assert (done.returncode, done.stdout, done.stderr, went_on.exists()) == (130, "", "", False)


def test_an_installation_that_cannot_be_inspected_is_a_finding_and_no_exception(tmp_path: Path) -> None:
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "broken-1.0.dist-info" / "METADATA").write_bytes(b"Name: \xff")

    report = app("import helicone_otel; print(helicone_otel.doctor().as_data())", PYTHONPATH=on_path(tmp_path))

    text = "Cannot inspect the installation: UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff in "
    data = ast.literal_eval(report)
    assert (data["exit_code"], [each["check"] for each in data["checks"]]) == (2, ["facts"])
    assert data["summary"].startswith(text)


def test_an_app_without_configure_and_an_app_that_replaced_the_propagator_are_problems() -> None:
    screen = app(
        """
        import helicone_otel
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        trace.set_tracer_provider(TracerProvider())
        print(helicone_otel.doctor().worst.text)
        helicone_otel.configure()
        # What the original set_global_textmap does, which code still calls that imported it before configure().
        import opentelemetry.propagate as propagate
        from opentelemetry.propagators.composite import CompositePropagator
        propagate._HTTP_TEXT_FORMAT = CompositePropagator([])
        report = helicone_otel.doctor()
        print(report.worst.text, report.exit_code)
        """
    )

    assert screen.splitlines() == [
        "helicone-otel is installed but not switched on in this process.",
        "The global propagator is not helicone-otel's: something replaced it after helicone-otel was set up. 1",
    ]

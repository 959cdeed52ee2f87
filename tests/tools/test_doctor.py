"""The doctor's checks judge made-up facts, and a report is printed."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest

from helicone_otel.install.provider_owners import UNKNOWN
from helicone_otel.tools.diagnostics.checks import CHECKS, examine
from helicone_otel.tools.diagnostics.facts import (
    Endpoint,
    Facts,
    Installed,
    Instrumentation,
    Package,
    Probe,
    ProbeCall,
    Process,
)
from helicone_otel.tools.diagnostics.gather import find_endpoint
from helicone_otel.tools.diagnostics.libraries import LIBRARIES, SDKS
from helicone_otel.tools.diagnostics.report import (
    Check,
    Finding,
    Level,
    Line,
    Report,
    ok,
    print_report,
    problem,
    unknown,
    warning,
)
from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler, serving
from helicone_otel.tools.redaction import Redaction

HEADERS = {"Helicone-Session-Id": "id", "Helicone-Session-Path": "/chat", "Helicone-Session-Name": "Shop"}
NAMES = {
    "opentelemetry_propagator": frozenset({"tracecontext", "baggage", "helicone"}),
    "opentelemetry_traces_sampler": frozenset(
        {"always_on", "always_off", "traceidratio", "parentbased_traceidratio", "helicone_session"}
    ),
    "opentelemetry_traces_exporter": frozenset({"otlp", "console"}),
    "opentelemetry_metrics_exporter": frozenset({"otlp"}),
    "opentelemetry_logs_exporter": frozenset({"otlp"}),
}
OPENAI = Package("openai", "3.54.0", {"httpx2": ">=2"})
GENAI = Instrumentation("openai", "opentelemetry-instrumentation-genai-openai")
WELL = Process(
    provider="opentelemetry.sdk.trace.TracerProvider",
    records=True,
    labels=True,
    injects=True,
    installed=True,
    exporters=("exporters.OTLPSpanExporter",),
    sampler="ParentBased{root:AlwaysOnSampler,remoteParentSampled:AlwaysOnSampler}",
    active=("helicone", "openai"),
)
BARE = Probe(WELL, (ProbeCall("openai", "httpx2", headers={}),))


def installed(*packages: Package, instrumentations: tuple[Instrumentation, ...] = (GENAI,)) -> Installed:
    everything = (Package("opentelemetry-sdk", "1.45.2"), Package("opentelemetry-distro", "0.66b2"), *packages)
    return Installed({package.name: package for package in everything}, instrumentations, NAMES)


def outside(
    environ: Mapping[str, str] | None = None, probe: Probe | None = None, packages: Installed | None = None
) -> Facts:
    """Facts about an environment in which all is well, but for what is given."""
    environ = {"OPENAI_BASE_URL": "https://oai.helicone.ai/v1", **(environ or {})}
    probe = probe or Probe(WELL, (ProbeCall("openai", "httpx2", headers=HEADERS, key="Helicone-Auth"),))
    return Facts(environ, packages or installed(OPENAI), probe=probe)


def inside(process: Process, environ: Mapping[str, str] | None = None, packages: Installed | None = None) -> Facts:
    """Facts about an app in which all is well, but for what is given."""
    return Facts(environ or {}, packages or installed(), process=process)


def findings(facts: Facts, check: str) -> list[Finding]:
    return [line.finding for line in examine(facts).lines if line.check == check]


def test_a_report_without_problems_has_no_worst_finding() -> None:
    report = examine(outside())

    assert (report.worst, report.exit_code) == (None, 0)
    assert [(line.check, line.finding) for line in report.lines] == [
        ("settings", ok("Settings: the defaults.")),
        ("versions", ok(report.lines[1].finding.text)),
        ("pieces", ok("The processor is on the tracer provider (TracerProvider).")),
        ("pieces", ok("The propagator is installed, and so are the hooks in the HTTP clients.")),
        (
            "requests",
            ok(
                "openai 3.54.0 over httpx2: a request to a gateway would carry Helicone-Session-Id, "
                "Helicone-Session-Path: /chat, Helicone-Session-Name: Shop."
            ),
        ),
        ("base_urls", ok("OPENAI_BASE_URL points at a gateway, oai.helicone.ai.")),
        ("keys", ok("openai sends a key to oai.helicone.ai, as Helicone-Auth.")),
        ("sdk_instrumentations", ok("openai 3.54.0 is instrumented by opentelemetry-instrumentation-genai-openai.")),
        ("sampling", ok("Every trace is sampled.")),
        ("destination", ok("Spans go to OTLPSpanExporter.")),
    ]


@pytest.mark.parametrize(
    ("named", "remedy"),
    [
        ("tracecontext,foo", "export OTEL_PROPAGATORS=tracecontext"),
        ("foo", "unset OTEL_PROPAGATORS"),
    ],
)
def test_an_unknown_propagator_is_a_problem(named: str, remedy: str) -> None:
    died = Probe(failure="it ended with exit code 1", log=("ValueError: Propagator foo not found.",))

    text = 'OTEL_PROPAGATORS names "foo", which is not installed: the app would not start.'
    report = examine(outside({"OTEL_PROPAGATORS": named}, died))

    assert (report.worst, report.exit_code) == (problem(text, remedy), 1)
    assert report.count(Level.PROBLEM) == 1


def test_known_propagators_and_the_value_none_make_no_finding() -> None:
    assert findings(outside({"OTEL_PROPAGATORS": "tracecontext, helicone"}), "propagators") == []
    assert findings(outside({"OTEL_PROPAGATORS": "none"}), "propagators") == []


def test_a_disabled_sdk_is_the_worst_finding_and_the_cause_of_missing_headers() -> None:
    off = replace(WELL, records=False, labels=False)
    facts = outside({"OTEL_SDK_DISABLED": "TRUE"}, Probe(off, (ProbeCall("openai", "httpx2", headers={}),)))

    assert examine(facts).worst == problem(
        "OTEL_SDK_DISABLED=true switches OpenTelemetry off: no spans, no labels.", "unset OTEL_SDK_DISABLED"
    )
    assert findings(facts, "requests") == [
        problem(
            "openai 3.54.0 over httpx2: a request to a gateway would carry no header: the start-up failed.",
            "unset OTEL_SDK_DISABLED",
        )
    ]


def test_a_setting_with_a_bad_value_is_named() -> None:
    (finding,) = findings(outside({"HELICONE_SESSION_FALLBACK": "maybe"}), "settings")

    assert finding == problem(
        "A setting cannot be used, so helicone-otel would stay off: session_fallback (HELICONE_SESSION_FALLBACK): "
        "expected one of trace, none, got 'maybe'",
        "correct it or unset HELICONE_SESSION_FALLBACK",
    )


def test_a_misspelt_setting_is_a_warning() -> None:
    assert findings(outside({"HELICONE_SESSION_NAM": "Shop"}), "settings")[1:] == [
        warning(
            "HELICONE_SESSION_NAM is not a setting: nothing reads it. Did you mean HELICONE_SESSION_NAME?",
            "helicone-otel env lists the settings, and shows those in force",
        )
    ]


def test_the_settings_in_force_are_shown_without_secrets() -> None:
    environ = {"HELICONE_API_KEY": "sk-helicone-1", "HELICONE_LOG_KINDS": "tool"}
    facts = replace(outside(environ), options={"session_name": "Trip Planning"})

    assert findings(facts, "settings") == [
        ok("Settings: HELICONE_SESSION_NAME=Trip Planning, HELICONE_API_KEY=***, HELICONE_LOG_KINDS=tool.")
    ]
    assert findings(inside(replace(WELL, settings="HELICONE_SESSION_NAME=From code"), environ), "settings") == [
        ok("Settings: HELICONE_SESSION_NAME=From code.")
    ]


@pytest.mark.parametrize(
    ("variables", "text", "remedy"),
    [
        (
            {},
            "HELICONE_LOG is on and HELICONE_API_KEY is not set, so nothing would be logged to Helicone.",
            (
                "export HELICONE_API_KEY=…, a key from https://us.helicone.ai/settings/api-keys, or eu.helicone.ai for "
                "Europe"
            ),
        ),
        (
            {"HELICONE_API_KEY": "Bearer sk-helicone-aaaaaaa-bbbbbbb-ccccccc-ddddddd"},
            (
                "A setting cannot be used, so nothing would be logged to Helicone: api_key (HELICONE_API_KEY): "
                "expected a key such as sk-helicone-…: one word of ASCII, without 'Bearer'"
            ),
            "correct it or unset HELICONE_API_KEY",
        ),
        (
            {"HELICONE_API_KEY": "sk-proj-somebody-elses"},
            (
                "A setting cannot be used, so nothing would be logged to Helicone: api_key (HELICONE_API_KEY): this is "
                "no key of Helicone's: those look like sk-helicone-xxxxxxx-xxxxxxx-xxxxxxx-xxxxxxx"
            ),
            "correct it or unset HELICONE_API_KEY",
        ),
        (
            {"HELICONE_API_KEY": "sk-helicone-1", "HELICONE_LOG_ENDPOINT": "http://helicone.test"},
            (
                "A setting cannot be used, so nothing would be logged to Helicone: endpoint (HELICONE_LOG_ENDPOINT): "
                "key and content would go to 'helicone.test' unencrypted: use https://, or name the host in "
                "HELICONE_LOG_HTTP_HOSTS if the network is your own"
            ),
            "correct it or unset HELICONE_LOG_ENDPOINT",
        ),
    ],
)
def test_a_log_that_is_on_and_cannot_send_is_the_first_problem(
    variables: dict[str, str], text: str, remedy: str
) -> None:
    assert examine(outside({"HELICONE_LOG": "true", **variables})).worst == problem(text, remedy)
    assert findings(outside(variables), "log_settings") == []


def test_a_bad_setting_of_the_log_is_a_problem_of_the_log_alone() -> None:
    facts = outside({"HELICONE_LOG_KINDS": "lmm", "HELICONE_SESSION_NAME": "Shop"})

    report = examine(facts)
    assert (report.count(Level.PROBLEM), report.worst) == (
        1,
        problem(
            "A setting cannot be used, so nothing would be logged to Helicone: log_kinds (HELICONE_LOG_KINDS): "
            "expected some of data, embedding, guardrail, llm, rerank, tool, vector_db, got 'lmm'",
            "correct it or unset HELICONE_LOG_KINDS",
        ),
    )
    assert findings(facts, "settings") == [ok("Settings: HELICONE_SESSION_NAME=Shop.")]
    assert (
        findings(
            outside({"HELICONE_LOG_KINDS": "lmm", "HELICONE_LOG": "1", "HELICONE_ATTRIBUTES": "x"}), "log_settings"
        )
        == []
    )


def test_a_configuration_file_that_cannot_be_read_is_a_problem() -> None:
    facts = replace(outside(), options_error="OTEL_CONFIG_FILE: otel.yaml cannot be read: no such file")

    assert findings(facts, "settings") == [
        problem(
            "OpenTelemetry would not be set up: OTEL_CONFIG_FILE: otel.yaml cannot be read: no such file",
            "correct the file",
        )
    ]


@pytest.mark.parametrize(
    ("disabled", "remedy"),
    [
        ("helicone", "unset OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
        ("redis, helicone", "export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=redis"),
        ("*", "unset OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
    ],
)
def test_a_variable_that_switches_helicone_otel_off_is_a_problem(disabled: str, remedy: str) -> None:
    facts = outside({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled}, Probe(replace(WELL, installed=False)))

    shown = ",".join(part.strip() for part in disabled.split(","))
    text = f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={shown} switches helicone-otel off."
    assert findings(facts, "switched_off") == [problem(text, remedy)]
    assert findings(facts, "pieces") == []


@pytest.mark.parametrize("signal", ["TRACES", "METRICS", "LOGS"])
def test_an_unknown_exporter_of_any_signal_is_a_problem(signal: str) -> None:
    assert findings(outside({f"OTEL_{signal}_EXPORTER": "otlp,nope"}), "exporters") == [
        problem(
            f'OTEL_{signal}_EXPORTER names "nope", which is not installed: OpenTelemetry would not be set up.',
            f"export OTEL_{signal}_EXPORTER=otlp",
        )
    ]
    assert findings(outside({f"OTEL_{signal}_EXPORTER": "none"}), "exporters") == []


def test_requirements_that_are_not_met_are_named() -> None:
    pinned = Package(
        "opentelemetry-instrumentation-redis", "0.66b1", unmet=("opentelemetry-api==1.45.1 (found 1.45.2)",)
    )
    below = Package("helicone-otel", "0.1.0", unmet=("opentelemetry-sdk<2,>=1.38 (found 1.30.0)",))

    assert findings(outside(packages=installed(OPENAI, pinned, below)), "versions") == [
        warning(
            "opentelemetry-instrumentation-redis 0.66b1 needs opentelemetry-api==1.45.1 (found 1.45.2).",
            "pip install --upgrade opentelemetry-instrumentation-redis",
        ),
        problem(
            "helicone-otel 0.1.0 needs opentelemetry-sdk<2,>=1.38 (found 1.30.0).",
            "pip install --upgrade helicone-otel",
        ),
    ]


def test_a_package_of_opentelemetry_in_two_versions_is_named() -> None:
    twice = Package("opentelemetry-api", "1.45.2", copies=2)

    (finding,) = findings(outside(packages=installed(OPENAI, twice)), "copies")

    assert finding.level is Level.WARNING
    assert finding.text == "opentelemetry-api is on the path in 2 versions; 1.45.2 is used."


def test_the_last_log_line_of_a_probe_that_died_is_shown() -> None:
    died = Probe(failure="it ended with exit code 1", log=("Traceback", "ImportError: no gevent", ""))

    assert findings(outside(probe=died), "probe") == [
        problem(
            "A process started like your app died: ImportError: no gevent", "opentelemetry-instrument python -c pass"
        )
    ]


def test_a_probe_that_cannot_be_inspected_makes_an_unknown_finding() -> None:
    report = examine(outside(probe=Probe(failure="it did not end within 20 s")))

    assert report.exit_code == 2
    assert report.worst == unknown(
        "A process started like your app could not be inspected: it did not end within 20 s.",
        "opentelemetry-instrument python -c pass",
    )


def test_nothing_is_concluded_from_a_probe_or_a_call_that_was_slow() -> None:
    slow = outside(probe=Probe(failure="it did not end within 20 s", slow=True))

    assert [(line.check, line.finding.level) for line in examine(slow).lines if line.finding.level is not Level.OK] == [
        ("probe", Level.UNKNOWN)
    ]
    assert findings(slow, "probe") == [
        unknown(
            "A process started like your app could not be inspected: it did not end within 20 s.",
            "try again when the machine is less busy",
        )
    ]
    timeout = ProbeCall("anthropic", "httpx2", own_id_kept=None, error="APITimeoutError: Request timed out.", slow=True)
    late = outside(probe=Probe(WELL, (timeout,)))
    assert findings(late, "requests") == [
        unknown("anthropic over httpx2: the trial call took too long.", "try again when the machine is less busy")
    ]
    assert findings(late, "own_id") == findings(late, "keys") == []


@pytest.mark.parametrize(
    ("key", "url", "expected"),
    [
        ("Helicone-Auth", "https://oai.helicone.ai/v1", ok("openai sends a key to oai.helicone.ai, as Helicone-Auth.")),
        (
            "",
            "https://oai.helicone.ai/v1",
            warning(
                "The environment sends no key of Helicone's to oai.helicone.ai: unless your code passes Helicone-Auth "
                "to openai, Helicone refuses the calls.",
                'export OPENAI_CUSTOM_HEADERS="Helicone-Auth: Bearer $HELICONE_API_KEY", or default_headers= of the '
                "client",
            ),
        ),
        (
            "API key",
            "https://ai-gateway.helicone.ai",
            ok("openai sends a key of Helicone's to ai-gateway.helicone.ai, as its API key."),
        ),
        (
            "",
            "https://ai-gateway.helicone.ai",
            warning(
                "The environment sends no key of Helicone's to ai-gateway.helicone.ai: unless your code passes "
                "Helicone's key as its API key to openai, Helicone refuses the calls.",
                "export OPENAI_API_KEY=… (your Helicone key)",
            ),
        ),
    ],
)
def test_it_is_checked_that_a_key_is_sent_to_the_gateway(key: str, url: str, expected: Finding) -> None:
    probe = Probe(WELL, (ProbeCall("openai", "httpx2", headers=HEADERS, key=key),))

    assert findings(outside({"OPENAI_BASE_URL": url}, probe), "keys") == [expected]
    assert findings(outside({"OPENAI_BASE_URL": "https://api.openai.com/v1"}, probe), "keys") == []


AUTH = "Helicone-Auth: Bearer sk-helicone-1234567-1234567-1234567-1234567"
NO_AUTH = (
    "The environment sends no key of Helicone's to {}: unless your code passes Helicone-Auth to {}, Helicone refuses "
    "the calls."
)


@pytest.mark.parametrize(
    ("sdk", "environ", "texts"),
    [
        (
            "openai",
            {"OPENAI_BASE_URL": "https://oai.helicone.ai/v1"},
            [
                "OPENAI_API_KEY is not set: unless your code passes one, openai raises.",
                NO_AUTH.format("oai.helicone.ai", "openai"),
            ],
        ),
        (
            "openai",
            {"OPENAI_BASE_URL": "https://oai.helicone.ai/v1", "OPENAI_CUSTOM_HEADERS": f"X-Team: a\n{AUTH}"},
            [
                "OPENAI_API_KEY is not set: unless your code passes one, openai raises.",
                "openai sends a key to oai.helicone.ai, as Helicone-Auth.",
            ],
        ),
        (
            "openai",
            {"OPENAI_BASE_URL": "https://ai-gateway.helicone.ai/v1"},
            ["OPENAI_API_KEY is not set: unless your code passes one, openai raises."],
        ),
        (
            "anthropic",
            {"ANTHROPIC_BASE_URL": "https://anthropic.helicone.ai", "ANTHROPIC_CUSTOM_HEADERS": "Helicone-Auth:"},
            [
                "ANTHROPIC_API_KEY is not set: unless your code passes one, anthropic raises.",
                NO_AUTH.format("anthropic.helicone.ai", "anthropic"),
            ],
        ),
        (
            "anthropic",
            {"ANTHROPIC_BASE_URL": "https://anthropic.helicone.ai", "ANTHROPIC_AUTH_TOKEN": "t"},
            [NO_AUTH.format("anthropic.helicone.ai", "anthropic")],
        ),
        ("groq", {"GROQ_BASE_URL": "https://groq.helicone.ai"}, []),
    ],
)
def test_where_no_configured_call_arrived_the_keys_are_those_of_the_environment(
    sdk: str, environ: Mapping[str, str], texts: list[str]
) -> None:
    probe = Probe(WELL, (ProbeCall(sdk, "httpx2", headers=HEADERS),))

    assert [each.text for each in findings(outside(environ, probe), "keys")] == texts


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        (
            Endpoint("collector:4318", "http/protobuf", is_default=False, listens=True),
            ok("Something listens at collector:4318, where spans go by OTLP (http/protobuf)."),
        ),
        (
            Endpoint("localhost:4317", "grpc", is_default=True, listens=False, error="Connection refused"),
            warning(
                "Nothing listens at localhost:4317, where spans go by OTLP (grpc) because nothing names another "
                "endpoint: Connection refused.",
                "start a collector, or helicone-otel view; else export OTEL_EXPORTER_OTLP_ENDPOINT=…, or "
                "OTEL_TRACES_EXPORTER=none",
            ),
        ),
        (
            Endpoint("far:4317", "grpc", is_default=False, listens=None, error="no answer within 2 s"),
            unknown(
                "It is not known whether anything listens at far:4317, where spans go by OTLP (grpc): no answer within "
                "2 s.",
                "try again",
            ),
        ),
    ],
)
def test_the_otlp_endpoint_is_judged(endpoint: Endpoint, expected: Finding) -> None:
    assert findings(replace(outside(), endpoint=endpoint), "endpoint") == [expected]


def test_an_endpoint_is_found_by_the_variables_of_the_exporter() -> None:
    probe = Probe(WELL)
    with serving(LoopbackServer(QuietHandler)) as server:
        address = server.url.removeprefix("http://")
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://none.invalid", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": address}
        assert find_endpoint(named, probe) == Endpoint(address, "grpc", is_default=False, listens=True)
    closed = find_endpoint(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": server.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, probe
    )
    assert closed is not None
    assert (closed.address, closed.protocol, closed.listens) == (address, "http/json", False)
    default = find_endpoint({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, probe)
    assert default is not None
    assert (default.address, default.is_default) == ("localhost:4318", True)
    assert find_endpoint({"OTEL_CONFIG_FILE": "otel.yaml"}, probe) is None
    assert find_endpoint({}, Probe(replace(WELL, exporters=("exporters.ConsoleSpanExporter",)))) is None
    assert find_endpoint({}, Probe(failure="it did not end")) is None


@pytest.mark.parametrize(
    ("named", "protocol", "shown"),
    [
        ("garbage", "grpc", "garbage"),
        ("collector:4318", "http/protobuf", "collector:4318"),
        ("me:hunter2@collector:4318", "http/protobuf", "collector:4318"),
    ],
)
def test_an_endpoint_that_is_no_url_is_named(named: str, protocol: str, shown: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": named, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
    facts = replace(outside(environ), endpoint=find_endpoint(environ, Probe(WELL)))

    assert findings(facts, "endpoint") == [
        warning(
            f'OTEL_EXPORTER_OTLP_ENDPOINT is no URL: "{shown}".', "export OTEL_EXPORTER_OTLP_ENDPOINT=http://host:port"
        )
    ]


def capturing(environ: Mapping[str, str]) -> list[Finding]:
    packages = [
        Package("openai", "3.54.0"),
        Package("anthropic", "2.14.0", {"opentelemetry-api": ">=1"}),
        Package("langchain-core", "1.0"),
        Package("crewai", "1.0"),
        Package("opentelemetry-instrumentation-genai-openai", "1.3", {"opentelemetry-util-genai": ""}),
        Package("opentelemetry-instrumentation-langchain", "0.62", {"opentelemetry-semantic-conventions-ai": ""}),
        Package("openinference-instrumentation-crewai", "1.0", {"openinference-instrumentation": ""}),
    ]
    instrumentations = (
        GENAI,
        Instrumentation("langchain", "opentelemetry-instrumentation-langchain"),
        Instrumentation("crewai", "openinference-instrumentation-crewai"),
    )
    return findings(outside(environ, packages=installed(*packages, instrumentations=instrumentations)), "content")


def test_the_content_that_is_captured_is_shown_with_the_command_that_switches_it_on() -> None:
    genai, langchain = "opentelemetry-instrumentation-genai-openai", "opentelemetry-instrumentation-langchain"
    variable = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

    assert capturing({}) == [
        Finding(
            Level.OK,
            f"The content of calls is not on the spans of {genai}.",
            f"export {variable}=span_only puts it there",
        ),
        ok(f"The content of calls is on the spans of {langchain}."),
        ok("The input of calls is on the spans of openinference-instrumentation-crewai."),
        ok("The output of calls is on the spans of openinference-instrumentation-crewai."),
        Finding(
            Level.OK,
            "The content of calls is not on the spans of anthropic.",
            "export ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE=content puts it there",
        ),
    ]
    assert capturing({variable: "SPAN_ONLY"})[0] == ok(
        f"The content of calls is on the spans of {genai} ({variable}=SPAN_ONLY)."
    )
    assert capturing({variable: "true"})[0] == warning(
        f"{variable}=true puts no content on the spans of {genai}.", f"export {variable}=span_only"
    )
    assert capturing({"TRACELOOP_TRACE_CONTENT": "false"})[1] == Finding(
        Level.OK,
        f"The content of calls is not on the spans of {langchain} (TRACELOOP_TRACE_CONTENT=false).",
        "export TRACELOOP_TRACE_CONTENT=true puts it there",
    )


def test_without_the_launcher_an_installation_for_code_is_no_problem() -> None:
    proxy = replace(WELL, provider="opentelemetry.trace.ProxyTracerProvider", records=False, labels=False)
    packages = Installed({"openai": OPENAI}, (GENAI,), NAMES)
    facts = outside(probe=Probe(proxy, BARE.calls), packages=packages)

    remedy = 'for zero code: pip install "helicone-otel[run]"'
    assert findings(facts, "pieces")[0] == warning(
        "There is no launcher here (opentelemetry-distro is not installed): only code that calls configure() or "
        "session() gets headers.",
        remedy,
    )
    assert findings(facts, "requests") == [
        warning(
            "openai 3.54.0 over httpx2: a request to a gateway would carry no header, unless code calls configure() or "
            "session().",
            remedy,
        )
    ]
    assert examine(facts).exit_code == 0


def test_an_app_without_configure_is_a_problem() -> None:
    assert findings(inside(replace(WELL, installed=False)), "pieces") == [
        problem("helicone-otel is installed but not switched on in this process.", "helicone_otel.configure()")
    ]


def test_a_provider_without_our_processor_and_a_replaced_propagator_are_problems() -> None:
    assert findings(inside(replace(WELL, labels=False, injects=False)), "pieces") == [
        problem(
            "The processor is not on the tracer provider (opentelemetry.sdk.trace.TracerProvider).",
            "helicone_otel.configure(provider=your_provider)",
        ),
        problem(
            "The global propagator is not helicone-otel's: something replaced it after helicone-otel was set up.",
            "call helicone_otel.configure() after that",
        ),
    ]


FAILED = ("Instrumenting of mcp failed", "Traceback (most recent call last):", "AttributeError: no such thing")


def test_an_instrumentation_that_failed_before_helicone_otel_is_named_with_the_command_to_switch_it_off() -> None:
    off = replace(WELL, installed=False, labels=False, injects=False)
    report = examine(outside({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "redis"}, Probe(off, log=FAILED)))

    assert report.worst == problem(
        "helicone-otel was not switched on: the instrumentation mcp failed before it.",
        "export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=redis,mcp",
    )
    assert [line for line in report.lines if line.check == "log"] == []


def test_an_instrumentation_that_failed_after_helicone_otel_is_named() -> None:
    assert findings(outside(probe=Probe(WELL, log=FAILED)), "log") == [
        warning(
            "The instrumentation mcp failed, so those after it were not switched on.",
            "export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=mcp",
        )
    ]


def test_lines_that_the_set_up_logged_are_shown_without_tracebacks() -> None:
    log = ("Failed to export", "Traceback (most recent call last):", '  File "x"', "ValueError: no", "")

    assert [finding.text for finding in findings(outside(probe=Probe(WELL, log=log)), "log")] == [
        "The set-up logged: Failed to export",
        "The set-up logged: ValueError: no",
    ]


NO_HEADER = "openai 3.54.0 over httpx2: a request to a gateway would carry no header: "


@pytest.mark.parametrize(
    ("environ", "why", "remedy"),
    [
        (
            {},
            "there is no span around it",
            "pip install opentelemetry-instrumentation-genai-openai, or open a session() around the calls",
        ),
        (
            {"HELICONE_SESSION_FALLBACK": "none"},
            "HELICONE_SESSION_FALLBACK=none, and nothing opens a session",
            "unset HELICONE_SESSION_FALLBACK, or open a session() around the calls",
        ),
        (
            {"OTEL_TRACES_SAMPLER": "always_off"},
            "OTEL_TRACES_SAMPLER=always_off keeps no span",
            "unset OTEL_TRACES_SAMPLER, or open a session() around the calls",
        ),
        (
            {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "httpx2,openai"},
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=httpx2,openai leaves no span around it",
            "export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=httpx2, or open a session() around the calls",
        ),
    ],
)
def test_the_reason_for_a_call_without_headers_is_shown(environ: Mapping[str, str], why: str, remedy: str) -> None:
    assert findings(outside(environ, BARE), "requests") == [problem(f"{NO_HEADER}{why}.", remedy)]


def test_a_trial_call_that_failed_makes_an_unknown_finding() -> None:
    failed = Probe(WELL, (ProbeCall("groq", "httpx", bare=True, error="ImportError: no httpx"),))

    assert findings(outside(probe=failed), "requests") == [
        unknown(
            "groq over httpx (tried with a plain request): the trial call failed: ImportError: no httpx",
            "pip install --upgrade groq",
        )
    ]


def test_an_sdk_that_overwrites_the_callers_session_id_is_a_warning() -> None:
    over = Probe(WELL, (ProbeCall("anthropic", "httpx2", headers=HEADERS, own_id_kept=False),))

    assert findings(outside(probe=over), "own_id") == [
        warning(
            "anthropic overwrites a Helicone-Session-Id that you set on a request.",
            "export ANTHROPIC_OPEN_TELEMETRY_PROPAGATION=false",
        )
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://oai.helicone.ai/v1", ok("OPENAI_BASE_URL points at a gateway, oai.helicone.ai.")),
        ("http://mine.local:8787/v1", ok("OPENAI_BASE_URL points at a gateway, mine.local:8787.")),
        (
            "http://svc.local/v1",
            ok("OPENAI_BASE_URL points at a service of yours, svc.local: the session continues there, without a row."),
        ),
        (
            "https://api.openai.com/v1",
            warning(
                "OPENAI_BASE_URL points at the provider itself, api.openai.com, which gets no headers.",
                "export OPENAI_BASE_URL=https://oai.helicone.ai/v1",
            ),
        ),
        (
            "https://me:secret@proxy.corp:8443/v1",
            warning(
                "OPENAI_BASE_URL points at proxy.corp:8443, which gets no headers: it is neither a gateway nor in "
                "HELICONE_PROPAGATE_HOSTS.",
                "export HELICONE_GATEWAY_HOSTS=proxy.corp:8443, if it is a gateway of yours to Helicone",
            ),
        ),
        (
            "https://oai.helicone.ai",
            problem(
                "OPENAI_BASE_URL points at a gateway, oai.helicone.ai, where openai's calls need the path /v1.",
                "export OPENAI_BASE_URL=https://oai.helicone.ai/v1",
            ),
        ),
        ("https://oai.helicone.ai/v1/", ok("OPENAI_BASE_URL points at a gateway, oai.helicone.ai.")),
        ("https://ai-gateway.helicone.ai", ok("OPENAI_BASE_URL points at a gateway, ai-gateway.helicone.ai.")),
        (
            "https://api.helicone.ai/v1",
            problem(
                "OPENAI_BASE_URL points at api.helicone.ai, which belongs to Helicone but is not a gateway.",
                "export OPENAI_BASE_URL=https://oai.helicone.ai/v1",
            ),
        ),
        (
            "https://[bad",
            problem("OPENAI_BASE_URL is not a URL with a host.", "export OPENAI_BASE_URL=https://oai.helicone.ai/v1"),
        ),
        (
            "",
            warning(
                "OPENAI_BASE_URL is not set: unless your code names a gateway, openai calls api.openai.com, "
                "with no headers.",
                "export OPENAI_BASE_URL=https://oai.helicone.ai/v1",
            ),
        ),
    ],
)
def test_a_base_url_is_judged_by_its_destination(url: str, expected: Finding) -> None:
    environ = {
        "OPENAI_BASE_URL": url,
        "HELICONE_GATEWAY_HOSTS": "mine.local:8787",
        "HELICONE_PROPAGATE_HOSTS": "svc.local",
    }

    assert findings(outside(environ), "base_urls") == [expected]


def test_hosts_from_the_settings_are_shown() -> None:
    environ = {"HELICONE_GATEWAY_HOSTS": "a, b:1", "HELICONE_PROPAGATE_HOSTS": ".c.local"}

    assert findings(outside(environ), "hosts") == [
        ok("Gateways in addition to Helicone's own: a, b:1."),
        ok("Services in which sessions continue: .c.local."),
    ]


def test_a_library_without_an_instrumentation_is_a_warning_with_the_command_to_install_one() -> None:
    packages = installed(OPENAI, Package("chromadb", "1.5"), Package("langchain-core", "1.4"), instrumentations=())

    assert findings(outside(packages=packages), "sdk_instrumentations") == [
        warning(
            "openai 3.54.0 has no instrumentation: its calls have no spans of their own.",
            "pip install opentelemetry-instrumentation-genai-openai",
        )
    ]
    assert findings(outside(packages=packages), "library_instrumentations") == [
        warning(
            "chromadb 1.5 has no instrumentation: its queries are in no session.",
            "pip install opentelemetry-instrumentation-chromadb",
        ),
        warning(
            "langchain-core 1.4 has no instrumentation: its agents and tools add nothing to the path.",
            "pip install opentelemetry-instrumentation-genai-langchain",
        ),
    ]


def test_a_library_that_makes_spans_itself_needs_no_instrumentation() -> None:
    old, new = Package("mcp", "1.9"), Package("mcp", "2.3", {"opentelemetry-api": ""})

    assert findings(outside(packages=installed(new)), "library_instrumentations") == [ok("mcp 2.3 makes spans itself.")]
    assert findings(outside(packages=installed(old)), "library_instrumentations") == [
        warning(
            "mcp 1.9 has no instrumentation: its tool calls are in no session.",
            "pip install openinference-instrumentation-mcp",
        )
    ]


@pytest.mark.parametrize(
    ("environ", "conflict", "expected"),
    [
        (
            {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai"},
            "",
            warning(
                "openai 3.54.0: opentelemetry-instrumentation-genai-openai is switched off by "
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=openai.",
                "unset OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
            ),
        ),
        (
            {},
            "needs openai<3, found openai 3.54.0",
            warning(
                "opentelemetry-instrumentation-genai-openai does not fit openai 3.54.0: needs openai<3, "
                "found openai 3.54.0.",
                "pip install --upgrade opentelemetry-instrumentation-genai-openai",
            ),
        ),
        (
            {},
            "",
            warning(
                "openai 3.54.0: opentelemetry-instrumentation-genai-openai is installed but was not switched on.",
                "OTEL_LOG_LEVEL=debug opentelemetry-instrument python -c pass shows why",
            ),
        ),
    ],
)
def test_the_reason_for_an_inactive_instrumentation_is_shown(
    environ: Mapping[str, str], conflict: str, expected: Finding
) -> None:
    packages = installed(OPENAI, instrumentations=(replace(GENAI, conflict=conflict),))
    facts = outside(environ, Probe(replace(WELL, active=("helicone",))), packages)

    assert findings(facts, "sdk_instrumentations") == [expected]


def test_an_instrumentation_that_an_app_has_not_switched_on_is_a_warning() -> None:
    assert findings(inside(replace(WELL, active=()), packages=installed(OPENAI)), "sdk_instrumentations") == [
        warning(
            "openai 3.54.0: opentelemetry-instrumentation-genai-openai is installed, "
            "but nothing has switched it on in this process.",
            "start the app with opentelemetry-instrument, or call its instrumentor's instrument()",
        )
    ]


CODE_ONLY = "headers carry only what code opened with session() and step(), or HELICONE_SESSION_ID"


@pytest.mark.parametrize(
    ("name", "argument", "level", "text"),
    [
        ("", "", Level.OK, "Every trace is sampled."),
        ("always_on", "", Level.OK, "Sampler: always_on."),
        ("traceidratio", "1", Level.OK, "Every trace is sampled."),
        ("traceidratio", "", Level.OK, "Every trace is sampled."),
        ("traceidratio", "0.1", Level.WARNING, f"Only 0.1 of all traces are sampled; in the others, {CODE_ONLY}."),
        ("traceidratio", "ten", Level.WARNING, "OTEL_TRACES_SAMPLER_ARG is not a number, so the ratio is 1."),
        (
            "helicone_session",
            "0.1",
            Level.WARNING,
            f"Only 0.1 of all sessions are sampled; in the others, {CODE_ONLY}.",
        ),
        ("always_off", "", Level.WARNING, f"OTEL_TRACES_SAMPLER=always_off keeps no span, so {CODE_ONLY}."),
        ("mine", "", Level.WARNING, 'OTEL_TRACES_SAMPLER names "mine", which is not installed: it is ignored.'),
    ],
)
def test_the_sampler_is_judged(name: str, argument: str, level: Level, text: str) -> None:
    (finding,) = findings(outside({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}), "sampling")

    assert (finding.level, finding.text) == (level, text)


@pytest.mark.parametrize(
    ("sampler", "level", "text"),
    [
        (WELL.sampler, Level.OK, "Every trace is sampled."),
        (
            "ParentBased{root:TraceIdRatioBased{0.1},remoteParentSampled:AlwaysOnSampler}",
            Level.WARNING,
            f"The sampler is TraceIdRatioBased{{0.1}}; in traces that it drops, {CODE_ONLY}.",
        ),
    ],
)
def test_in_an_app_the_sampler_of_its_provider_is_judged(sampler: str, level: Level, text: str) -> None:
    (finding,) = findings(inside(replace(WELL, sampler=sampler)), "sampling")

    assert (finding.level, finding.text) == (level, text)


def test_logfire_is_a_warning_if_it_is_installed_and_in_an_app_only_if_it_scrubs() -> None:
    packages = installed(OPENAI, Package("logfire", "5.2.0"))

    assert [finding.level for finding in findings(outside(packages=packages), "scrubbing")] == [Level.WARNING]
    assert findings(outside(), "scrubbing") == []
    assert findings(inside(WELL, packages=packages), "scrubbing") == []
    assert [finding.level for finding in findings(inside(replace(WELL, scrubs=True)), "scrubbing")] == [Level.WARNING]


@pytest.mark.parametrize(
    ("where", "remedy"),
    [
        ("gen_ai.headers (opentelemetry.instrumentation.openai.v1)", "pass it once, as default_headers= of the client"),
        ("http.request.header.helicone_auth (x)", "export OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS"),
    ],
)
def test_a_key_that_is_recorded_on_spans_is_a_problem(where: str, remedy: str) -> None:
    (finding,) = findings(outside(probe=Probe(WELL, recorded=(where,))), "recorded_key")

    assert finding.level is Level.PROBLEM
    assert finding.text == f"A Helicone-Auth passed as extra_headers is recorded on spans, in clear text, as {where}."
    assert finding.remedy.startswith(remedy)


def test_a_provider_without_an_exporter_is_a_warning() -> None:
    assert findings(inside(replace(WELL, exporters=())), "destination") == [
        warning("Spans are not exported; headers work without that.", "export OTEL_TRACES_EXPORTER=otlp")
    ]


def test_an_export_that_is_switched_off_on_purpose_needs_no_remedy() -> None:
    assert findings(inside(replace(WELL, exporters=()), {"OTEL_TRACES_EXPORTER": "none"}), "destination") == [
        ok("Spans are not exported (OTEL_TRACES_EXPORTER=none); headers need no export.")
    ]


PER_CHAT = "unset HELICONE_SESSION_ID, and open a session() for each conversation"


def test_the_providers_are_listed_with_what_is_done_with_each() -> None:
    providers = (
        ("A of shop", True, "it is the global provider"),
        ("B of crew", False, "x"),
        ("C of y", False, UNKNOWN),
    )
    found = findings(inside(replace(WELL, providers=providers)), "providers")

    assert [(each.level, each.text) for each in found] == [
        (Level.OK, "The spans of the A of shop are labelled: it is the global provider."),
        (Level.OK, "The spans of the B of crew are left alone: x."),
        (Level.WARNING, f"The spans of the C of y are left alone: {UNKNOWN}."),
    ]


def test_a_server_that_hands_on_contexts_needs_something_that_marks_requests() -> None:
    serving = replace(WELL, serves="uvicorn")
    packages = installed(OPENAI, Package("uvicorn", "0.54.0"), Package("fastapi", "0.165.0"))
    marked = Probe(replace(WELL, active=("fastapi",)))

    assert [each.level for each in findings(inside(serving), "stale_contexts")] == [Level.WARNING]
    assert [each.level for each in findings(outside(packages=packages), "stale_contexts")] == [Level.WARNING]
    assert findings(inside(replace(serving, active=("asgi",))), "stale_contexts") == []
    assert findings(inside(replace(WELL, serves="celery")), "stale_contexts") == []
    assert findings(outside(probe=marked, packages=packages), "stale_contexts") == []
    assert findings(outside(), "stale_contexts") == []


def test_fastapi_that_makes_spans_itself_marks_requests() -> None:
    native = Package("fastapi", "0.165.0", {"opentelemetry-api": ">=1.44.0"})
    packages = installed(OPENAI, Package("uvicorn", "0.54.0"), native)
    serving = replace(WELL, serves="uvicorn", native=("fastapi",))

    assert findings(outside(packages=packages), "stale_contexts") == []
    assert findings(inside(serving, packages=packages), "stale_contexts") == []
    # Another app beside it may be served.
    assert [each.level for each in findings(inside(replace(serving, native=())), "stale_contexts")] == [Level.WARNING]
    assert findings(outside(packages=packages), "library_instrumentations") == [
        ok("fastapi 0.165.0 makes spans itself.")
    ]
    old = installed(OPENAI, Package("fastapi", "0.115.0"))
    assert findings(outside(packages=old), "library_instrumentations") == [
        warning(
            "fastapi 0.115.0 has no instrumentation: nothing marks where a request begins, and its routes are in no "
            "path.",
            "pip install opentelemetry-instrumentation-fastapi",
        )
    ]


def test_a_fixed_session_id_is_a_problem_in_a_server_and_a_warning_if_one_is_installed() -> None:
    environ = {"HELICONE_SESSION_ID": "job-1"}
    serving = installed(OPENAI, Package("uvicorn", "0.35"))

    assert findings(inside(replace(WELL, serves="uvicorn"), environ), "session_id") == [
        problem("HELICONE_SESSION_ID is set in a server (uvicorn): all its users share one session.", PER_CHAT)
    ]
    assert findings(outside(environ, packages=serving), "session_id") == [
        warning(
            "HELICONE_SESSION_ID is set, and uvicorn is installed: in a server all users would share one session.",
            PER_CHAT,
        )
    ]
    assert findings(outside(environ), "session_id") == [
        ok("HELICONE_SESSION_ID is set: everything in the process belongs to one session.")
    ]


def test_sessions_without_a_name_are_a_warning() -> None:
    unnamed = {name: value for name, value in HEADERS.items() if name != "Helicone-Session-Name"}

    assert findings(outside(probe=Probe(WELL, (ProbeCall("openai", "httpx2", headers=unnamed),))), "session_name") == [
        warning(
            "Sessions have no name: Helicone shows them as one unnamed group.", 'export HELICONE_SESSION_NAME="My App"'
        )
    ]


def test_an_app_sees_its_current_session_and_the_failures_that_were_swallowed() -> None:
    process = replace(WELL, session="trip-42", path="/research", swallowed={"inject: KeyError": 3})

    assert findings(inside(process), "here") == [ok("The current session here is trip-42, at /research.")]
    assert [finding.text for finding in findings(inside(process), "swallowed")] == [
        "Happened 3 times: inject: KeyError"
    ]


def test_a_check_that_raises_does_not_stop_the_others() -> None:
    def fail(_: Facts) -> list[Finding]:
        raise KeyError("x")

    report = examine(Facts(), [Check("broken", "A", fail), Check("fine", "A", lambda _: [ok("Fine.")])])

    assert [line.finding for line in report.lines] == [
        unknown("The check broken failed: KeyError: 'x'", "please report it"),
        ok("Fine."),
    ]
    assert report.exit_code == 2


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], 0),
        ([ok("")], 0),
        ([warning("", "")], 0),
        ([unknown("", ""), warning("", "")], 2),
        ([unknown("", ""), problem("", "")], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_finding(found: list[Finding], code: int) -> None:
    assert Report(tuple(Line("c", "G", finding) for finding in found)).exit_code == code


REPORT = Report(
    (
        Line("a", "Start-up", ok("Fine.")),
        Line("b", "Start-up", warning("Odd.", "look")),
        Line("c", "Requests", problem("Broken.", "export X=1")),
    )
)
SCREEN = """\
✗ Broken.
  → export X=1

Start-up
✓ Fine.
! Odd.
  → look

Requests
✗ Broken.
  → export X=1

1 problem, 1 warning.
"""


def test_a_report_is_printed_with_the_worst_finding_on_top() -> None:
    assert f"{REPORT}\n" == SCREEN


def test_a_pipe_gets_no_colours_and_an_ascii_terminal_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    piped, old = io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_report(REPORT, piped)
    print_report(REPORT, old)
    old.seek(0)

    assert piped.getvalue() == SCREEN
    assert old.read() == SCREEN.replace("✗", "x").replace("✓", "+").replace("→", "->")


def test_without_rich_the_report_is_printed_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    plain = io.StringIO()
    print_report(REPORT, plain)

    assert plain.getvalue() == SCREEN


def test_a_report_can_be_plain_data() -> None:
    assert REPORT.as_data() == {
        "exit_code": 1,
        "summary": "Broken.",
        "checks": [
            {"check": "a", "group": "Start-up", "level": "ok", "text": "Fine.", "remedy": None},
            {"check": "b", "group": "Start-up", "level": "warning", "text": "Odd.", "remedy": "look"},
            {"check": "c", "group": "Requests", "level": "problem", "text": "Broken.", "remedy": "export X=1"},
        ],
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://me:pass@host:1/x", "at https://***@host:1/x"),
        ("at https://token@host/x", "at https://***@host/x"),
        ("'me:pass@host' is no host", "'***@host' is no host"),
        ("key sk-helicone-abcdefg-1", "key ***"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("it said hunter2hunter2 and t0k3n-v4lue", "it said *** and ***"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    environ = {"MY_API_KEY": "hunter2hunter2", "OTEL_EXPORTER_OTLP_HEADERS": "x-auth=t0k3n-v4lue", "FLAG_KEY": "true"}

    assert Redaction(environ)(text) == shown


def test_secrets_in_logs_and_settings_never_reach_a_report() -> None:
    environ = {"HELICONE_API_KEY": "sk-helicone-aaaaaaa", "HELICONE_GATEWAY_HOSTS": "http://u:pw@h/\x1b[31m"}
    log = ("failed with sk-helicone-aaaaaaa at https://u:pw@h",)

    report = examine(outside(environ, Probe(WELL, (ProbeCall("openai", "httpx2", error=log[0]),), log=log)))

    assert "pw@" not in str(report)
    assert "aaaaaaa" not in str(report)
    assert "\x1b" not in str(report)


def test_each_check_and_each_library_has_one_row() -> None:
    names = [check.name for check in CHECKS]
    libraries = [library.distribution for library in (*(sdk.library for sdk in SDKS), *LIBRARIES)]

    assert len(names) == len(set(names))
    assert len(libraries) == len(set(libraries))
    assert all(library.instrumentations for library in LIBRARIES)

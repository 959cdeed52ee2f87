"""The real SDKs of vendors, each in its own environment, with a stand-in for its endpoint.

The same spans arrive there with and without us, and only our attributes differ.
"""

from __future__ import annotations

import base64
import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.ahead import once
from tests.support.backend import Span, receiving
from tests.support.documents import block
from tests.support.environments import Environments
from tests.support.launching import LLM_SCOPE, SETUPS, AppRun, app_run, base_environ, labels, run_app, without_ours
from tests.support.raw_http import expected, listening
from tests.systems.test_setups import LABELS, PROPAGATORS

pytestmark = pytest.mark.slow


class Vendor(NamedTuple):
    """A vendor's SDK, and its endpoint.

    Attributes:
        requirements: What pip installs.
        alone: What pip installs without dependencies.
        path: The path of the endpoint for spans.
        headers: The headers without which the endpoint refuses spans.
        beside: The answers to requests for other paths.
        environ: The variables that the vendor's documentation says to set.
        launcher: The variables with which the vendor can make its provider under `opentelemetry-instrument`.
        scrubs: Whether it hides the values of attributes with `session` in their names.
        calls: Calls that its app makes past the gateway.
    """

    requirements: tuple[str, ...]
    alone: tuple[str, ...] = ()
    path: str = "/v1/traces"
    headers: Mapping[str, str] = {}
    beside: Mapping[str, object] = {}
    environ: Mapping[str, str] = {}
    launcher: Mapping[str, str] = {}
    scrubs: bool = False
    calls: tuple[str, ...] = ()


_LAUNCHER = ("opentelemetry-distro", "httpx")
_OTLP = (*_LAUNCHER, "opentelemetry-exporter-otlp")
_NO_CONFIGURATOR = {"OTEL_PYTHON_CONFIGURATOR": "off", "OTEL_PYTHON_DISTRO": "off"}
_LANGSMITH = Vendor(
    ("langsmith[otel]>=0.14,<1", *_LAUNCHER),
    path="/otel/v1/traces",
    headers={"x-api-key": "ls-1", "Langsmith-Project": "shop"},
    environ={"LANGSMITH_API_KEY": "ls-1", "LANGSMITH_PROJECT": "shop", "LANGSMITH_TRACING": "true"},
)
VENDORS = {
    "logfire": Vendor(
        ("logfire>=5,<6", *_LAUNCHER),
        headers={"Authorization": "pylf_v1_local_x"},
        beside={"/v1/info": {"project_name": "shop", "project_url": "http://127.0.0.1/"}, "/v1/metrics": {}},
        environ={"LOGFIRE_TOKEN": "pylf_v1_local_x", "LOGFIRE_CONSOLE": "false", "LOGFIRE_INSPECT_ARGUMENTS": "false"},
        launcher=_NO_CONFIGURATOR,  # its provider must become the global one first
        scrubs=True,
    ),
    "langfuse": Vendor(
        ("langfuse>=5,<6", *_LAUNCHER),
        path="/api/public/otel/v1/traces",
        headers={
            "Authorization": "Basic " + base64.b64encode(b"pk-lf-1:sk-lf-1").decode(),
            "x-langfuse-public-key": "pk-lf-1",
        },
        calls=("greet",),
    ),
    "phoenix": Vendor(("arize-phoenix-otel>=0.17,<1", *_LAUNCHER), headers={"authorization": "Bearer px-1"}),
    "langsmith": _LANGSMITH,
    "langsmith_client": _LANGSMITH._replace(launcher=_NO_CONFIGURATOR),  # as for OpenLIT
    "openlit": Vendor(
        # With its own dependencies pip finds no set of versions.
        (*_OTLP, "openai>=1.92,<3", "pydantic", "requests", "schedule", "xmltodict"),
        alone=("openlit>=1.40,<2",),
        headers={"Authorization": "Bearer ol-1"},
        # It adds no exporter to a provider that exists, and reads the launcher's variable.
        launcher={**_NO_CONFIGURATOR, "OTEL_TRACES_EXPORTER": "otlp"},
    ),
    "traceloop": Vendor(
        (
            *(*_OTLP, "opentelemetry-semantic-conventions-ai>=0.5.1", "aiohttp", "colorama", "cuid", "deprecated"),
            *("jinja2", "pydantic", "tenacity", "wrapt"),
        ),
        alone=(
            *("traceloop-sdk>=0.60,<1", "opentelemetry-instrumentation-threading"),
            "opentelemetry-instrumentation-logging",
        ),
        headers={"Authorization": "Bearer tl-1"},
        beside={"/v1/metrics": {}},
    ),
}
METHODS = ("configure first", "configure last", "instrument")


def run(name: str, method: str, python: Path, **environ: str) -> AppRun:
    """Run an app under a vendor's SDK and return what it did."""
    vendor = VENDORS[name]
    with receiving(vendor.path, vendor.headers, vendor.beside) as backend, listening() as gateway:
        launched = method in {"instrument", "launched without"}
        variables = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
        variables |= {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "helicone"} if method == "launched without" else {}
        output = run_app(
            [str(SETUPS / f"with_{name}.py")],
            {
                **base_environ(method),
                **vendor.environ,
                **({**variables, **vendor.launcher} if launched else {}),
                "LANGSMITH_ENDPOINT": backend.url,
                "LOGFIRE_BASE_URL": backend.url,
                "BACKEND": backend.url,
                "GATEWAY": gateway.url,
                "HELICONE_GATEWAY_HOSTS": gateway.netloc,
                **environ,
            },
            launched,
            python,
        )
        assert backend.refused == []
        return app_run(backend, gateway, output)


def apps(spans: Sequence[Span]) -> list[Span]:
    """Return the spans of the app, without those of the vendor's SDK."""
    return [span for span in spans if span.scope in {"shop", LLM_SCOPE}]


def finished(spans: Sequence[Span]) -> list[Span]:
    """Return spans without Logfire's pending spans, whose number depends on time, and without its list of scrubs."""
    return [
        dataclasses.replace(
            span, attributes={key: value for key, value in span.attributes.items() if key != "logfire.scrubbed"}
        )
        for span in spans
        if span.attributes.get("logfire.span_type") != "pending_span"
    ]


def scrubbed(label: Mapping[str, str]) -> dict[str, str]:
    """Return a label as Logfire scrubs it."""
    return {key: "[Scrubbed due to 'session']" if "session" in key else value for key, value in label.items()}


def is_of_log(row_id: object) -> bool:
    """Tell whether the log makes this row: the id of a gateway's row is random."""
    return row_id is not None and uuid.UUID(str(row_id)).version == 5


@once
def bare(name: str, launched: bool, python: Path) -> AppRun:
    """Return what the app does without us."""
    return run(name, "launched without" if launched else "none", python)


def without_and_with_us(name: str, method: str, propagators: str, environments: Environments) -> tuple[AppRun, AppRun]:
    """Return what an app does without and with us."""
    vendor = VENDORS[name]
    python = environments.python(name.removesuffix("_client"), vendor.requirements, vendor.alone)
    before = bare(name, method == "instrument", python)
    return before, run(name, method, python, **({"OTEL_PROPAGATORS": propagators} if propagators else {}))


@pytest.mark.ahead(work=without_and_with_us)
@pytest.mark.parametrize("propagators", ["", PROPAGATORS])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", VENDORS)
def test_a_vendor_gets_the_same_spans_with_our_labels_on_them(
    name: str, method: str, propagators: str, outcome: tuple[AppRun, AppRun]
) -> None:
    vendor = VENDORS[name]
    before, after = outcome

    spans = finished(after.spans)
    assert without_ours(spans) == finished(before.spans)
    exported = {span.name for span in before.spans}
    wanted = [(name, scrubbed(label) if vendor.scrubs else label) for name, label in LABELS if name in exported]
    assert wanted
    assert labels(apps(spans)) == [one for one in wanted if one[0] != "POST"]
    # One row for each tool that ran; none for calls through the gateway or for pending spans.
    rows = [span.name for span in after.spans if is_of_log(span.attributes.get("helicone.request.id"))]
    assert rows == [*vendor.calls, "look up", "look up"]
    trace = next(span.trace for span in after.spans if span.scope == LLM_SCOPE)
    assert after.headers == [
        expected(id=trace, path="/plan_trip", name="shop"),
        expected(id="trip-42", path="/plan_trip", name="Trip Planning"),
    ]
    assert (before.headers, after.output) == ([[], []], before.output)


def test_logfire_keeps_the_session_with_the_callback_of_the_readme(environments: Environments) -> None:
    vendor = VENDORS["logfire"]
    python = environments.python("logfire", vendor.requirements, vendor.alone)

    recipe = block("python", "logfire")

    kept = run("logfire", "configure first", python, RECIPE=recipe)

    assert labels(apps(finished(kept.spans))) == [one for one in LABELS if one[0] != "POST"]

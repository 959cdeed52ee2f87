"""The real SDKs of vendors, each in an environment of its own, with a stand-in for its endpoint.

The same spans arrive there with and without us, and differ by our attributes alone.
"""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from backend import Span, receiving
from environments import Environments
from launching import SETUPS, Outcome, base_environ, labels, replaced, run_app, without_ours
from test_setups import LABELS
from wire import expected, listening

pytestmark = pytest.mark.slow


class Vendor(NamedTuple):
    """A vendor's SDK, and its endpoint.

    Attributes:
        requirements: What pip installs; `alone`: the same, without what it says it needs.
        path: Where spans go; `headers`: without which they are refused; `beside`: what else is asked for.
        environ: What the vendor's documentation says to set.
        launcher: What to set for `opentelemetry-instrument` so that the vendor can make its provider.
        volatile: Attributes that are other ones in every run.
        scrubs: Whether it hides values in which it reads `session`.
    """

    requirements: tuple[str, ...]
    alone: tuple[str, ...] = ()
    path: str = "/v1/traces"
    headers: Mapping[str, str] = {}
    beside: Mapping[str, object] = {}
    environ: Mapping[str, str] = {}
    launcher: Mapping[str, str] = {}
    volatile: frozenset[str] = frozenset()
    scrubs: bool = False


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
        volatile=frozenset({"code.filepath", "thread.id"}),
        scrubs=True,
    ),
    "langfuse": Vendor(
        ("langfuse>=5,<6", *_LAUNCHER),
        path="/api/public/otel/v1/traces",
        headers={
            "Authorization": "Basic " + base64.b64encode(b"pk-lf-1:sk-lf-1").decode(),
            "x-langfuse-public-key": "pk-lf-1",
        },
    ),
    "phoenix": Vendor(("arize-phoenix-otel>=0.17,<1", *_LAUNCHER), headers={"authorization": "Bearer px-1"}),
    "langsmith": _LANGSMITH,
    "langsmith_client": _LANGSMITH,
    "openlit": Vendor(
        # Its own list of what it needs has pip try releases without end.
        (*_OTLP, "openai>=1.92,<3", "pydantic", "requests", "schedule", "xmltodict"),
        alone=("openlit>=1.40,<2",),
        headers={"Authorization": "Bearer ol-1"},
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
DOORS = ("configure first", "configure last", "instrument")


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    return Environments(tmp_path_factory.mktemp("environments"))


def run(name: str, door: str, python: Path, **environ: str) -> Outcome:
    """Run an app under a vendor's SDK and return what it did."""
    vendor = VENDORS[name]
    with receiving(vendor.path, vendor.headers, vendor.beside) as backend, listening() as gateway:
        launched = door in {"instrument", "launched without"}
        told = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
        told |= {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "helicone"} if door == "launched without" else {}
        output = run_app(
            [str(SETUPS / f"with_{name}.py")],
            {
                **base_environ(door),
                **vendor.environ,
                **({**told, **vendor.launcher} if launched else {}),
                "LANGSMITH_ENDPOINT": backend.url,
                "BACKEND": backend.url,
                "GATEWAY": gateway.url,
                "HELICONE_GATEWAY_HOSTS": gateway.netloc,
                **environ,
            },
            launched,
            python,
        )
        assert backend.refused == []
        spans = [replaced(span, gateway.netloc, "gateway") for span in backend.spans]
        return Outcome(spans, [gateway.helicone(n) for n in range(len(gateway.heads))], output)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", VENDORS)
def test_a_vendor_gets_the_same_spans_with_our_labels_on_them(name: str, door: str, environments: Environments) -> None:
    vendor = VENDORS[name]
    python = environments.python(name.removesuffix("_client"), vendor.requirements, vendor.alone)
    before = run(name, "launched without" if door == "instrument" else "none", python)
    after = run(name, door, python)
    print("OUT", before.output, "|", after.output)
    for s in before.spans:
        print("B", s.name, s.scope, s.attributes)
    for s in after.spans:
        print("A", s.name, s.attributes)
    assert without_ours(after.spans) == before.spans
    assert labels([s for s in after.spans if s.scope in ("shop", "opentelemetry.instrumentation.genai.openai")]) == [
        l for l in LABELS if l[0] != "POST"
    ]
    assert after.headers == [
        expected(id=after.spans[-1].trace and after.headers[0][0][1].decode(), path="/plan_trip", name="shop"),
        expected(id="trip-42", path="/plan_trip", name="Trip Planning"),
    ]
    assert (before.headers, after.output) == ([[], []], before.output)

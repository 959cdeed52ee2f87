"""Whose is a tracer provider: the app's, or a vendor's that watches its own library?

Two tables. With the SDKs of the first one, an app sets up its own observability. The providers of the second one send
what they get to the vendor of a library, who must learn nothing of the app's sessions. A provider in neither table is
the app's if it is the global one or was given to `configure()`.

What shows the owner: the module that called `TracerProvider()`, the classes of the provider, its processors and its
exporters, the resource's `service.name`, and the hosts that it exports to. The first is the surest, because it needs no
cooperation, but it is known only of providers that were made after the library was installed.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

# Packages that make providers, or bring processors and exporters, for an app's own observability.
APP_SDKS: Final = (
    "agentops",
    "agno.tracing",
    "arize.otel",
    "atla_insights",
    "azure.monitor.opentelemetry",
    "braintrust",
    "cognee.modules.observability",
    "ddtrace",
    "deepeval.integrations",
    "fi_instrumentation",
    "galileo",
    "google.adk",
    "griptape.drivers.observability",
    "guardrails.telemetry",
    "helicone_otel",
    "honeyhive",
    "judgeval",
    "keywordsai_tracing",
    "langflow.services.tracing",
    "langfuse",
    "langsmith",
    "langtrace_python_sdk",
    "langwatch",
    "litellm.integrations",
    "livekit.agents.telemetry",
    "lmnr",
    "logfire",
    "mlflow",
    "monocle_apptrace",
    "netra",
    "openlit",
    "opik",
    "patronus",
    "phoenix.otel",
    "pipecat.utils.tracing",
    "posthog.ai.otel",
    "promptflow.tracing",
    "promptlayer",
    "respan_tracing",
    "sentry_sdk",
    "strands.telemetry",
    "traceloop.sdk",
    "trulens",
    "upsonic.integrations",
    "uptrace",
    "weave",
)


# The classes here are no NamedTuples, which take longer to make at an app's start than all else in this module.
class Vendor:
    """How a vendor watches its own library.

    Attributes:
        name: The vendor's name.
        modules: The packages that make the provider.
        services: The provider's `service.name`, where no app would have the same.
        hosts: The hosts that it exports to, where no app would export to the same.
    """

    __slots__ = ("hosts", "modules", "name", "services")

    def __init__(
        self, name: str, modules: tuple[str, ...], services: tuple[str, ...] = (), hosts: tuple[str, ...] = ()
    ) -> None:
        self.name = name
        self.modules = modules
        self.services = services
        self.hosts = hosts


# mem0, embedchain, Chroma, Haystack, browser-use, Agno and Ragas watch themselves without OpenTelemetry.
VENDORS: Final = (
    # Until 1.0, CrewAI made its provider the global one.
    Vendor(
        "CrewAI",
        ("crewai.telemetry", "crewai_core.telemetry", "crewai_cli.telemetry"),
        ("crewAI-telemetry",),
        ("telemetry.crewai.com",),
    ),
    # Until 2.x, DeepEval made its provider the global one. It exports to New Relic, as apps do.
    Vendor("DeepEval", ("deepeval.telemetry",)),
    Vendor(
        "Guardrails Hub",
        ("guardrails.utils.hub_telemetry_utils", "guardrails.hub_telemetry"),
        ("guardrails-hub",),
        ("hty0gc1ok3.execute-api.us-east-1.amazonaws.com",),
    ),
    Vendor("Semgrep", ("semgrep.telemetry",)),
    Vendor("Swarms", ("swarms.telemetry",), hosts=("telemetry.swarms.world",)),
)


# What this package itself puts into pipelines is no evidence.
_OURS: Final = __name__.rpartition(".")[0]
UNKNOWN: Final = "it is not the global one, and was not given to configure()"


class Evidence:
    """What a provider shows of its owner.

    Attributes:
        maker: The module that made it; empty if it is not known.
        classes: The modules of its class and of the classes that this one inherits from.
        processors: The modules of its processors' classes.
        exporters: For each exporter, the module of its class, and the host that it exports to or nothing.
        service: The resource's `service.name`.
    """

    __slots__ = ("classes", "exporters", "maker", "processors", "service")

    def __init__(
        self,
        maker: str,
        classes: tuple[str, ...],
        processors: tuple[str, ...],
        exporters: tuple[tuple[str, str], ...],
        service: str,
    ) -> None:
        self.maker = maker
        self.classes = classes
        self.processors = processors
        self.exporters = exporters
        self.service = service


class Verdict:
    """Whose a provider is.

    Attributes:
        is_apps: Its spans are the app's.
        reason: Why, for people.
        vendors_service: A vendor's own `service.name`: no session must have this name.
    """

    __slots__ = ("is_apps", "reason", "vendors_service")

    def __init__(self, is_apps: bool, reason: str, vendors_service: str = "") -> None:
        self.is_apps = is_apps
        self.reason = reason
        self.vendors_service = vendors_service


class ProviderOwners:
    """Decides whose providers are.

    Attributes:
        given: The providers that the app has given to `configure()`.
        takes_unknown: Unknown providers are the app's. In a test, an app's own provider cannot become the global one if
            another test has set one.
    """

    def __init__(self) -> None:
        self.takes_unknown = False
        self.given: weakref.WeakSet[TracerProvider] = weakref.WeakSet()
        self._makers: weakref.WeakKeyDictionary[TracerProvider, str] = weakref.WeakKeyDictionary()

    def note_maker(self, provider: TracerProvider, module: str) -> None:
        """Remember which module has made a provider."""
        self._makers[provider] = module

    def verdict(self, provider: TracerProvider | None, pipeline: object, resource: object, is_global: bool) -> Verdict:
        """Decide whose a provider is.

        Args:
            provider: The provider; `None` if only its pipeline is known.
            pipeline: The pipeline of its processors, if that is known.
            resource: Its resource, if that is known.
            is_global: Whether it is the global provider.
        """
        maker = self._makers.get(provider, "") if provider is not None else ""
        evidence = evidence_of(provider, pipeline, resource, maker)
        if (vendor := vendor_of(evidence)) is not None:
            # A provider without a resource of its own has the app's name.
            service = evidence.service if evidence.service in vendor.services else ""
            return Verdict(False, f"{vendor.name} watches its own library by it", service)
        if provider is not None and provider in self.given:
            return Verdict(True, "it was given to configure()")
        if is_global:
            return Verdict(True, "it is the global provider")
        if (sdk := app_sdk_of(evidence)) is not None:
            return Verdict(True, f"it belongs to {sdk}")
        return Verdict(self.takes_unknown, UNKNOWN)


def evidence_of(provider: object, pipeline: object, resource: object, maker: str) -> Evidence:
    """Return what a provider shows of its owner.

    Args:
        provider: The provider; `None` if only its pipeline is known.
        pipeline: The pipeline of its processors.
        resource: Its resource.
        maker: The module that made it; empty if it is not known.
    """
    processors = list(_processors_in(pipeline))
    exporters = [exporter for each in processors if (exporter := getattr(each, "span_exporter", None)) is not None]
    return Evidence(
        maker,
        tuple(kind.__module__ for kind in type(provider).__mro__),
        tuple(type(each).__module__ for each in processors),
        tuple((type(each).__module__, _host_of(each)) for each in exporters),
        str(getattr(resource, "attributes", {}).get("service.name", "")),
    )


def vendor_of(evidence: Evidence) -> Vendor | None:
    """Return the vendor that watches its own library by a provider, or `None`."""
    return next((vendor for vendor in VENDORS if _is_of_vendor(evidence, vendor)), None)


def app_sdk_of(evidence: Evidence) -> str | None:
    """Return the SDK by which an app watches itself with a provider, or `None`."""
    modules = (evidence.maker, *evidence.classes, *evidence.processors, *(module for module, _ in evidence.exporters))
    return next((sdk for sdk in APP_SDKS if any(_is_in(module, sdk) for module in modules)), None)


def _is_of_vendor(evidence: Evidence, vendor: Vendor) -> bool:
    if evidence.service in vendor.services:
        return True
    if any(_is_in(module, name) for module in (evidence.maker, *evidence.classes) for name in vendor.modules):
        return True
    return any(
        host in vendor.hosts or any(_is_in(module, name) for name in vendor.modules)
        for module, host in evidence.exporters
    )


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _processors_in(pipeline: object) -> Iterator[object]:
    inner: Iterable[Any] = getattr(pipeline, "_span_processors", ())
    for processor in inner:
        if not type(processor).__module__.startswith(_OURS):
            yield processor
        yield from _processors_in(processor)


def _host_of(exporter: object) -> str:
    endpoint = getattr(exporter, "_endpoint", None)
    if not isinstance(endpoint, str):
        return ""
    try:
        return urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").hostname or ""
    except ValueError:  # no URL
        return ""


def calling_module(depth: int) -> str:
    """Return the module whose code calls a constructor of the SDK: the first one outside of the SDK.

    Args:
        depth: How many frames are between this function's and that of the constructor's caller.
    """
    frame: FrameType | None = sys._getframe(depth + 1)  # noqa: SLF001  # documented, and cheap, unlike `inspect`
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not any(_is_in(module, package) for package in ("opentelemetry.sdk", "wrapt")):
            return module
        frame = frame.f_back
    return ""

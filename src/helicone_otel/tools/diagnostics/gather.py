"""Gathers facts: what is installed, the state of this process, its configuration file, and where its spans would go.

Distributions are looked up without importing them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions, entry_points
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from opentelemetry import trace
from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.trace import TracerProvider
from packaging.requirements import InvalidRequirement, Requirement

from ... import failures, wire
from ...install.configure import INSTALLATION, sdk_provider
from ...otel.processor import HeliconeSpanProcessor
from ...settings import SettingsError
from ...tracking.registry import REGISTRY
from .facts import CONFIG_FILE, Endpoint, Installed, Instrumentation, Package, Probe, Process, normalised
from .libraries import NATIVE_WEB, SERVING_MODULES

INSTRUMENTORS: Final = "opentelemetry_instrumentor"
PROPAGATORS: Final = "opentelemetry_propagator"
SAMPLERS: Final = "opentelemetry_traces_sampler"
EXPORTERS: Final = {signal: f"opentelemetry_{signal.lower()}_exporter" for signal in ("TRACES", "METRICS", "LOGS")}
_GROUPS: Final = (PROPAGATORS, SAMPLERS, *EXPORTERS.values())
# The doctor checks the requirements of these distributions: ours, and families of packages that pin each other.
_CHECKED: Final = ("helicone-otel", "opentelemetry-", "openinference-", "traceloop-sdk")
_ENDPOINTS: Final = {"grpc": "http://localhost:4317", "http/protobuf": "http://localhost:4318"}
_PORTS: Final = {"http": 80, "https": 443}
_CONNECT_SECONDS: Final = 2.0


def gather_installed() -> Installed:
    """Return the distributions, instrumentations and entry points that are installed for this interpreter."""
    by_name: dict[str, list[Distribution]] = {}
    for distribution in distributions():
        if name := name_of(distribution):
            by_name.setdefault(name, []).append(distribution)
    # Python imports the first copy on the path.
    versions = {name: copies[0].version for name, copies in by_name.items()}
    packages = {name: package_of(copies[0], versions, _count(copies)) for name, copies in by_name.items()}
    instrumentations = (
        _instrumentation(point.name, point.dist)
        for point in entry_points(group=INSTRUMENTORS)
        if point.dist is not None and name_of(point.dist)
    )
    names = {group: frozenset(entry_points(group=group).names) for group in _GROUPS}
    return Installed(packages, tuple(instrumentations), names)


def inspect_process() -> Process:
    """Return the state of this process: its provider, propagator, instrumentations and current session."""
    # Not imported above, because importing it loads every propagator that `OTEL_PROPAGATORS` names.
    from opentelemetry.propagate import get_global_textmap  # noqa: PLC0415

    provider = trace.get_tracer_provider()
    provider = sdk_provider(provider) or provider
    processors = list(_processors(getattr(provider, "_active_span_processor", None)))
    location = REGISTRY.locate()
    return Process(
        provider=_class_name(provider),
        # With `OTEL_SDK_DISABLED=true` the tracers of the SDK's provider make no spans.
        records=isinstance(provider, TracerProvider) and not getattr(provider, "_disabled", False),
        labels=INSTALLATION.has_processor(provider)
        or any(isinstance(each, HeliconeSpanProcessor) for each in processors),
        injects=_injects(get_global_textmap()),
        installed=INSTALLATION.installed and REGISTRY.active,
        exporters=tuple(_class_name(exporter) for each in processors if (exporter := _exporter_of(each)) is not None),
        sampler=_description(getattr(provider, "sampler", None)),
        active=tuple(_active_instrumentations()),
        scrubs=_does_logfire_scrub(),
        serves=next((name.partition(".")[0] for name in SERVING_MODULES if name in sys.modules), ""),
        swallowed=failures.swallowed(),
        session=location.session.wire_id if location else "",
        path=str(location.path) if location else "",
        providers=tuple(dict.fromkeys(_providers())),
        settings=_settings(),
        native=tuple(name for name in NATIVE_WEB if f"{name}.telemetry" in sys.modules),
    )


def _settings() -> str:
    exporter = INSTALLATION.exporter
    settings = exporter.settings if exporter is not None else REGISTRY.settings
    return settings.changed()


def _providers() -> Iterator[tuple[str, bool, str]]:
    for provider, is_labelled, reason in INSTALLATION.providers():
        if provider is not None:
            service = str(provider.resource.attributes.get("service.name", "no service"))
            yield f"{_class_name(provider).rpartition('.')[2]} of {service}", is_labelled, reason


def name_of(distribution: Distribution) -> str:
    """Return a distribution's normalised name; empty if it has none, as the remains of a broken installation."""
    return normalised(distribution.metadata["Name"] or "")


def package_of(distribution: Distribution, versions: Mapping[str, str] | None = None, copies: int = 1) -> Package:
    """Return a distribution as a `Package`.

    Args:
        distribution: The copy of it that Python imports.
        versions: The installed versions by normalised name, to find requirements that they do not meet; `None`: do
            not check requirements.
        copies: How many versions of it are on Python's path.
    """
    name = name_of(distribution)
    requirements = list(_requirements(distribution.requires or ()))
    unmet: tuple[str, ...] = ()
    if versions is not None and name.startswith(_CHECKED):
        unmet = tuple(text for each in requirements if (text := _shortfall(each, versions)))
    requires = {normalised(each.name): str(each.specifier) for each in requirements}
    return Package(name, distribution.version, requires, unmet, copies)


def _count(copies: Iterable[Distribution]) -> int:
    return len({copy.version for copy in copies})


def _requirements(lines: Iterable[str]) -> Iterable[Requirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # old metadata, which pip accepted
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _shortfall(requirement: Requirement, versions: Mapping[str, str]) -> str:
    version = versions.get(normalised(requirement.name))
    if version is not None and requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{requirement.name}{requirement.specifier} (found {version or 'none'})"


def _instrumentation(name: str, distribution: Distribution) -> Instrumentation:
    conflict: Any = get_dist_dependency_conflicts(distribution)
    found = conflict and (conflict.found or getattr(conflict, "found_any", None))
    # Without a version found, the library is not installed. That is no conflict.
    text = f"needs {conflict.required or ', '.join(conflict.required_any)}, found {found}" if found else ""
    return Instrumentation(name, name_of(distribution), text)


def _injects(textmap: TextMapPropagator) -> bool:
    with contextlib.suppress(Exception):  # `fields` of an app's own propagator may raise
        return wire.SESSION_ID_HEADER in textmap.fields
    return False


def _processors(processor: Any) -> Iterator[Any]:
    if processor is None:
        return
    yield processor
    # Some processors contain several others; vendors' wrappers contain one.
    inner = getattr(processor, "_span_processors", None) or (getattr(processor, "processor", None),)
    for each in inner:
        yield from _processors(each)


def _exporter_of(processor: Any) -> Any:
    batch = getattr(processor, "_batch_processor", None)
    return getattr(processor, "span_exporter", None) or getattr(batch, "_exporter", None)


def _description(sampler: Any) -> str:
    return str(sampler.get_description()) if sampler is not None else ""


def _active_instrumentations() -> Iterator[str]:
    for point in entry_points(group=INSTRUMENTORS):
        # An active instrumentation has been imported. Importing the others would change the app.
        module = sys.modules.get(point.module)
        instance = getattr(getattr(module, point.attr, None), "_instance", None)
        if getattr(instance, "is_instrumented_by_opentelemetry", False):
            yield point.name


def _does_logfire_scrub() -> bool:
    logfire = sys.modules.get("logfire")
    if logfire is None:
        return False
    config = getattr(getattr(logfire, "DEFAULT_LOGFIRE_INSTANCE", None), "config", None)
    return bool(getattr(config, "_initialized", False)) and getattr(config, "scrubbing", None) is not False


def _class_name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def find_endpoint(environ: Mapping[str, str], probe: Probe) -> Endpoint | None:
    """Return where spans would go by OTLP, and whether anything listens there. It is connected to, and sent nothing.

    Args:
        environ: The environment variables.
        probe: The result of the probe, which knows the exporters.
    """
    exporters = probe.process.exporters if probe.process else ()
    # A configuration file has endpoints of its own.
    if environ.get(CONFIG_FILE) or not any(name.endswith(".OTLPSpanExporter") for name in exporters):
        return None
    _, protocol = _variable(environ, "PROTOCOL")
    protocol = protocol or "grpc"
    variable, named = _variable(environ, "ENDPOINT")
    if named and not _is_address(named, protocol):
        return Endpoint(named, protocol, is_default=False, listens=None, no_url=variable)
    url = urlsplit(named if "://" in named else f"http://{named}") if named else urlsplit(_ENDPOINTS.get(protocol, ""))
    try:
        host, port = url.hostname or "", url.port or _PORTS.get(url.scheme, 0)
    except ValueError:  # the port is no number; the exporter says so
        return None
    if not host or not port or _has_proxy(host, url.scheme):
        return None
    listens, error = _connect(host, port)
    return Endpoint(f"{host}:{port}", protocol, is_default=not named, listens=listens, error=error)


def _variable(environ: Mapping[str, str], end: str) -> tuple[str, str]:
    """Return the name and the value of the variable that counts; empty texts if there is none."""
    names = (f"OTEL_EXPORTER_OTLP_TRACES_{end}", f"OTEL_EXPORTER_OTLP_{end}")
    return next(((name, value) for name in names if (value := environ.get(name, "").strip())), ("", ""))


def _is_address(named: str, protocol: str) -> bool:
    # gRPC takes `host:port` as well.
    return "://" in named or (protocol == "grpc" and ":" in named)


def _has_proxy(host: str, scheme: str) -> bool:
    # Behind a proxy, a connection of ours proves nothing. These functions read the process's own environment, as the
    # exporters do.
    return scheme in getproxies() and not proxy_bypass(host)


def _connect(host: str, port: int) -> tuple[bool | None, str]:
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except TimeoutError:
        return None, f"no answer within {_CONNECT_SECONDS:g} s"
    except OSError as error:
        return False, error.strerror or str(error)
    return True, ""


def options_of_file(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the configuration file of OpenTelemetry says of us; nothing if there is no file, or no reader for it.

    Raises:
        SettingsError: The file cannot be read.
    """
    file = environ.get(CONFIG_FILE, "").strip()
    if not file:
        return {}
    try:
        from opentelemetry.configuration.file import load_config_file  # noqa: PLC0415  # an extra of the SDK
    except ImportError:
        return {}
    try:
        with _no_log():
            instrumentation = load_config_file(file).instrumentation_development
    except Exception as error:
        raise SettingsError(f"{CONFIG_FILE}: {os.path.basename(file)} cannot be read: {error}") from error  # noqa: PTH119
    instrumentations = instrumentation.python if instrumentation is not None else None
    return dict((instrumentations or {}).get("helicone") or {})


@contextlib.contextmanager
def _no_log() -> Iterator[None]:
    """Log nothing while the block runs: the reader of the file logs what it raises."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)

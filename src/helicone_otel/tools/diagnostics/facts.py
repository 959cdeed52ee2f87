"""The facts that the doctor's checks judge, as plain data. Other modules gather them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
SAMPLER: Final = "OTEL_TRACES_SAMPLER"
CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
# Values of `OTEL_TRACES_SAMPLER`: our own sampler, samplers that take a ratio, samplers that keep no span.
BY_SESSION: Final = "helicone_session"
RATIOS: Final = ("traceidratio", "parentbased_traceidratio", BY_SESSION)
OFF: Final = ("always_off", "parentbased_always_off")


@dataclass(frozen=True, slots=True)
class Package:
    """An installed distribution.

    Attributes:
        name: Its normalised name.
        version: Its version.
        requires: The distributions that it requires (extras aside), by normalised name, with their version ranges.
        unmet: Its requirements that the installed distributions do not meet, as written in its metadata.
        copies: How many versions of it are on Python's path.
    """

    name: str
    version: str
    requires: Mapping[str, str] = field(default_factory=dict)
    unmet: tuple[str, ...] = ()
    copies: int = 1


@dataclass(frozen=True, slots=True)
class Instrumentation:
    """An `opentelemetry_instrumentor` entry point.

    Attributes:
        name: Its name, as in `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`.
        distribution: The normalised name of its distribution.
        conflict: Why it does not instrument the installed library; empty if it does.
    """

    name: str
    distribution: str
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class Installed:
    """The distributions that are installed for this interpreter.

    Attributes:
        packages: The distributions, by normalised name.
        instrumentations: The instrumentations that they contain.
        names: By entry point group, the names that environment variables can choose from.
    """

    packages: Mapping[str, Package] = field(default_factory=dict)
    instrumentations: tuple[Instrumentation, ...] = ()
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def get(self, distribution: str) -> Package | None:
        """Return an installed distribution, or `None`."""
        return self.packages.get(normalised(distribution))

    def made_by(self, distribution: str) -> list[Instrumentation]:
        """Return the instrumentations that a distribution contains."""
        return [each for each in self.instrumentations if each.distribution == normalised(distribution)]


@dataclass(frozen=True, slots=True)
class Process:
    """A process in which an app runs, or would run, seen from the inside.

    Attributes:
        provider: The class of the global tracer provider.
        records: Whether the provider is one of the SDK, which makes spans.
        labels: Whether our processor is on the provider.
        injects: Whether the global propagator writes our headers.
        installed: Whether helicone-otel is switched on, with its hooks in the HTTP clients.
        providers: The SDK's providers that were seen: for each, its class and service, whether its spans are labelled,
            and why.
        exporters: The classes of the provider's exporters.
        sampler: The sampler's description of itself.
        active: The names of the active instrumentations.
        scrubs: Whether Logfire is configured in the process and scrubs values.
        serves: The server that runs in the process; empty if there is none.
        swallowed: How often each kind of failure of helicone-otel happened.
        session: The id of the current session; empty if there is none.
        path: The current path in that session.
        settings: The settings that are not the defaults, as their variables.
        native: The web frameworks that are loaded and make spans themselves.
    """

    provider: str
    records: bool
    labels: bool
    injects: bool
    installed: bool
    exporters: tuple[str, ...] = ()
    sampler: str = ""
    active: tuple[str, ...] = ()
    scrubs: bool = False
    serves: str = ""
    swallowed: Mapping[str, int] = field(default_factory=dict)
    session: str = ""
    path: str = ""
    providers: tuple[tuple[str, bool, str], ...] = ()
    settings: str = ""
    native: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeCall:
    """A call that the probe made to a fake of Helicone's gateway.

    Attributes:
        sdk: The distribution of the LLM SDK.
        via: The HTTP client that sent the request.
        bare: Whether the client sent a plain request, because the probe cannot call the SDK itself.
        headers: The `Helicone-*` headers that arrived, without `Helicone-Auth`; `None` if no request arrived.
        own_id_kept: Whether a `Helicone-Session-Id` that the caller sets arrives unchanged; `None` if it is not known.
        key: How a client that the environment alone configures sends Helicone's key: `Helicone-Auth`, `API key`, or
            empty if it sends none; `None` if it is not known.
        error: Why the call failed; empty if it did not.
        slow: Whether it failed only because it took too long.
    """

    sdk: str
    via: str
    bare: bool = False
    headers: Mapping[str, str] | None = None
    own_id_kept: bool | None = True
    key: str | None = None
    error: str = ""
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of the probe: a process started as `opentelemetry-instrument` would start the app.

    Attributes:
        process: The process, seen from the inside; `None` if it did not come that far.
        calls: The calls that it made.
        recorded: The span attributes that contained a `Helicone-Auth` of the caller's, each with its scope.
        log: The lines that it wrote to standard error.
        failure: Why `process` is `None`; empty if it is not.
        slow: Whether the reason is only that it took too long.
    """

    process: Process | None = None
    calls: tuple[ProbeCall, ...] = ()
    recorded: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    failure: str = ""
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an app would send its spans by OTLP.

    Attributes:
        address: `host:port`.
        protocol: `grpc` or `http/protobuf`.
        is_default: Whether no variable names it.
        listens: Whether something accepts connections there; `None` if it is not known.
        error: Why it is not reached; empty if it is.
        no_url: The variable whose value should be a URL and is not; it is the `address`. Empty if all is well.
    """

    address: str
    protocol: str
    is_default: bool
    listens: bool | None
    error: str = ""
    no_url: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All facts that the checks judge.

    Attributes:
        environ: The environment variables.
        installed: The installed distributions.
        probe: The result of the probe; `None` inside an app.
        process: The app's own process; `None` outside an app.
        endpoint: Where spans would go by OTLP; `None` inside an app, or if they go elsewhere.
        options: What the configuration file of OpenTelemetry says of us.
        options_error: Why that file cannot be read; empty if it can, or if there is none.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    installed: Installed = field(default_factory=Installed)
    probe: Probe | None = None
    process: Process | None = None
    endpoint: Endpoint | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    options_error: str = ""

    @property
    def inside(self) -> Process | None:
        """The process that was inspected: the app's own, else the probe's."""
        return self.process or (self.probe.process if self.probe else None)

    def variable(self, name: str) -> str:
        """Return the value of a variable without outer blanks; empty if it is not set."""
        return self.environ.get(name, "").strip()

    def listed(self, name: str) -> list[str]:
        """Return the entries of a variable that holds a comma-separated list."""
        return [entry for part in self.variable(name).split(",") if (entry := part.strip())]


def normalised(distribution: str) -> str:
    """Return a distribution's name in normal form: https://peps.python.org/pep-0503/."""
    return re.sub(r"[-_.]+", "-", distribution).lower()

"""What the doctor knows: plain data, gathered by its neighbours and judged by the checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Package:
    """An installed distribution.

    Attributes:
        requires: What it requires, extras aside, by normalised name, with the range of versions.
        unmet: Its requirements that what is installed does not meet, as written.
        copies: How many versions of it stand on the path.
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
        name: What `OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` calls it.
        distribution: The normalised name of the distribution that has it.
        conflict: Why it does not instrument the library that is installed, or nothing.
    """

    name: str
    distribution: str
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed.

    Attributes:
        packages: By normalised name.
        names: The names of the entry points of each group that variables choose from.
    """

    packages: Mapping[str, Package] = field(default_factory=dict)
    instrumentations: tuple[Instrumentation, ...] = ()
    names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def get(self, distribution: str) -> Package | None:
        """Return an installed distribution, or `None`."""
        return self.packages.get(normalised(distribution))

    def made_by(self, distribution: str) -> list[Instrumentation]:
        """Return the instrumentations that a distribution brings."""
        return [each for each in self.instrumentations if each.distribution == normalised(distribution)]


@dataclass(frozen=True, slots=True)
class Process:
    """A process in which an app runs, or would run, as seen from within.

    Attributes:
        provider: The class of the global tracer provider.
        records: Whether it is one of the SDK, which makes spans.
        labels: Whether our processor is on it.
        injects: Whether the global propagator writes our headers.
        installed: Whether we are installed, with hooks in the transports.
        exporters: The classes of its exporters.
        sampler: How its sampler describes itself.
        active: The instrumentations that are active, by name.
        scrubs: Whether Logfire is set up in it and scrubs values.
        serves: The server that the process is, or nothing.
        swallowed: How often each kind of our failures happened.
        session: The id of the session that is current where it was looked at, or nothing.
        path: Where in it.
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


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the probe made to a stand-in for the gateway.

    Attributes:
        sdk: The distribution whose call it was.
        via: The HTTP client that sent it.
        bare: Whether it was a plain request by that client, in the SDK's stead.
        headers: The `Helicone-*` headers that arrived, but for `Helicone-Auth`; `None` if nothing arrived.
        own_id_kept: Whether a `Helicone-Session-Id` that the caller sets arrives as it was set.
        error: Why it failed, or nothing.
    """

    sdk: str
    via: str
    bare: bool = False
    headers: Mapping[str, str] | None = None
    own_id_kept: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of starting a process as `opentelemetry-instrument` would start the app.

    Attributes:
        process: What it was like inside; `None` if it did not get that far.
        calls: What it sent.
        recorded: Span attributes in which a `Helicone-Auth` of the caller's was found, with their scopes.
        log: What the set-up wrote to standard error, line by line.
        failure: Why there is no `process`, or nothing.
    """

    process: Process | None = None
    calls: tuple[Call, ...] = ()
    recorded: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is judged.

    Attributes:
        probe: Only from outside an app.
        process: The app's own, only from inside.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    installed: Installed = field(default_factory=Installed)
    probe: Probe | None = None
    process: Process | None = None

    @property
    def inside(self) -> Process | None:
        """The process that there is to look into: the app's own, or else the probe's."""
        return self.process or (self.probe.process if self.probe else None)

    def variable(self, name: str) -> str:
        """Return a variable without outer blanks; empty if unset."""
        return self.environ.get(name, "").strip()

    def listed(self, name: str) -> list[str]:
        """Return the entries of a variable that holds a list."""
        return [entry for part in self.variable(name).split(",") if (entry := part.strip())]


def normalised(distribution: str) -> str:
    """Return a distribution's name as the index compares it: https://peps.python.org/pep-0503/."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


DISABLED: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
SAMPLER: Final = "OTEL_TRACES_SAMPLER"
BY_SESSION: Final = "helicone_session"
RATIOS: Final = ("traceidratio", "parentbased_traceidratio", BY_SESSION)
OFF: Final = ("always_off", "parentbased_always_off")

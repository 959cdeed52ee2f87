"""Looks up what is installed. Imports none of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions, entry_points
from typing import Any, Final

from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts
from packaging.requirements import InvalidRequirement, Requirement

from .facts import Installed, Instrumentation, Package, normalised

INSTRUMENTORS: Final = "opentelemetry_instrumentor"
PROPAGATORS: Final = "opentelemetry_propagator"
SAMPLERS: Final = "opentelemetry_traces_sampler"
EXPORTERS: Final = {signal: f"opentelemetry_{signal.lower()}_exporter" for signal in ("TRACES", "METRICS", "LOGS")}
_GROUPS: Final = (PROPAGATORS, SAMPLERS, *EXPORTERS.values())
# Whose requirements are looked at: ours, and those of the packages that pin each other.
_PINNING: Final = ("helicone-otel", "opentelemetry-", "openinference-", "traceloop-sdk")


def look() -> Installed:
    """Return what is installed for this interpreter."""
    found: dict[str, list[Distribution]] = {}
    for distribution in distributions():
        if name := name_of(distribution):
            found.setdefault(name, []).append(distribution)
    # Of several copies, Python imports the first on the path.
    versions = {name: copies[0].version for name, copies in found.items()}
    packages = {name: package_of(copies[0], versions, _count(copies)) for name, copies in found.items()}
    instrumentations = (
        _instrumentation(point.name, point.dist)
        for point in entry_points(group=INSTRUMENTORS)
        if point.dist is not None and name_of(point.dist)
    )
    names = {group: frozenset(entry_points(group=group).names) for group in _GROUPS}
    return Installed(packages, tuple(instrumentations), names)


def name_of(distribution: Distribution) -> str:
    """Return a distribution's normalised name; empty if it has none, as what a broken installation left behind."""
    return normalised(distribution.metadata["Name"] or "")


def package_of(distribution: Distribution, versions: Mapping[str, str] | None = None, copies: int = 1) -> Package:
    """Return what a distribution says of itself.

    Args:
        distribution: The one that Python imports.
        versions: What is installed, to find requirements that are not met; they are not looked for if not given.
        copies: How many versions of it are on the path.
    """
    name = name_of(distribution)
    requirements = list(_requirements(distribution.requires or ()))
    unmet: tuple[str, ...] = ()
    if versions is not None and name.startswith(_PINNING):
        unmet = tuple(text for each in requirements if (text := _shortfall(each, versions)))
    requires = {normalised(each.name): str(each.specifier) for each in requirements}
    return Package(name, distribution.version, requires, unmet, copies)


def _count(copies: Iterable[Distribution]) -> int:
    return len({copy.version for copy in copies})


def _requirements(lines: Iterable[str]) -> Iterable[Requirement]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # old metadata; pip took it
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
    # With nothing found, the library is not installed, and its instrumentation idles: no conflict.
    text = f"needs {conflict.required or ', '.join(conflict.required_any)}, found {found}" if found else ""
    return Instrumentation(name, name_of(distribution), text)

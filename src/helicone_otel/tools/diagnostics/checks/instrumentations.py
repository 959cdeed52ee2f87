"""Checks of instrumentations: does anything make spans of the installed libraries?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..facts import DISABLED, Facts
from ..libraries import LIBRARIES, SDKS, Library
from ..report import Finding, ok, warning
from .startup import START_COMMAND, cause, without_entries

# Versions of a library that require this distribution make spans themselves.
_OTEL_API: Final = "opentelemetry-api"
# What a library of each kind lacks without an instrumentation.
_CONSEQUENCES: Final = {
    "SDK": "its calls have no spans of their own",
    "vector store": "its queries are in no session",
    "MCP": "its tool calls are in no session",
    "agents": "its agents and tools add nothing to the path",
}


def sdks(facts: Facts) -> Iterator[Finding]:
    """Check the instrumentations of LLM SDKs."""
    for sdk in SDKS:
        yield from _instrumented(sdk.library, facts)


def libraries(facts: Facts) -> Iterator[Finding]:
    """Check the instrumentations of vector stores, MCP and agent frameworks."""
    for library in LIBRARIES:
        yield from _instrumented(library, facts)


def _instrumented(library: Library, facts: Facts) -> Iterator[Finding]:
    package = facts.installed.get(library.distribution)
    if package is None:
        return
    name = f"{library.distribution} {package.version}"
    native = library.native and _OTEL_API in package.requires
    available = [each for distribution in library.instrumentations for each in facts.installed.made_by(distribution)]
    active_names = facts.inside.active if facts.inside else ()
    active = [each for each in available if each.name in active_names]
    if active:
        yield ok(f"{name} is instrumented by {', '.join(sorted({each.distribution for each in active}))}.")
    elif native:
        yield ok(f"{name} makes spans itself.")
    elif not available:
        yield warning(
            f"{name} has no instrumentation: {_CONSEQUENCES[library.kind]}.",
            f"pip install {library.instrumentations[0]}",
        )
    for each in available:
        if each in active:
            continue
        if each.conflict:
            yield warning(
                f"{each.distribution} does not fit {name}: {each.conflict}.",
                f"pip install --upgrade {each.distribution}",
            )
        elif not active and not native and not cause(facts):
            yield _inactive(name, each.name, each.distribution, facts)


def _inactive(name: str, entry: str, distribution: str, facts: Facts) -> Finding:
    disabled = facts.listed(DISABLED)
    if {entry, "*"} & set(disabled):
        return warning(
            f"{name}: {distribution} is switched off by {DISABLED}={','.join(disabled)}.",
            without_entries(DISABLED, disabled, entry, "*"),
        )
    if facts.process is not None:
        return warning(
            f"{name}: {distribution} is installed, but nothing has switched it on in this process.",
            "start the app with opentelemetry-instrument, or call its instrumentor's instrument()",
        )
    return warning(
        f"{name}: {distribution} is installed but was not switched on.",
        f"OTEL_LOG_LEVEL=debug {START_COMMAND} shows why",
    )

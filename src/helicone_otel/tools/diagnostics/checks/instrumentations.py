"""Checks of instrumentations: does anything make spans of the installed libraries?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..facts import DISABLED, Facts
from ..libraries import CAPTURES, LIBRARIES, NATIVE_CAPTURES, SDKS, Capture, Library
from ..report import Finding, Level, ok, warning
from .startup import START_COMMAND, cause, without_entries

# Versions of a library that require this distribution make spans themselves.
_OTEL_API: Final = "opentelemetry-api"
# Of vector stores, an instrumentation records at most parts of the content.
_WITH_CONTENT: Final = frozenset({"SDK", "MCP", "agents"})
# What a variable is about, by the end of its name.
_PARTS: Final = {"_INPUTS": "input", "_OUTPUTS": "output"}
# What a library of each kind lacks without an instrumentation.
_CONSEQUENCES: Final = {
    "SDK": "its calls have no spans of their own",
    "vector store": "its queries are in no session",
    "MCP": "its tool calls are in no session",
    "agents": "its agents and tools add nothing to the path",
    "web": "nothing marks where a request begins, and its routes are in no path",
}


def sdks(facts: Facts) -> Iterator[Finding]:
    """Check the instrumentations of LLM SDKs."""
    for sdk in SDKS:
        yield from _instrumented(sdk.library, facts)


def libraries(facts: Facts) -> Iterator[Finding]:
    """Check the instrumentations of vector stores, MCP and agent frameworks."""
    for library in LIBRARIES:
        yield from _instrumented(library, facts)


def content(facts: Facts) -> Iterator[Finding]:
    """Show which instrumentations put the content of calls on spans, and how to switch it on where it is off."""
    for capture in CAPTURES:
        if names := sorted(_capturing(capture, facts)):
            yield _content(capture, ", ".join(names), facts)
    for distribution, capture in NATIVE_CAPTURES.items():
        package = facts.installed.get(distribution)
        if package is not None and _OTEL_API in package.requires:
            yield _content(capture, distribution, facts)


def _capturing(capture: Capture, facts: Facts) -> set[str]:
    """Return the distributions of a family that instrument installed libraries."""
    made = {
        each.distribution
        for library in (*(sdk.library for sdk in SDKS), *LIBRARIES)
        if library.kind in _WITH_CONTENT and facts.installed.get(library.distribution) is not None
        for distribution in library.instrumentations
        for each in facts.installed.made_by(distribution)
    }
    packages = ((name, facts.installed.get(name)) for name in made)
    return {name for name, package in packages if package is not None and capture.requires in package.requires}


def _content(capture: Capture, who: str, facts: Facts) -> Finding:
    variable, value = capture.variable, facts.variable(capture.variable)
    is_on = value.lower() in capture.on or (capture.is_default and value.lower() not in capture.off)
    setting = f" ({variable}={value})" if value else ""
    command = f"export {variable}={capture.remedy}"
    part = next((part for end, part in _PARTS.items() if variable.endswith(end)), "content")
    if is_on:
        return ok(f"The {part} of calls is on the spans of {who}{setting}.")
    if value and value.lower() not in capture.off:
        return warning(f"{variable}={value} puts no content on the spans of {who}.", command)
    return Finding(Level.OK, f"The {part} of calls is not on the spans of {who}{setting}.", f"{command} puts it there")


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
        elif not active and not native and facts.inside is not None and not cause(facts):
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

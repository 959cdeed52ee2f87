"""Who makes spans of the libraries that are installed?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..facts import Facts
from ..libraries import LIBRARIES, SDKS, Library
from ..names import DISABLED
from ..report import Finding, ok, warning
from .start_up import TRY, cause

_TRACES_ITSELF: Final = "opentelemetry-api"
_WITHOUT: Final = {
    "SDK": "its calls have no spans of their own",
    "vector store": "its queries are in no session",
    "MCP": "its tool calls are in no session",
    "agents": "its agents and tools make no path",
}


def sdks(facts: Facts) -> Iterator[Finding]:
    """The LLM SDKs."""
    for sdk in SDKS:
        yield from _instrumented(sdk.library, facts)


def libraries(facts: Facts) -> Iterator[Finding]:
    """Vector stores, MCP, agents."""
    for library in LIBRARIES:
        yield from _instrumented(library, facts)


def _instrumented(library: Library, facts: Facts) -> Iterator[Finding]:
    package = facts.installed.get(library.distribution)
    if package is None:
        return
    name = f"{library.distribution} {package.version}"
    native = library.native and _TRACES_ITSELF in package.requires
    found = [each for distribution in library.instrumentations for each in facts.installed.made_by(distribution)]
    active = facts.inside.active if facts.inside else ()
    working = [each for each in found if each.name in active]
    if working:
        yield ok(f"{name} is instrumented by {', '.join(sorted({each.distribution for each in working}))}.")
    elif native:
        yield ok(f"{name} makes spans itself.")
    elif not found:
        yield warning(
            f"{name} has no instrumentation: {_WITHOUT[library.kind]}.", f"pip install {library.instrumentations[0]}"
        )
    for each in found:
        if each in working:
            continue
        if each.conflict:
            yield warning(
                f"{each.distribution} does not fit {name}: {each.conflict}.",
                f"pip install --upgrade {each.distribution}",
            )
        elif not working and not native and not cause(facts):
            yield _idle(name, each.name, each.distribution, facts)


def _idle(name: str, entry: str, distribution: str, facts: Facts) -> Finding:
    disabled = facts.listed(DISABLED)
    if {entry, "*"} & set(disabled):
        rest = ",".join(other for other in disabled if other not in (entry, "*"))
        return warning(
            f"{name}: {distribution} is switched off by {DISABLED}={','.join(disabled)}.",
            f"export {DISABLED}={rest}" if rest else f"unset {DISABLED}",
        )
    if facts.process is not None:
        return warning(
            f"{name}: {distribution} is installed, but nothing has switched it on in this process.",
            "start the app with opentelemetry-instrument, or call its instrumentor's instrument()",
        )
    return warning(
        f"{name}: {distribution} is installed but did not come up.",
        f"OTEL_LOG_LEVEL=debug {TRY} shows why",
    )

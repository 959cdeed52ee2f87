"""Who makes spans of the libraries that are installed?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from .... import wire
from ....destinations import Destination, Destinations
from ....settings import Settings, SettingsError
from ..facts import DISABLED, OFF, SAMPLER, Call, Facts
from ..libraries import LIBRARIES, SDKS, Library, Sdk
from ..report import Finding, Level, ok, problem, unknown, warning
from .startup import TRY, cause, pieces

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


_SHOWN: Final = (wire.SESSION_ID_HEADER, wire.SESSION_PATH_HEADER, wire.SESSION_NAME_HEADER)
_FALLBACK: Final = "HELICONE_SESSION_FALLBACK"
_BY_HAND: Final = "open a session() around the calls"
_HELICONE: Final = (".helicone.ai", ".hconeai.com")


def calls(facts: Facts) -> Iterator[Finding]:
    """What the probe's calls carried."""
    if facts.probe is None or facts.probe.process is None:
        return
    for call in facts.probe.calls:
        what = f"{_named(call.sdk, facts)} over {call.via}"
        if call.bare:
            what += " (tried with a plain request)"
        if call.headers is None:
            yield unknown(
                f"{what}: the trial call failed: {call.error or 'nothing arrived'}", f"pip install --upgrade {call.sdk}"
            )
        elif wire.SESSION_ID_HEADER in call.headers:
            yield ok(f"{what}: a request to a gateway would carry {_listed(call.headers)}.")
        else:
            why, remedy = _cause(call, facts)
            yield problem(f"{what}: a request to a gateway would carry no header: {why}.", remedy)
    if not facts.probe.calls:
        yield warning("No LLM SDK that the doctor knows is installed.", "pip install openai")


def _listed(headers: object) -> str:
    given = dict(headers)  # type: ignore[call-overload]  # a mapping
    # An id is new in every trace; the path and name are what one wants to see.
    shown = [name if name == wire.SESSION_ID_HEADER else f"{name}: {given[name]}" for name in _SHOWN if name in given]
    return ", ".join(shown)


def _cause(call: Call, facts: Facts) -> tuple[str, str]:
    """Return why a call carried nothing, and what to do about it."""
    process = facts.inside
    if process is None or not process.installed or not process.records:
        failed = cause(facts) or next((each for each in pieces(facts) if each.level is Level.PROBLEM), None)
        return "the start-up failed", failed.remedy if failed else TRY
    if facts.variable(_FALLBACK).lower() == "none":
        return f"{_FALLBACK}=none, and nothing opens a session", f"unset {_FALLBACK}, or {_BY_HAND}"
    sampler = facts.variable(SAMPLER)
    if sampler in OFF:
        return f"{SAMPLER}={sampler} keeps no span", f"unset {SAMPLER}, or {_BY_HAND}"
    library = next(sdk.library for sdk in SDKS if sdk.library.distribution == call.sdk)
    disabled = facts.listed(DISABLED)
    makers = [each.name for name in library.instrumentations for each in facts.installed.made_by(name)]
    if off := next((name for name in (*makers, call.via, "*") if name in disabled), None):
        rest = ",".join(name for name in disabled if name != off)
        remedy = f"export {DISABLED}={rest}" if rest else f"unset {DISABLED}"
        return f"{DISABLED}={','.join(disabled)} leaves no span around it", f"{remedy}, or {_BY_HAND}"
    return "there is no span around it", f"pip install {library.instrumentations[0]}, or {_BY_HAND}"


def own_id(facts: Facts) -> Iterator[Finding]:
    """The Anthropic SDK writes a propagator's headers over the caller's."""
    for call in facts.probe.calls if facts.probe else ():
        if not call.own_id_kept:
            yield warning(
                f"{_named(call.sdk, facts)} writes over a {wire.SESSION_ID_HEADER} that you set on a request.",
                "export ANTHROPIC_OPEN_TELEMETRY_PROPAGATION=false",
            )
        elif call.sdk == "anthropic" and call.headers:
            yield ok(f"{_named(call.sdk, facts)} injects by itself; a {wire.SESSION_ID_HEADER} of your own stays.")


def base_urls(facts: Facts) -> Iterator[Finding]:
    """Where each SDK's calls go by its variable."""
    destinations = _destinations(facts)
    for sdk in SDKS:
        if sdk.base_url is not None and facts.installed.get(sdk.library.distribution) is not None:
            yield from _base_url(sdk, sdk.base_url, facts.variable(sdk.base_url), destinations)


def _base_url(sdk: Sdk, variable: str, url: str, destinations: Destinations) -> Iterator[Finding]:
    name = sdk.library.distribution
    remedy = f"export {variable}={sdk.gateway or '<your gateway>'}"
    if not url:
        yield warning(
            f"{variable} is not set: unless your code names a gateway, {name} calls {sdk.provider}, with no headers.",
            remedy,
        )
        return
    host = host_of(url)
    if not host:
        yield problem(f"{variable} is no URL that names a host.", remedy)
        return
    match destinations.of_url(url):
        case Destination.GATEWAY:
            yield ok(f"{variable} points at a gateway, {host}.")
        case Destination.SERVICE:
            yield ok(f"{variable} points at a service of yours, {host}: the session goes on there, no row is made.")
        case _ if host.partition(":")[0] == sdk.provider:
            yield warning(f"{variable} points at the provider itself, {host}, which gets no headers.", remedy)
        case _ if f".{host}".endswith(_HELICONE):
            yield problem(f"{variable} points at {host}, which is Helicone's, but no gateway.", remedy)
        case _:
            yield warning(
                f"{variable} points at {host}, which is on no list, so it gets no headers.",
                f"export HELICONE_GATEWAY_HOSTS={host}, if it is a gateway of yours to Helicone",
            )


def hosts(facts: Facts) -> Iterator[Finding]:
    """The lists of hosts."""
    if cause(facts):
        return
    for variable, use in (
        ("HELICONE_GATEWAY_HOSTS", "Gateways beside Helicone's own"),
        ("HELICONE_PROPAGATE_HOSTS", "Services in which sessions go on"),
    ):
        if entries := facts.listed(variable):
            yield ok(f"{use}: {', '.join(entries)}.")


def host_of(url: str) -> str:
    """Return `host` or `host:port` of a URL, without credentials; empty if it has none."""
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    return f"{host}:{port}" if host and port else host


def _destinations(facts: Facts) -> Destinations:
    try:
        settings = Settings.from_environment(facts.environ)
    except SettingsError:  # told elsewhere
        settings = Settings()
    return Destinations(settings.gateway_hosts, settings.propagate_hosts)


def _named(distribution: str, facts: Facts) -> str:
    package = facts.installed.get(distribution)
    return f"{distribution} {package.version}" if package else distribution

"""Would headers leave, with which request, and where to?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from helicone_otel import _wire
from helicone_otel._destinations import Destination, Destinations
from helicone_otel._settings import Settings, SettingsError

from ..facts import Call, Facts
from ..libraries import SDKS, Sdk
from ..report import Finding, ok, problem, unknown, warning

_SHOWN: Final = (_wire.SESSION_ID_HEADER, _wire.SESSION_PATH_HEADER, _wire.SESSION_NAME_HEADER)
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
        elif _wire.SESSION_ID_HEADER in call.headers:
            yield ok(f"{what}: a request to a gateway would carry {_listed(call.headers)}.")
        else:
            yield problem(f"{what}: a request to a gateway would carry no header.", _remedy(call, facts))
    if not facts.probe.calls:
        yield warning("No LLM SDK that the doctor knows is installed.", "pip install openai")


def _listed(headers: object) -> str:
    given = dict(headers)  # type: ignore[call-overload]  # a mapping
    # An id is new in every trace; the path and name are what one wants to see.
    shown = [name if name == _wire.SESSION_ID_HEADER else f"{name}: {given[name]}" for name in _SHOWN if name in given]
    return ", ".join(shown)


def _remedy(call: Call, facts: Facts) -> str:
    process = facts.inside
    if process is None or not process.installed or not process.records:
        return "see to Start-up, above, first"
    if facts.variable("HELICONE_SESSION_FALLBACK") == "none":
        return "unset HELICONE_SESSION_FALLBACK, or open a session() around the calls"
    sdk = next(sdk for sdk in SDKS if sdk.library.distribution == call.sdk)
    return f"pip install {sdk.library.instrumentations[0]}, or open a session() around the calls"


def own_id(facts: Facts) -> Iterator[Finding]:
    """The Anthropic SDK writes a propagator's headers over the caller's."""
    for call in facts.probe.calls if facts.probe else ():
        if not call.own_id_kept:
            yield warning(
                f"{_named(call.sdk, facts)} writes over a {_wire.SESSION_ID_HEADER} that you set on a request yourself.",
                "export ANTHROPIC_OPEN_TELEMETRY_PROPAGATION=false",
            )
        elif call.sdk == "anthropic" and call.headers:
            yield ok(f"{_named(call.sdk, facts)} injects by itself; a {_wire.SESSION_ID_HEADER} of your own stays.")


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
            f"{variable} is not set: {name} calls {sdk.provider}, which gets no headers, unless your code names a gateway.",
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
        host = parts.hostname or ""
        return f"{host}:{parts.port}" if host and parts.port else host
    except ValueError:
        return ""


def _destinations(facts: Facts) -> Destinations:
    try:
        settings = Settings.from_environment(facts.environ)
    except SettingsError:  # told elsewhere
        settings = Settings()
    return Destinations(settings.gateway_hosts, settings.propagate_hosts)


def _named(distribution: str, facts: Facts) -> str:
    package = facts.installed.get(distribution)
    return f"{distribution} {package.version}" if package else distribution

"""Checks of requests: which headers would they carry, and where would they go?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from .... import wire
from ....destinations import HELICONE_DOMAINS, Destination, Destinations
from ....settings import Settings, SettingsError
from ...fakes.headers import is_well_formed
from ..facts import DISABLED, OFF, SAMPLER, Facts, ProbeCall
from ..libraries import SDKS, Sdk
from ..report import Finding, Level, ok, problem, unknown, warning
from .startup import ADD_LAUNCHER, START_COMMAND, cause, has_no_launcher, pieces, without_entries

_FALLBACK: Final = "HELICONE_SESSION_FALLBACK"
# It takes Helicone's key where an SDK has the key of its provider.
# https://docs.helicone.ai/gateway/overview
_AI_GATEWAY: Final = "ai-gateway."
_OPEN_SESSION: Final = "open a session() around the calls"


def calls(facts: Facts) -> Iterator[Finding]:
    """Check the headers of the probe's calls."""
    if facts.probe is None or facts.probe.process is None:
        return
    for call in facts.probe.calls:
        name = f"{_with_version(call.sdk, facts)} over {call.via}"
        if call.bare:
            name += " (tried with a plain request)"
        if call.slow:
            yield unknown(f"{name}: the trial call took too long.", "try again when the machine is less busy")
        elif call.headers is None:
            yield unknown(
                f"{name}: the trial call failed: {call.error or 'nothing arrived'}", f"pip install --upgrade {call.sdk}"
            )
        elif wire.SESSION_ID_HEADER in call.headers:
            yield ok(f"{name}: a request to a gateway would carry {_header_list(call.headers)}.")
        elif cause(facts) is None and has_no_launcher(facts):
            text = f"{name}: a request to a gateway would carry no header, unless code calls configure() or session()."
            yield warning(text, ADD_LAUNCHER)
        else:
            why, remedy = _why_no_header(call, facts)
            yield problem(f"{name}: a request to a gateway would carry no header: {why}.", remedy)
    if not facts.probe.calls:
        yield warning("No LLM SDK that the doctor knows is installed.", "pip install openai")


def _header_list(headers: Mapping[str, str]) -> str:
    # Without the value of the id: it is new in every trace, so it is of no use in a report.
    with_value = (wire.SESSION_PATH_HEADER, wire.SESSION_NAME_HEADER)
    return ", ".join([wire.SESSION_ID_HEADER, *(f"{name}: {headers[name]}" for name in with_value if name in headers)])


def _why_no_header(call: ProbeCall, facts: Facts) -> tuple[str, str]:
    """Return why a call carried no header, and the remedy."""
    process = facts.inside
    if process is None or not process.installed or not process.records:
        failed = cause(facts) or next((each for each in pieces(facts) if each.level is Level.PROBLEM), None)
        return "the start-up failed", failed.remedy if failed else START_COMMAND
    if facts.variable(_FALLBACK).lower() == "none":
        return f"{_FALLBACK}=none, and nothing opens a session", f"unset {_FALLBACK}, or {_OPEN_SESSION}"
    sampler = facts.variable(SAMPLER)
    if sampler in OFF:
        return f"{SAMPLER}={sampler} keeps no span", f"unset {SAMPLER}, or {_OPEN_SESSION}"
    library = next(sdk.library for sdk in SDKS if sdk.library.distribution == call.sdk)
    disabled = facts.listed(DISABLED)
    instrumentations = [each.name for name in library.instrumentations for each in facts.installed.made_by(name)]
    if off := next((name for name in (*instrumentations, call.via, "*") if name in disabled), None):
        remedy = f"{without_entries(DISABLED, disabled, off)}, or {_OPEN_SESSION}"
        return f"{DISABLED}={','.join(disabled)} leaves no span around it", remedy
    return "there is no span around it", f"pip install {library.instrumentations[0]}, or {_OPEN_SESSION}"


def own_id(facts: Facts) -> Iterator[Finding]:
    """Check whether a session id that the caller sets stays. The Anthropic SDK may overwrite it when it injects."""
    for call in facts.probe.calls if facts.probe else ():
        if call.own_id_kept is None:
            continue
        if not call.own_id_kept:
            yield warning(
                f"{_with_version(call.sdk, facts)} overwrites a {wire.SESSION_ID_HEADER} that you set on a request.",
                "export ANTHROPIC_OPEN_TELEMETRY_PROPAGATION=false",
            )
        elif call.sdk == "anthropic" and call.headers:
            yield ok(
                f"{_with_version(call.sdk, facts)} injects headers itself, and keeps a {wire.SESSION_ID_HEADER} that "
                "you set."
            )


def base_urls(facts: Facts) -> Iterator[Finding]:
    """Check the destination of each SDK's calls, by the variable of its base URL."""
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
        yield problem(f"{variable} is not a URL with a host.", remedy)
        return
    match destinations.of_url(url):
        case Destination.GATEWAY if (wanted := _other_path(sdk.gateway, url)) is not None:
            path = f"the path {wanted}" if wanted else "no path"
            yield problem(f"{variable} points at a gateway, {host}, where {name}'s calls need {path}.", remedy)
        case Destination.GATEWAY:
            yield ok(f"{variable} points at a gateway, {host}.")
        case Destination.SERVICE:
            yield ok(f"{variable} points at a service of yours, {host}: the session continues there, without a row.")
        case _ if host.partition(":")[0] == sdk.provider:
            yield warning(f"{variable} points at the provider itself, {host}, which gets no headers.", remedy)
        case _ if f".{host}".endswith(HELICONE_DOMAINS):
            yield problem(f"{variable} points at {host}, which belongs to Helicone but is not a gateway.", remedy)
        case _:
            yield warning(
                f"{variable} points at {host}, which gets no headers: it is neither a gateway nor in "
                "HELICONE_PROPAGATE_HOSTS.",
                f"export HELICONE_GATEWAY_HOSTS={host}, if it is a gateway of yours to Helicone",
            )


def _other_path(gateway: str | None, url: str) -> str | None:
    """Return the path with which an SDK calls a gateway, if a URL of the same host has another one."""
    known, given = urlsplit(gateway or ""), urlsplit(url)
    wanted = known.path.rstrip("/")
    return wanted if known.hostname == given.hostname and given.path.rstrip("/") != wanted else None


def keys(facts: Facts) -> Iterator[Finding]:
    """Check whether Helicone's key reaches the gateways that base URLs name, for SDKs that the probe can call."""
    destinations = _destinations(facts)
    calls = {call.sdk: call for call in facts.probe.calls} if facts.probe else {}
    for sdk in SDKS:
        call = calls.get(sdk.library.distribution)
        url = facts.variable(sdk.base_url) if sdk.base_url else ""
        if call is None or destinations.of_url(url) is not Destination.GATEWAY:
            continue
        if call.key is not None:
            yield _key(sdk, call.key, host_of(url))
        elif sdk.keys and not call.error:
            yield from _keys_of_environment(sdk, host_of(url), facts)


def _keys_of_environment(sdk: Sdk, host: str, facts: Facts) -> Iterator[Finding]:
    """Judge the keys of an SDK whose call with what the environment configures did not arrive."""
    api_key = next(filter(None, map(facts.variable, sdk.keys)), "")
    key = "Helicone-Auth" if sdk.headers and _names_auth(facts.variable(sdk.headers)) else ""
    takes_api_key = host.startswith(_AI_GATEWAY)
    if not api_key:
        name = sdk.keys[0]
        remedy = f"export {name}=… (your {'Helicone' if takes_api_key else 'provider'} key)"
        yield warning(f"{name} is not set: unless your code passes one, {sdk.library.distribution} raises.", remedy)
    # Without an API key, the finding about it says what the AI gateway needs.
    if api_key or key or not takes_api_key:
        yield _key(sdk, key or ("API key" if is_well_formed(api_key) else ""), host)


def _names_auth(headers: str) -> bool:
    pairs = (line.partition(":") for line in headers.splitlines())
    return any(name.strip().lower() == "helicone-auth" and value.strip() for name, _, value in pairs)


def _key(sdk: Sdk, key: str, host: str) -> Finding:
    name, takes_api_key = sdk.library.distribution, host.startswith(_AI_GATEWAY)
    if key == "Helicone-Auth":
        return ok(f"{name} sends a key to {host}, as Helicone-Auth.")
    if key and takes_api_key:
        return ok(f"{name} sends a key of Helicone's to {host}, as its API key.")
    what = "Helicone's key as its API key" if takes_api_key else "Helicone-Auth"
    return warning(
        f"The environment sends no key of Helicone's to {host}: unless your code passes {what} to {name}, Helicone "
        "refuses the calls.",
        f"export {name.upper()}_API_KEY=… (your Helicone key)"
        if takes_api_key
        else f'export {sdk.headers}="Helicone-Auth: Bearer $HELICONE_API_KEY", or default_headers= of the client',
    )


def hosts(facts: Facts) -> Iterator[Finding]:
    """List the hosts that the settings add to the gateways and to the app's own services."""
    if cause(facts):
        return
    for variable, use in (
        ("HELICONE_GATEWAY_HOSTS", "Gateways in addition to Helicone's own"),
        ("HELICONE_PROPAGATE_HOSTS", "Services in which sessions continue"),
    ):
        if entries := facts.listed(variable):
            yield ok(f"{use}: {', '.join(entries)}.")


def host_of(url: str) -> str:
    """Return `host` or `host:port` of a URL, without credentials; empty if it has no host."""
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    return f"{host}:{port}" if host and port else host


def _destinations(facts: Facts) -> Destinations:
    try:
        settings = Settings.from_environment(facts.environ, facts.options, log=False)
    except SettingsError:  # the check of the settings reports it
        settings = Settings()
    return Destinations(settings.gateway_hosts, settings.propagate_hosts)


def _with_version(distribution: str, facts: Facts) -> str:
    package = facts.installed.get(distribution)
    return f"{distribution} {package.version}" if package else distribution

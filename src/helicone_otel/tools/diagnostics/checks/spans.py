"""Checks of spans and sessions: what makes spans, which are kept, what is on them, and in which session are they?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .... import wire
from ....install.provider_owners import UNKNOWN
from ..facts import BY_SESSION, DISABLED, OFF, RATIOS, SAMPLER, Facts
from ..gather import SAMPLERS
from ..libraries import CAPTURES, LIBRARIES, NATIVE_CAPTURES, SDKS, SERVERS, Capture, Library
from ..report import Finding, Level, ok, problem, unknown, warning
from .startup import NO_EXPORTER, START_COMMAND, cause, without_entries

_KEEP_ALL: Final = f"export {SAMPLER}=parentbased_always_on (sample in the collector instead)"
_START_COLLECTOR: Final = (
    "start a collector, or helicone-otel view; else export OTEL_EXPORTER_OTLP_ENDPOINT=…, or OTEL_TRACES_EXPORTER=none"
)
# What headers carry in traces that are not sampled.
_CODE_ONLY: Final = "headers carry only what code opened with session() and step(), or HELICONE_SESSION_ID"
# Remedies by the beginning of the attribute that contained the key.
_KEEP_KEYS_OUT: Final = (
    (
        wire.REQUEST_HEADER_PREFIX,
        "export OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS=helicone-auth,authorization",
    ),
    ("", "pass it once, as default_headers= of the client, not with each call"),
)
# Instrumentations that make a span for each request to an ASGI app.
_MARKING: Final = frozenset({"asgi", "fastapi", "starlette"})
_UVICORN: Final = "uvicorn"
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_ID: Final = "HELICONE_SESSION_ID"
_NAME: Final = "HELICONE_SESSION_NAME"
_PER_CHAT: Final = f"unset {_ID}, and open a session() for each conversation"
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


# --- instrumentations ----------------------------------------------------------------------------


def sdk_instrumentations(facts: Facts) -> Iterator[Finding]:
    """Check the instrumentations of LLM SDKs."""
    for sdk in SDKS:
        yield from _instrumented(sdk.library, facts)


def library_instrumentations(facts: Facts) -> Iterator[Finding]:
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


# --- spans ---------------------------------------------------------------------------------------


def sampling(facts: Facts) -> Iterator[Finding]:
    """Check the sampler, because helicone-otel does not see spans that are not sampled."""
    if facts.process is not None and facts.process.sampler:
        yield from _sampler_in_use(facts.process.sampler)
        return
    name = facts.variable(SAMPLER).lower()
    known = facts.installed.names.get(SAMPLERS, frozenset())
    if name and name not in known:
        yield warning(f'{SAMPLER} names "{name}", which is not installed: it is ignored.', f"unset {SAMPLER}")
    elif name in OFF:
        yield warning(f"{SAMPLER}={name} keeps no span, so {_CODE_ONLY}.", _KEEP_ALL)
    elif name in RATIOS:
        argument = facts.variable(f"{SAMPLER}_ARG")
        if name == BY_SESSION:
            argument = argument or facts.variable("HELICONE_SESSION_SAMPLING_RATIO")
        yield from _ratio(argument, "sessions" if name == BY_SESSION else "traces")
    else:
        yield ok("Every trace is sampled." if not name else f"Sampler: {name}.")


def _ratio(argument: str, unit: str) -> Iterator[Finding]:
    try:
        ratio = float(argument or "1")
    except ValueError:
        yield warning(f"{SAMPLER}_ARG is not a number, so the ratio is 1.", f"export {SAMPLER}_ARG=1")
        return
    if ratio >= 1:
        yield ok("Every trace is sampled.")
    else:
        yield warning(f"Only {ratio:.4g} of all {unit} are sampled; in the others, {_CODE_ONLY}.", _KEEP_ALL)


def _sampler_in_use(sampler: str) -> Iterator[Finding]:
    root = sampler.partition("root:")[2].partition(",")[0] or sampler
    if root.startswith("AlwaysOn"):
        yield ok("Every trace is sampled.")
    else:
        yield warning(f"The sampler is {root}; in traces that it drops, {_CODE_ONLY}.", _KEEP_ALL)


def scrubbing(facts: Facts) -> Iterator[Finding]:
    """Warn that Logfire scrubs attributes with `session` in name or value. It does not change headers."""
    if facts.process.scrubs if facts.process else facts.installed.get("logfire") is not None:
        yield warning(
            'Logfire scrubs attributes with "session" in their name or value, also those of helicone-otel; '
            "gen_ai.conversation.id stays.",
            "logfire.configure(scrubbing=ScrubbingOptions(callback=…)), as docs/other-sdks.md shows",
        )


def recorded_key(facts: Facts) -> Iterator[Finding]:
    """Check that no instrumentation records Helicone's key on spans.

    OpenLLMetry records the headers that a call passes, and HTTP instrumentations those that they are configured to.
    """
    for attribute in facts.probe.recorded if facts.probe else ():
        remedy = next(remedy for prefix, remedy in _KEEP_KEYS_OUT if attribute.startswith(prefix))
        yield problem(
            f"A Helicone-Auth passed as extra_headers is recorded on spans, in clear text, as {attribute}.", remedy
        )


def destination(facts: Facts) -> Iterator[Finding]:
    """Check whether spans are exported."""
    process = facts.inside
    if process is None or not process.records:
        return
    if process.exporters:
        yield ok(f"Spans go to {', '.join(name.rpartition('.')[2] for name in process.exporters)}.")
    elif facts.variable(_EXPORTER).lower() == NO_EXPORTER:
        yield ok(f"Spans are not exported ({_EXPORTER}={NO_EXPORTER}); headers need no export.")
    else:
        yield warning("Spans are not exported; headers work without that.", f"export {_EXPORTER}=otlp")


def endpoint(facts: Facts) -> Iterator[Finding]:
    """Check whether anything listens where spans go by OTLP."""
    found = facts.endpoint
    if found is None:
        return
    if found.no_url:
        shown = found.address.rpartition("@")[2]  # the text before an "@" may be a password
        yield warning(f'{found.no_url} is no URL: "{shown}".', f"export {found.no_url}=http://host:port")
        return
    name = f"{found.address}, where spans go by OTLP ({found.protocol})"
    if found.listens:
        yield ok(f"Something listens at {name}.")
    elif found.listens is None:
        yield unknown(f"It is not known whether anything listens at {name}: {found.error}.", "try again")
    else:
        why = " because nothing names another endpoint" if found.is_default else ""
        yield warning(f"Nothing listens at {name}{why}: {found.error}.", _START_COLLECTOR)


def providers(facts: Facts) -> Iterator[Finding]:
    """List the providers, and what is done with the spans of each."""
    for name, is_labelled, reason in facts.inside.providers if facts.inside else ():
        if is_labelled:
            yield ok(f"The spans of the {name} are labelled: {reason}.")
        elif reason == UNKNOWN:
            yield warning(
                f"The spans of the {name} are left alone: {reason}.",
                "helicone_otel.configure(provider=…), if it is yours",
            )
        else:
            yield ok(f"The spans of the {name} are left alone: {reason}.")


# --- sessions ------------------------------------------------------------------------------------


def stale_contexts(facts: Facts) -> Iterator[Finding]:
    """Check whether anything marks where a request begins: uvicorn hands on the Context of the request before it."""
    process = facts.inside
    if process is None or not _MARKING.isdisjoint(process.active):
        return
    # FastAPI makes spans itself since it requires OpenTelemetry's API. The probe does not load it.
    fastapi = facts.installed.get("fastapi")
    if process.native if facts.process else fastapi is not None and _OTEL_API in fastapi.requires:
        return
    if process.serves == _UVICORN if facts.process else all(map(facts.installed.get, (_UVICORN, "fastapi"))):
        yield warning(
            "uvicorn may handle a request in the Context of the request before it on the same connection, and no "
            "instrumentation marks where a request begins: its calls may get the other request's session and user.",
            "uvicorn --reset-contextvars, or pip install opentelemetry-instrumentation-fastapi",
        )


def fixed_id(facts: Facts) -> Iterator[Finding]:
    """Check `HELICONE_SESSION_ID`: one id for everything is right in a script and wrong in a server."""
    if not facts.variable(_ID):
        return
    if facts.process is not None and facts.process.serves:
        yield problem(f"{_ID} is set in a server ({facts.process.serves}): all its users share one session.", _PER_CHAT)
    elif facts.process is None and (servers := [name for name in SERVERS if facts.installed.get(name)]):
        yield warning(
            f"{_ID} is set, and {servers[0]} is installed: in a server all users would share one session.", _PER_CHAT
        )
    else:
        yield ok(f"{_ID} is set: everything in the process belongs to one session.")


def name(facts: Facts) -> Iterator[Finding]:
    """Check whether sessions have a name, by which Helicone groups them."""
    headers = [call.headers for call in (facts.probe.calls if facts.probe else ()) if call.headers]
    with_session = [each for each in headers if wire.SESSION_ID_HEADER in each]
    if with_session and not any(wire.SESSION_NAME_HEADER in each for each in with_session):
        yield warning("Sessions have no name: Helicone shows them as one unnamed group.", f'export {_NAME}="My App"')


def here(facts: Facts) -> Iterator[Finding]:
    """Show the session that is current where the app calls `doctor()`."""
    if facts.process is None or not facts.process.installed:
        return
    if facts.process.session:
        yield ok(f"The current session here is {facts.process.session}, at {facts.process.path}.")
    else:
        yield ok("There is no current session here: this is outside of every session() and every span.")


def swallowed(facts: Facts) -> Iterator[Finding]:
    """List the failures of helicone-otel so far, and the rows that it dropped."""
    process = facts.inside
    for kind, number in process.swallowed.items() if process else ():
        yield warning(
            f"Happened {number} times: {kind}", "the logger helicone_otel shows the first failure of each kind in full"
        )

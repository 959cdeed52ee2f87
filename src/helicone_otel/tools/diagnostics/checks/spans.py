"""Whose session, and what has happened so far?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .... import wire
from ..facts import BY_SESSION, OFF, RATIOS, SAMPLER, Facts
from ..gather import SAMPLERS
from ..libraries import SERVERS
from ..report import Finding, ok, problem, warning

_ID: Final = "HELICONE_SESSION_ID"
_NAME: Final = "HELICONE_SESSION_NAME"
_PER_CHAT: Final = "unset HELICONE_SESSION_ID, and open a session() for each conversation"


def fixed_id(facts: Facts) -> Iterator[Finding]:
    """One id for everything is for scripts."""
    if not facts.variable(_ID):
        return
    if facts.process is not None and facts.process.serves:
        yield problem(f"{_ID} is set in a server ({facts.process.serves}): all its users share one session.", _PER_CHAT)
    elif facts.process is None and (servers := [name for name in SERVERS if facts.installed.get(name)]):
        yield warning(
            f"{_ID} is set, and {servers[0]} is installed: in a server all users would share one session.", _PER_CHAT
        )
    else:
        yield ok(f"{_ID} is set: all that the process does is one session.")


def name(facts: Facts) -> Iterator[Finding]:
    """Helicone groups sessions by name."""
    headers = [call.headers for call in (facts.probe.calls if facts.probe else ()) if call.headers]
    carried = [given for given in headers if wire.SESSION_ID_HEADER in given]
    if carried and not any(wire.SESSION_NAME_HEADER in given for given in carried):
        yield warning("Sessions have no name: Helicone shows them as one unnamed group.", f'export {_NAME}="My App"')


def here(facts: Facts) -> Iterator[Finding]:
    """Where the code that asks stands."""
    if facts.process is None or not facts.process.installed:
        return
    if facts.process.session:
        yield ok(f"Here the session is {facts.process.session}, at {facts.process.path}.")
    else:
        yield ok("Here no session is current: outside of a session() and of spans there is none.")


def swallowed(facts: Facts) -> Iterator[Finding]:
    """Failures of ours, and what we had to drop."""
    process = facts.inside
    for kind, number in process.swallowed.items() if process else ():
        yield warning(
            f"Happened {number} times: {kind}", "the logger helicone_otel tells the first of its kind in full"
        )


_KEEP_ALL: Final = f"export {SAMPLER}=parentbased_always_on (sample in the collector instead)"
_CODE_ONLY: Final = "headers then carry only what code opened with session() and step(), or HELICONE_SESSION_ID"
# By the attribute in which the key was found.
_KEEP_KEYS_OUT: Final = (
    (
        wire.REQUEST_HEADER_PREFIX,
        "export OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS=helicone-auth,authorization",
    ),
    ("", "give it once, as the client's default_headers=, not with each call"),
)


def sampling(facts: Facts) -> Iterator[Finding]:
    """What is sampled out is invisible to us."""
    if facts.process is not None and facts.process.sampler:
        yield from _described(facts.process.sampler)
        return
    name = facts.variable(SAMPLER).lower()
    known = facts.installed.names.get(SAMPLERS, frozenset())
    if name and name not in known:
        yield warning(f'{SAMPLER} names "{name}", which is not installed: it is ignored.', f"unset {SAMPLER}")
    elif name in OFF:
        yield warning(f"{SAMPLER}={name} keeps no span; {_CODE_ONLY}.", _KEEP_ALL)
    elif name in RATIOS:
        argument = facts.variable(f"{SAMPLER}_ARG")
        if name == BY_SESSION:
            argument = argument or facts.variable("HELICONE_SESSION_SAMPLING_RATIO")
        yield from _ratio(argument, "sessions" if name == BY_SESSION else "traces")
    else:
        yield ok("Every trace is sampled." if not name else f"Sampler: {name}.")


def _ratio(argument: str, what: str) -> Iterator[Finding]:
    try:
        ratio = float(argument or "1")
    except ValueError:
        yield warning(f"{SAMPLER}_ARG is no number, so the ratio is 1.", f"export {SAMPLER}_ARG=1")
        return
    if ratio >= 1:
        yield ok("Every trace is sampled.")
    else:
        yield warning(f"Only {ratio:.4g} of all {what} are sampled; {_CODE_ONLY}, in the rest.", _KEEP_ALL)


def _described(sampler: str) -> Iterator[Finding]:
    root = sampler.partition("root:")[2].partition(",")[0] or sampler
    if root.startswith("AlwaysOn"):
        yield ok("Every trace is sampled.")
    else:
        yield warning(f"The sampler is {root}; in what it leaves out, {_CODE_ONLY}.", _KEEP_ALL)


def scrubbing(facts: Facts) -> Iterator[Finding]:
    """Logfire scrubs whatever has `session` in its name or value, on spans alone: headers leave as they are."""
    if facts.process.scrubs if facts.process else facts.installed.get("logfire") is not None:
        yield warning(
            'Logfire scrubs attributes with "session" in their name or value, ours too: gen_ai.conversation.id stays.',
            "logfire.configure(scrubbing=ScrubbingOptions(callback=…)), as the README shows",
        )


def recorded_key(facts: Facts) -> Iterator[Finding]:
    """OpenLLMetry records the headers that a call is given, and HTTP instrumentations those they are told to."""
    for where in facts.probe.recorded if facts.probe else ():
        remedy = next(remedy for prefix, remedy in _KEEP_KEYS_OUT if where.startswith(prefix))
        yield problem(f"A Helicone-Auth given as extra_headers is recorded on spans, in clear, as {where}.", remedy)


def destination(facts: Facts) -> Iterator[Finding]:
    """Where spans go."""
    process = facts.inside
    if process is None or not process.records:
        return
    if process.exporters:
        yield ok(f"Spans go to {', '.join(name.rpartition('.')[2] for name in process.exporters)}.")
    else:
        yield warning("Spans are exported nowhere; headers do not need it.", "export OTEL_TRACES_EXPORTER=otlp")

"""Whose session, and what has happened so far?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from helicone_otel import _wire

from ..facts import Facts
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
    carried = [given for given in headers if _wire.SESSION_ID_HEADER in given]
    if carried and not any(_wire.SESSION_NAME_HEADER in given for given in carried):
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

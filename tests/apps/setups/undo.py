"""An app that takes the library out and brings it in again, by the door that `DOOR` names."""

from __future__ import annotations

import os

from app import SETUPS
from work import DOOR, plan

from helicone_otel import configure, session
from helicone_otel.install.instrumentor import HeliconeInstrumentor

app, llm = SETUPS[os.environ["SETUP"]]()


def plan_in_a_session() -> None:
    """Plan a trip where code opens a session."""
    with session("Trip Planning", id="trip-42"):
        plan(app, llm)


plan_in_a_session()
if DOOR == "instrument":
    HeliconeInstrumentor().uninstrument()
else:
    configure().uninstall()
plan_in_a_session()
if DOOR == "instrument":
    HeliconeInstrumentor().instrument()
else:
    configure()
plan_in_a_session()

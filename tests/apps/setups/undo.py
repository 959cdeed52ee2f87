"""An app that uninstalls the library and installs it again, by the method in `INSTALL`."""

from __future__ import annotations

import os

from app import SETUPS
from work import INSTALL, plan

from helicone_otel import configure, session
from helicone_otel.install.instrumentor import HeliconeInstrumentor

app, llm = SETUPS[os.environ["SETUP"]]()


def plan_in_a_session() -> None:
    """Plan a trip in a session that code opens."""
    with session("Trip Planning", id="trip-42"):
        plan(app, llm)


plan_in_a_session()
if INSTALL == "instrument":
    HeliconeInstrumentor().uninstrument()
else:
    configure().uninstall()
plan_in_a_session()
if INSTALL == "instrument":
    HeliconeInstrumentor().instrument()
else:
    configure()
plan_in_a_session()

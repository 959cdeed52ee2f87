"""An app under Logfire."""

import os

import logfire
from opentelemetry import trace
from work import LLM_SCOPE, come_in, work

come_in("configure first")
kept = None
if os.environ.get("RECIPE"):  # the README's

    def keep_sessions(match: logfire.ScrubMatch) -> object:
        """Leave the session's own attributes as they are."""
        ours = str(match.path[-1]).startswith(("helicone.session.", "session.id"))
        return match.value if ours else None

    kept = logfire.ScrubbingOptions(callback=keep_sessions)
logfire.configure(
    token="pylf_v1_local_x",
    scrubbing=kept,
    console=False,
    inspect_arguments=False,
    advanced=logfire.AdvancedOptions(base_url=os.environ["BACKEND"]),
)
come_in("configure last")

with logfire.span("Welcome {who}", who="Ann"):
    logfire.info("Here we go")
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
logfire.force_flush()

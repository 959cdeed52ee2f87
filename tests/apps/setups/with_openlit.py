"""An app under OpenLIT."""

import os

import openlit
from opentelemetry import trace
from work import LLM_SCOPE, come_in, work

come_in("configure first")
openlit.init(
    application_name="shop",
    otlp_endpoint=os.environ["BACKEND"],
    otlp_headers={"Authorization": "Bearer ol-1"},
    disable_metrics=True,
    disable_events=True,
)
come_in("configure last")


@openlit.trace
def welcome(who: str) -> str:
    """Be a span of OpenLIT's."""
    return f"Hello {who}"


welcome("Ann")
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
trace.get_tracer_provider().force_flush()

"""An app under OpenLIT."""

import os

import openlit
from opentelemetry import trace
from work import LLM_SCOPE, install, work

install("configure first")
openlit.init(
    application_name="shop",
    otlp_endpoint=os.environ["BACKEND"],
    otlp_headers={"Authorization": "Bearer ol-1"},
    disable_metrics=True,
    disable_events=True,
)
install("configure last")


@openlit.trace
def welcome(who: str) -> str:
    """Return a greeting: a span of OpenLIT."""
    return f"Hello {who}"


welcome("Ann")
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
trace.get_tracer_provider().force_flush()

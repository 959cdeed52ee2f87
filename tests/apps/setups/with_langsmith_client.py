"""An app under LangSmith, whose client sends runs as spans."""

from langsmith import Client, traceable
from opentelemetry import trace
from work import LLM_SCOPE, install, work

install("configure first")
client = Client(tracing_mode="otel")
install("configure last")


@traceable(client=client)
def welcome(who: str) -> str:
    """Return a greeting: a run of LangSmith."""
    return f"Hello {who}"


welcome("Ann")
client.flush()
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
trace.get_tracer_provider().force_flush()

"""An app under LangSmith whose own client sends its runs as spans."""

from langsmith import Client, traceable
from opentelemetry import trace
from work import LLM_SCOPE, come_in, work

come_in("configure first")
client = Client(tracing_mode="otel")
come_in("configure last")


@traceable(client=client)
def welcome(who: str) -> str:
    """Be a run."""
    return f"Hello {who}"


welcome("Ann")
client.flush()
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
trace.get_tracer_provider().force_flush()

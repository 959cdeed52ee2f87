"""An app under Langfuse."""

import os

from langfuse import Langfuse, observe
from opentelemetry import trace
from work import LLM_SCOPE, install, work

install("configure first")
langfuse = Langfuse(public_key="pk-lf-1", secret_key="sk-lf-1", base_url=os.environ["BACKEND"])
install("configure last")


@observe
def welcome(who: str) -> str:
    """Return a greeting: an observation of Langfuse."""
    with langfuse.start_as_current_observation(name="greet", as_type="generation", model="gpt-5.4-mini"):
        return f"Hello {who}"


welcome("Ann")
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
langfuse.flush()

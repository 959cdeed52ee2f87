"""An app under Phoenix."""

import os

from opentelemetry import trace
from phoenix.otel import register
from work import LLM_SCOPE, install, work

install("configure first")
provider = register(
    endpoint=os.environ["BACKEND"] + "/v1/traces",
    api_key="px-1",
    project_name="shop",
    batch=bool(os.environ.get("BATCH")),
    verbose=False,
)
install("configure last", provider)


@provider.get_tracer("welcome").chain
def welcome(who: str) -> str:
    """Return a greeting: a span of OpenInference."""
    return f"Hello {who}"


welcome("Ann")
work(provider.get_tracer("shop"), provider.get_tracer(LLM_SCOPE))
trace.get_tracer("shop")
provider.force_flush()

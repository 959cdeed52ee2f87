"""An app under Traceloop."""

import os

from opentelemetry import trace
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import task, workflow
from work import LLM_SCOPE, install, work

install("configure first")
Traceloop.init(
    app_name="shop", api_endpoint=os.environ["BACKEND"], api_key="tl-1", telemetry_enabled=False, instruments=set()
)
install("configure last")


@task(name="greet")
def greet(who: str) -> str:
    """Return a greeting: a task of Traceloop."""
    return f"Hello {who}"


@workflow(name="welcome")
def welcome(who: str) -> str:
    """Return a greeting: a workflow of Traceloop."""
    return greet(who)


welcome("Ann")
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
trace.get_tracer_provider().force_flush()

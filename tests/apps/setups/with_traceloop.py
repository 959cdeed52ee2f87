"""An app under Traceloop."""

import os

from opentelemetry import trace
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import task, workflow
from work import LLM_SCOPE, come_in, work

come_in("configure first")
Traceloop.init(
    app_name="shop", api_endpoint=os.environ["BACKEND"], api_key="tl-1", telemetry_enabled=False, instruments=set()
)
come_in("configure last")


@task(name="greet")
def greet(who: str) -> str:
    """Be a task."""
    return f"Hello {who}"


@workflow(name="welcome")
def welcome(who: str) -> str:
    """Be a workflow."""
    return greet(who)


welcome("Ann")
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
trace.get_tracer_provider().force_flush()

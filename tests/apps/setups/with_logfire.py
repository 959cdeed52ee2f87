"""An app under Logfire."""

import os

import logfire
from opentelemetry import trace
from work import LLM_SCOPE, come_in, work

come_in("configure first")
if recipe := os.environ.get("RECIPE"):
    exec(recipe)  # the README's
else:
    logfire.configure()
come_in("configure last")

with logfire.span("Welcome {who}", who="Ann"):
    logfire.info("Here we go")
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
logfire.force_flush()

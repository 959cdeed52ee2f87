"""An app under Logfire."""

import os

import logfire
from opentelemetry import trace
from work import LLM_SCOPE, install, work

install("configure first")
if recipe := os.environ.get("RECIPE"):
    exec(recipe)  # from the README
else:
    logfire.configure()
install("configure last")

with logfire.span("Welcome {who}", who="Ann"):
    logfire.info("Here we go")
work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
logfire.force_flush()

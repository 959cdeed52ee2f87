"""A downstream service with FastAPI."""

from __future__ import annotations

import os

from fastapi import FastAPI
from model import ask
from opentelemetry import trace

app = FastAPI()
tracer = trace.get_tracer("search")


@app.post("/search")
def search() -> dict[str, str | int]:
    """Ask the model to rank search results."""
    with tracer.start_as_current_span("rank"):
        return {"answer": ask("Which museum is best?"), "pid": os.getpid()}

"""Plan trips with FastAPI: ask a model, and a downstream service or worker."""

from __future__ import annotations

import os

import httpx
from fastapi import FastAPI
from model import ask
from opentelemetry import trace

app = FastAPI()
tracer = trace.get_tracer("trips")


@app.post("/trips/{trip}/plan")
def plan(trip: str) -> dict[str, str | int]:
    """Ask the model, and then the service in SEARCH_URL."""
    with tracer.start_as_current_span("research"):
        ask(f"What to see on trip {trip}?")
        return httpx.post(os.environ["SEARCH_URL"], timeout=30).json()


@app.post("/trips/{trip}/grpc")
def plan_by_grpc(trip: str) -> dict[str, str]:
    """Ask the model, and then the gRPC service in SEARCH_URL."""
    import grpc

    with tracer.start_as_current_span("research"):
        ask(f"What to see on trip {trip}?")
        with grpc.insecure_channel(os.environ["SEARCH_URL"]) as channel:
            return {"answer": channel.unary_unary("/shop.Search/Query")(b"museums", timeout=30).decode()}


@app.post("/trips/{trip}/later")
def plan_later(trip: str) -> dict[str, str]:
    """Ask the model, and send a task to the worker."""
    from tasks import book

    with tracer.start_as_current_span("research"):
        ask(f"What to see on trip {trip}?")
        return {"task": book.apply_async((trip,)).id}

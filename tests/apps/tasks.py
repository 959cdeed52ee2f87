"""A downstream worker with Celery and the broker in `BROKER_URL`."""

from __future__ import annotations

import os
from contextlib import suppress

from billiard.util import set_pdeathsig
from celery import Celery, Task
from celery.signals import worker_process_init
from model import ask
from opentelemetry import trace

from helicone_otel import session, tool

app = Celery("tasks", broker=os.environ["BROKER_URL"])
app.conf.broker_connection_retry_on_startup = True
if folder := os.environ.get("BROKER_FOLDER"):  # of Celery's filesystem transport
    app.conf.broker_transport_options = {
        "data_folder_in": folder,
        "data_folder_out": folder,
        "control_folder": f"{folder}-control",
    }
tracer = trace.get_tracer("tasks")


@worker_process_init.connect
def _outlive_the_forking_thread(**_: object) -> None:
    """Undo that the kernel kills a child when the thread of billiard that forked it ends.

    A warm shutdown ends that thread first. A child that is killed then, while it waits for a task, takes the lock of
    the pool's queue with it, and the worker waits for that lock for ever.
    """
    with suppress(OSError):  # only Linux has it
        set_pdeathsig(0)


@app.task(bind=True, max_retries=1)
def book(self: Task, trip: str) -> None:
    """Ask the model which hotel to book; the trip `retry` fails on the first try."""
    with tracer.start_as_current_span("hotel"), tracer.start_as_current_span("choose"):
        if trip == "retry" and not self.request.retries:
            raise self.retry(countdown=0)
        ask(f"Which hotel for trip {trip}?")


@app.task
def look_up(trip: str) -> None:
    """Run a tool inside a wrapper that does not end, so that the tool's row waits for it."""
    wrapper = trace.get_tracer("wrapper").start_span("look_up", attributes={"gen_ai.operation.name": "execute_tool"})
    with session("Trips", id=trip), trace.use_span(wrapper), tool("look_up"):
        pass

"""Run a notebook in a real kernel, some cells several times, and print the output of its cells."""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient

SETUP = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from helicone_otel import configure, session, step
configure()
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
configure()
"""
INSTRUMENT = """
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
OpenAIInstrumentor().instrument()
HTTPX2ClientInstrumentor().instrument()
"""
ASK = """
from model import ask
with session("Trips", id="s-1"), step("plan"):
    print(ask("Where to?"))
"""
ASYNC = """
import asyncio
async with session("Trips", id="s-2"), step("later"):
    print(await asyncio.to_thread(ask, "Where to?"))
"""
CELLS = (SETUP, INSTRUMENT, ASK, SETUP, SETUP, INSTRUMENT, ASK, ASYNC, "configure(); configure()", ASK)

notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
printed = [output["text"] for cell in notebook.cells for output in cell.outputs if output.get("name") == "stdout"]
print("printed:", *"".join(printed).split())

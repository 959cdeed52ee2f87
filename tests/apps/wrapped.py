"""Call Anthropic's API at `PROVIDER` under OpenInference's instrumentation; print the row id in each scope's span."""

import json
import os

from anthropic import Anthropic
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import helicone_otel

helicone_otel.configure()
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
AnthropicInstrumentor().instrument()

with Anthropic(base_url=os.environ["PROVIDER"], api_key="sk-1") as client:
    question = {"role": "user", "content": "Where to?"}
    client.messages.create(model="claude-x", max_tokens=8, messages=[question], system="Be brief.")
provider.shutdown()
print(
    json.dumps(
        {
            span.instrumentation_scope.name: span.attributes.get("helicone.request.id")
            for span in exporter.get_finished_spans()
        }
    )
)

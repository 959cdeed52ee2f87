"""Send the spans of two turns of a chat to a collector. Only the collector knows of Helicone Sessions.

An app in any language can send such spans. The attributes are those of OpenTelemetry's GenAI conventions, and any
instrumentation of a model's SDK writes them.
"""

import json

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "support-chat"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("app")

for question in ("Where is my parcel?", "And when does it arrive?"):
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5.4-mini",
        "gen_ai.conversation.id": "c-1",
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": question}]}]),
    }
    with tracer.start_as_current_span("chat gpt-5.4-mini", kind=trace.SpanKind.CLIENT, attributes=attributes):
        pass  # the call of the model

provider.shutdown()
print("sent two traces of conversation c-1")

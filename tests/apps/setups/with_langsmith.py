"""An app under LangSmith's OpenTelemetry integration, as its documentation shows."""

from langsmith.integrations.otel import OtelSpanProcessor, configure
from opentelemetry import trace
from work import LLM_SCOPE, install, work

install("configure first")
if not configure(project_name="shop"):  # there is a provider already
    trace.get_tracer_provider().add_span_processor(OtelSpanProcessor(project="shop"))
install("configure last")

work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
trace.get_tracer_provider().force_flush()

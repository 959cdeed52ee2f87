"""An app under LangSmith, in the way that its documentation shows for OpenTelemetry."""

from langsmith.integrations.otel import OtelSpanProcessor, configure
from opentelemetry import trace
from work import LLM_SCOPE, come_in, work

come_in("configure first")
if not configure(project_name="shop"):  # somebody has made a provider already
    trace.get_tracer_provider().add_span_processor(OtelSpanProcessor(project="shop"))
come_in("configure last")

work(trace.get_tracer("shop"), trace.get_tracer(LLM_SCOPE))
trace.get_tracer_provider().force_flush()

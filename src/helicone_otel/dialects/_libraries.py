"""Scopes of instrumentation libraries: their INTERNAL spans are not the application's own steps."""

LIBRARIES = (
    "opentelemetry.*",
    "openinference.instrumentation.*",
    "openlit.*",
    "logfire.*",
    "langsmith",
    "litellm*",
    "pydantic-ai",
    "crewai.telemetry",
    "elasticsearch-api",
    "elastic-transport",
    "@opentelemetry/*",
    "io.opentelemetry.*",
    "google.cloud.*",
    "azure.*",
    "helicone_otel",
)

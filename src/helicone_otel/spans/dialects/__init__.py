"""The dialects of all families, as tables. A new family needs rows here and a recording in the tests.

`semconv` holds OpenTelemetry's own conventions, `openinference` and `openllmetry` the two families of
instrumentations, `vendors` products and SDKs that make spans themselves, `frameworks` agent frameworks that do.

Attribute names are literals, because constants of the published packages get deprecated or move. A test compares the
literals with those packages.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..schema import Dialect
from . import frameworks, openinference, openllmetry, semconv, vendors

# In order of precedence: if rows of two dialects fit a span, the earlier dialect decides.
DIALECTS: Final[tuple[Dialect, ...]] = (
    vendors.HELICONE,
    vendors.ANTHROPIC,
    semconv.MCP,
    vendors.PYDANTIC_AI,
    vendors.LANGFUSE,
    vendors.LANGSMITH,
    frameworks.STRANDS,
    frameworks.AGENT_FRAMEWORK,
    frameworks.GOOGLE_ADK,
    frameworks.AG2,
    frameworks.SEMANTIC_KERNEL,
    frameworks.MISTRAL,
    frameworks.LITELLM,
    frameworks.HAYSTACK_CONNECTOR,
    frameworks.LANGCHAIN4J,
    vendors.AGENTOPS,
    vendors.AGENTOPS_FRAMEWORKS,
    vendors.AGENTOPS_CLIENTS,
    vendors.LAMINAR,
    vendors.LANGWATCH,
    vendors.MLFLOW,
    vendors.LANGTRACE_LANGCHAIN,
    vendors.LANGTRACE,
    vendors.GENAI_LANGCHAIN,
    openinference.OPENINFERENCE_OPENAI,
    openinference.OPENINFERENCE_AGENTS,
    openinference.OPENINFERENCE_ANTHROPIC,
    openinference.OPENINFERENCE_LITELLM,
    openinference.OPENINFERENCE_CLIENTS,
    openinference.OPENINFERENCE_AGNO,
    openinference.OPENINFERENCE_HAYSTACK,
    openinference.OPENINFERENCE_INSTRUCTOR,
    openinference.OPENINFERENCE_CREWAI,
    openinference.OPENINFERENCE_AUTOGEN,
    openinference.OPENINFERENCE_BEEAI,
    openinference.OPENINFERENCE_SMOLAGENTS,
    openinference.OPENINFERENCE_DSPY,
    openinference.OPENINFERENCE_LANGCHAIN,
    openinference.OPENINFERENCE_LLAMA_INDEX,
    vendors.OPENLIT_VECTORS,
    vendors.OPENLIT_LANGCHAIN,
    vendors.OPENLIT_CREWAI,
    vendors.OPENLIT,
    semconv.AWS,
    openllmetry.TRACELOOP_OPENAI,
    openllmetry.TRACELOOP_ANTHROPIC,
    openllmetry.TRACELOOP_CLIENTS,
    openllmetry.TRACELOOP_BARE_CLIENTS,
    openllmetry.TRACELOOP_SDK,
    openllmetry.TRACELOOP_FRAMEWORKS,
    openllmetry.TRACELOOP_CREWAI,
    openllmetry.TRACELOOP_VECTORS,
    openllmetry.TRACELOOP_LANGCHAIN,
    openllmetry.TRACELOOP_LLAMA_INDEX,
    semconv.SQL,
    semconv.SQLALCHEMY,
    semconv.REDIS,
    semconv.ELASTICSEARCH,
    semconv.MONGODB,
    semconv.NEO4J,
    # The dialects whose rows apply to every scope.
    frameworks.LITELLM_ON_APPLICATION,
    vendors.LOGFIRE,
    frameworks.HAYSTACK,
    frameworks.VERCEL,
    frameworks.SPRING_AI,
    openinference.OPENINFERENCE,
    openllmetry.TRACELOOP,
    semconv.GEN_AI,
    semconv.VECTOR_STORES,
    frameworks.WEAVE,
)

# Scopes of instrumentation libraries, exact or with a final `*`. An INTERNAL span of any other scope was made by the
# application's own code.
LIBRARIES: Final = (
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
    # FastAPI's own spans: the SERVER span has the route, and its parts (`fastapi.endpoint`) are no steps.
    "fastapi",
    "autogen*",
    "agent_runtime *",
    "org.springframework.*",
    "io.micrometer.*",
    "io.quarkus.*",
    "Azure.*",
    "Microsoft.*",
    "Experimental.Microsoft.*",
    "System.*",
    "helicone_otel",
)


class CallersBaggage(NamedTuple):
    """Keys of W3C baggage under which callers send the ids of their session and their user, the best first."""

    session_ids: tuple[str, ...]
    user_ids: tuple[str, ...]


# OpenTelemetry, Logfire, Mistral and Langfuse's `propagate_attributes(as_baggage=True)` write these.
CALLERS_BAGGAGE: Final = CallersBaggage(
    session_ids=("session.id", "gen_ai.conversation.id", "langfuse_session_id", "session_id"),
    user_ids=("user.id", "enduser.id", "langfuse_user_id", "user_id"),
)

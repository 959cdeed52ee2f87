"""The families' conventions, one table each. A new family is rows here and a recording in the tests.

Attribute names stand as literals: the published constants are deprecated or move, and a test
compares these with the convention packages.
"""

from __future__ import annotations

from ..providers import providers_in
from . import frameworks, openinference, openllmetry, semconv, vendors
from .semconv import CALLERS_BAGGAGE, ENTRY_ROUTES, GEN_AI, LIBRARIES, EntryRoute

# In order of precedence: where two families describe one span, the first that fits decides.
DIALECTS = (
    vendors.HELICONE,
    vendors.ANTHROPIC,
    semconv.MCP,
    vendors.PYDANTIC_AI,
    vendors.LANGFUSE,
    vendors.LANGSMITH,
    frameworks.STRANDS,
    frameworks.AGENT_FRAMEWORK,
    frameworks.GOOGLE_ADK,
    frameworks.MISTRAL,
    frameworks.LITELLM,
    frameworks.HAYSTACK_CONNECTOR,
    openinference.OPENINFERENCE_OPENAI,
    openinference.OPENINFERENCE_AGENTS,
    openinference.OPENINFERENCE_ANTHROPIC,
    openinference.OPENINFERENCE_LITELLM,
    openinference.OPENINFERENCE_CREWAI,
    openinference.OPENINFERENCE_SMOLAGENTS,
    openinference.OPENINFERENCE_DSPY,
    openinference.OPENINFERENCE_LANGCHAIN,
    openinference.OPENINFERENCE_LLAMA_INDEX,
    vendors.OPENLIT_VECTORS,
    vendors.OPENLIT,
    openllmetry.TRACELOOP_OPENAI,
    openllmetry.TRACELOOP_ANTHROPIC,
    openllmetry.TRACELOOP_CLIENTS,
    openllmetry.TRACELOOP_SDK,
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
    # Those without a scope of their own.
    vendors.LOGFIRE,
    frameworks.HAYSTACK,
    frameworks.VERCEL,
    openinference.OPENINFERENCE,
    openllmetry.TRACELOOP,
    semconv.GEN_AI,
    semconv.VECTOR_STORES,
)

# What is needed only where rows are made is not loaded here: `_contents`, `_endpoints`, `_operations`.
__all__ = [
    "CALLERS_BAGGAGE",
    "DIALECTS",
    "ENTRY_ROUTES",
    "GEN_AI",
    "LIBRARIES",
    "EntryRoute",
    "providers_in",
]

"""The families' conventions, one table each. A new family is rows here and a recording in the tests.

Attribute names stand as literals: the published constants are deprecated or move, and a test
compares these with the convention packages.
"""

from __future__ import annotations

from . import _databases, _frameworks, _openinference, _openlit, _traceloop
from ._anthropic import ANTHROPIC
from ._by_hand import BY_HAND
from ._entrances import CALLERS_BAGGAGE, ENTRANCES, Entrance
from ._gen_ai import GEN_AI
from ._langchain import OPENINFERENCE_LANGCHAIN, TRACELOOP_LANGCHAIN
from ._langfuse import LANGFUSE
from ._langsmith import LANGSMITH
from ._libraries import LIBRARIES
from ._llama_index import OPENINFERENCE_LLAMA_INDEX, TRACELOOP_LLAMA_INDEX
from ._mcp import MCP
from ._providers import providers_in
from ._pydantic import LOGFIRE, PYDANTIC_AI
from ._scopes import RUNS, SCOPES, Run, Scope, Way

# In order of precedence: where two families describe one span, the first that fits decides.
DIALECTS = (
    BY_HAND,
    ANTHROPIC,
    MCP,
    PYDANTIC_AI,
    LANGFUSE,
    LANGSMITH,
    _frameworks.STRANDS,
    _frameworks.AGENT_FRAMEWORK,
    _frameworks.GOOGLE_ADK,
    _frameworks.MISTRAL,
    _frameworks.LITELLM,
    _frameworks.HAYSTACK_CONNECTOR,
    _openinference.OPENINFERENCE_OPENAI,
    _openinference.OPENINFERENCE_AGENTS,
    _openinference.OPENINFERENCE_ANTHROPIC,
    _openinference.OPENINFERENCE_LITELLM,
    _openinference.OPENINFERENCE_CREWAI,
    _openinference.OPENINFERENCE_SMOLAGENTS,
    _openinference.OPENINFERENCE_DSPY,
    OPENINFERENCE_LANGCHAIN,
    OPENINFERENCE_LLAMA_INDEX,
    _openlit.OPENLIT_VECTORS,
    _openlit.OPENLIT,
    _traceloop.TRACELOOP_OPENAI,
    _traceloop.TRACELOOP_ANTHROPIC,
    _traceloop.TRACELOOP_CLIENTS,
    _traceloop.TRACELOOP_SDK,
    _traceloop.TRACELOOP_CREWAI,
    _traceloop.TRACELOOP_VECTORS,
    TRACELOOP_LANGCHAIN,
    TRACELOOP_LLAMA_INDEX,
    _databases.SQL,
    _databases.SQLALCHEMY,
    _databases.REDIS,
    _databases.ELASTICSEARCH,
    _databases.MONGODB,
    _databases.NEO4J,
    # Those without a scope of their own.
    LOGFIRE,
    _frameworks.HAYSTACK,
    _frameworks.VERCEL,
    _openinference.OPENINFERENCE,
    _traceloop.TRACELOOP,
    GEN_AI,
    _databases.VECTOR_STORES,
)

# What is needed only where rows are made is not loaded here: `_contents`, `_endpoints`, `_operations`.
__all__ = [
    "CALLERS_BAGGAGE",
    "DIALECTS",
    "ENTRANCES",
    "GEN_AI",
    "LIBRARIES",
    "RUNS",
    "SCOPES",
    "Entrance",
    "Run",
    "Scope",
    "Way",
    "providers_in",
]

"""Tables of the libraries that the doctor knows: what instruments them, and how SDKs reach their provider.

Names of distributions are those of the package index. Instrumentations are listed in the order in which the doctor
recommends them; its `pip install` line names the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Library:
    """A library that should be instrumented.

    Attributes:
        distribution: Its name on the package index.
        kind: What it is: `SDK`, `vector store`, `MCP`, `agents` or `web`.
        instrumentations: The distributions that instrument it.
        native: Whether versions that depend on `opentelemetry-api` make spans themselves.
    """

    distribution: str
    kind: str
    instrumentations: tuple[str, ...] = ()
    native: bool = False


@dataclass(frozen=True, slots=True)
class Sdk:
    """How an LLM SDK reaches its provider.

    Attributes:
        library: The SDK as a library.
        transports: The HTTP clients that its versions use. An installed version uses the first that it requires.
        base_url: The environment variable with the address for its calls, if it reads one.
        provider: The host of the provider.
        gateway: The value of `base_url` for Helicone's gateway, if there is one for the provider.
        headers: The environment variable with more headers for its calls, if it reads one, a line for each.
        keys: The environment variables with a key for its provider: it reads the first that is set.
    """

    library: Library
    transports: tuple[str, ...]
    base_url: str | None
    provider: str
    gateway: str | None = None
    headers: str | None = None
    keys: tuple[str, ...] = ()


_OTEL: Final = "opentelemetry-instrumentation-"
_OPENINFERENCE: Final = "openinference-instrumentation-"

SDKS: Final = (
    Sdk(
        Library(
            "openai", "SDK", (f"{_OTEL}genai-openai", f"{_OTEL}openai-v2", f"{_OTEL}openai", f"{_OPENINFERENCE}openai")
        ),
        ("httpx2", "httpx"),
        "OPENAI_BASE_URL",
        "api.openai.com",
        "https://oai.helicone.ai/v1",
        "OPENAI_CUSTOM_HEADERS",
        ("OPENAI_API_KEY",),
    ),
    Sdk(
        Library(
            "anthropic",
            "SDK",
            (f"{_OTEL}genai-anthropic", f"{_OTEL}anthropic", f"{_OPENINFERENCE}anthropic"),
            native=True,
        ),
        ("httpx2", "httpx"),
        "ANTHROPIC_BASE_URL",
        "api.anthropic.com",
        "https://anthropic.helicone.ai",
        "ANTHROPIC_CUSTOM_HEADERS",
        ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    ),
    Sdk(
        Library("google-genai", "SDK", (f"{_OTEL}google-genai", f"{_OPENINFERENCE}google-genai")),
        ("httpx2", "httpx"),
        "GOOGLE_GEMINI_BASE_URL",
        "generativelanguage.googleapis.com",
    ),
    Sdk(
        Library("mistralai", "SDK", (f"{_OTEL}mistralai", f"{_OPENINFERENCE}mistralai")),
        ("httpx2", "httpx"),
        None,
        "api.mistral.ai",
    ),
    Sdk(
        Library("cohere", "SDK", (f"{_OTEL}cohere", f"{_OPENINFERENCE}cohere")),
        ("httpx",),
        "CO_API_URL",
        "api.cohere.com",
    ),
    Sdk(
        Library("groq", "SDK", (f"{_OTEL}groq", f"{_OPENINFERENCE}groq")),
        ("httpx",),
        "GROQ_BASE_URL",
        "api.groq.com",
        "https://groq.helicone.ai",
    ),
    Sdk(
        Library("together", "SDK", (f"{_OTEL}together", f"{_OPENINFERENCE}together")),
        ("httpx", "requests"),
        "TOGETHER_BASE_URL",
        "api.together.ai",
        "https://together.helicone.ai/v1",
    ),
    Sdk(
        Library("ollama", "SDK", (f"{_OTEL}ollama", f"{_OPENINFERENCE}ollama")), ("httpx",), "OLLAMA_HOST", "127.0.0.1"
    ),
    # LiteLLM sends asynchronous calls with aiohttp; synchronous calls and calls to OpenAI with httpx.
    Sdk(
        Library("litellm", "SDK", (f"{_OPENINFERENCE}litellm", f"{_OTEL}litellm")),
        ("aiohttp", "httpx"),
        "OPENAI_API_BASE",
        "api.openai.com",
        "https://oai.helicone.ai/v1",
    ),
)

LIBRARIES: Final = (
    Library("chromadb", "vector store", (f"{_OTEL}chromadb",)),
    Library("qdrant-client", "vector store", (f"{_OTEL}qdrant",)),
    Library("pinecone", "vector store", (f"{_OTEL}pinecone",)),
    Library("pymilvus", "vector store", (f"{_OTEL}milvus",)),
    Library("weaviate-client", "vector store", (f"{_OTEL}weaviate",)),
    Library("lancedb", "vector store", (f"{_OTEL}lancedb",)),
    Library("marqo", "vector store", (f"{_OTEL}marqo",)),
    Library("mcp", "MCP", (f"{_OPENINFERENCE}mcp", f"{_OTEL}mcp"), native=True),
    Library("fastmcp", "MCP", (f"{_OPENINFERENCE}mcp", f"{_OTEL}mcp"), native=True),
    Library(
        "langchain-core",
        "agents",
        (f"{_OTEL}genai-langchain", f"{_OTEL}langchain", f"{_OPENINFERENCE}langchain"),
    ),
    Library(
        "llama-index-core",
        "agents",
        (f"{_OTEL}genai-llama-index", f"{_OTEL}llamaindex", f"{_OPENINFERENCE}llama-index"),
    ),
    Library(
        "openai-agents",
        "agents",
        (f"{_OTEL}genai-openai-agents", f"{_OTEL}openai-agents", f"{_OPENINFERENCE}openai-agents"),
    ),
    Library("crewai", "agents", (f"{_OPENINFERENCE}crewai", f"{_OTEL}crewai")),
    Library("smolagents", "agents", (f"{_OTEL}genai-smolagents", f"{_OPENINFERENCE}smolagents")),
    Library("agno", "agents", (f"{_OTEL}genai-agno", f"{_OTEL}agno", f"{_OPENINFERENCE}agno")),
    Library("dspy", "agents", (f"{_OTEL}genai-dspy", f"{_OPENINFERENCE}dspy")),
    Library("haystack-ai", "agents", (f"{_OPENINFERENCE}haystack", f"{_OTEL}haystack")),
    Library("autogen-agentchat", "agents", (f"{_OPENINFERENCE}autogen-agentchat",)),
    Library("ag2", "agents", (f"{_OPENINFERENCE}ag2",)),
    Library("google-adk", "agents", (f"{_OPENINFERENCE}google-adk",), native=True),
    Library("strands-agents", "agents", (f"{_OPENINFERENCE}strands-agents",), native=True),
    Library("pydantic-ai-slim", "agents", (f"{_OPENINFERENCE}pydantic-ai",), native=True),
    Library("fastapi", "web", (f"{_OTEL}fastapi",), native=True),
)
# The modules of web frameworks that mark where a request begins by spans of their own, if they have `telemetry`.
NATIVE_WEB: Final = ("fastapi",)


@dataclass(frozen=True, slots=True)
class Capture:
    """How a family of instrumentations is told to put the content of calls on spans.

    Attributes:
        requires: What the distributions of the family require, which tells them from others.
        variable: The variable that decides.
        on: The values with which content is captured.
        is_default: Whether content is captured if the variable is not set. Then any value but `off` captures it, too.
        off: The values that switch it off.
        remedy: The value that switches it on.
    """

    requires: str
    variable: str
    on: tuple[str, ...]
    is_default: bool
    off: tuple[str, ...]
    remedy: str


# The values are those that the instrumentations' code reads, in lower case.
CAPTURES: Final = (
    Capture(
        "opentelemetry-util-genai",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        # `true` and `event_only` put nothing on spans.
        ("span_only", "span_and_event"),
        is_default=False,
        off=("no_content",),
        remedy="span_only",
    ),
    Capture(
        "opentelemetry-semantic-conventions-ai",
        "TRACELOOP_TRACE_CONTENT",
        ("true",),
        is_default=True,
        off=("false",),
        remedy="true",
    ),
    Capture(
        "openinference-instrumentation",
        "OPENINFERENCE_HIDE_INPUTS",
        ("false",),
        is_default=True,
        off=("true",),
        remedy="false",
    ),
    Capture(
        "openinference-instrumentation",
        "OPENINFERENCE_HIDE_OUTPUTS",
        ("false",),
        is_default=True,
        off=("true",),
        remedy="false",
    ),
)
# The same for libraries that make spans themselves, by distribution.
NATIVE_CAPTURES: Final = {
    "anthropic": Capture(
        "",
        "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE",
        ("content",),
        is_default=False,
        off=("no_content",),
        remedy="content",
    ),
}

# If one of these is installed, the environment probably runs a server, with many sessions in one process.
SERVERS: Final = ("uvicorn", "gunicorn", "hypercorn", "granian", "waitress", "uwsgi", "celery")
# Modules of these servers that are loaded only in a process that serves.
SERVING_MODULES: Final = (
    "uvicorn.server",
    "gunicorn.workers.base",
    "hypercorn.run",
    "granian.server",
    "waitress.server",
    "uwsgi",
    "celery.worker.worker",
)

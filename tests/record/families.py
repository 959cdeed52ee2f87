"""The families whose recordings can be made again. A new family is a row here."""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """How a recording is made.

    Attributes:
        requires: The packages that pip installs, in the newest versions that fit together.
        instrumentors: The `module:class` of each instrumentation, without those of HTTP clients.
        scenarios: The name of a program in `scenarios.py` or `frameworks.py`.
        environment: Variables for the instrumentation.
    """

    requires: tuple[str, ...]
    instrumentors: tuple[str, ...]
    scenarios: str
    environment: tuple[tuple[str, str], ...] = ()


# Every environment needs these, because `inside.py` imports them.
EVERY = ("opentelemetry-sdk", "opentelemetry-instrumentation-httpx")
_WITH_CONTENT = (("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY"),)

FAMILIES = {
    "genai_openai": Family(
        requires=("openai", "opentelemetry-instrumentation-genai-openai"),
        instrumentors=("opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",),
        scenarios="openai",
        environment=_WITH_CONTENT,
    ),
    "oi_openai": Family(
        requires=("openai", "openinference-instrumentation-openai"),
        instrumentors=("openinference.instrumentation.openai:OpenAIInstrumentor",),
        scenarios="openai",
    ),
    "tl_openai": Family(
        requires=("openai", "opentelemetry-instrumentation-openai"),
        instrumentors=("opentelemetry.instrumentation.openai:OpenAIInstrumentor",),
        scenarios="openai",
    ),
    # The SDK makes spans, and the instrumentation makes spans around them.
    "genai_anthropic": Family(
        requires=("anthropic", "opentelemetry-instrumentation-genai-anthropic"),
        instrumentors=("opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",),
        scenarios="anthropic",
        environment=_WITH_CONTENT,
    ),
    # Libraries that make spans themselves; for DSPy OpenInference does.
    "native_litellm": Family(
        requires=("litellm", "openai"),
        instrumentors=(),
        scenarios="litellm",
        environment=(("LITELLM_LOCAL_MODEL_COST_MAP", "true"),),
    ),
    "native_strands": Family(
        requires=("strands-agents[openai]>=1.62",),  # without this, pip prefers the newest OpenTelemetry
        instrumentors=(),
        scenarios="strands",
    ),
    "native_agent_framework": Family(
        requires=("agent-framework-openai",), instrumentors=(), scenarios="agent_framework"
    ),
    "langsmith_otel": Family(requires=("langsmith[otel]", "openai"), instrumentors=(), scenarios="langsmith"),
    "logfire": Family(
        requires=("logfire", "openai", "anthropic"),
        instrumentors=(),
        scenarios="logfire",
        environment=(("LOGFIRE_SEND_TO_LOGFIRE", "false"), ("LOGFIRE_CONSOLE", "false")),
    ),
    "native_haystack": Family(
        requires=("haystack-ai", "opentelemetry-haystack"), instrumentors=(), scenarios="haystack"
    ),
    "oi_dspy": Family(
        requires=("dspy[numpy]", "openinference-instrumentation-dspy"),
        instrumentors=("openinference.instrumentation.dspy:DSPyInstrumentor",),
        scenarios="dspy",
        environment=(("LITELLM_LOCAL_MODEL_COST_MAP", "true"),),
    ),
    "oi_crewai": Family(
        requires=("crewai", "openinference-instrumentation-crewai"),
        instrumentors=("openinference.instrumentation.crewai:CrewAIInstrumentor",),
        scenarios="crewai",
    ),
    "oi_autogen": Family(
        requires=("autogen-agentchat", "autogen-ext[openai]", "openinference-instrumentation-autogen-agentchat"),
        instrumentors=("openinference.instrumentation.autogen_agentchat:AutogenAgentChatInstrumentor",),
        scenarios="autogen",
    ),
    "otel_botocore": Family(
        requires=("boto3", "opentelemetry-instrumentation-botocore"),
        instrumentors=("opentelemetry.instrumentation.botocore:BotocoreInstrumentor",),
        scenarios="bedrock",
    ),
    "native_mistral": Family(requires=("mistralai",), instrumentors=(), scenarios="mistral"),
    "otel_google_genai": Family(
        requires=("google-genai<3", "opentelemetry-instrumentation-google-genai"),
        instrumentors=("opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor",),
        scenarios="google_genai",
    ),
    "native_google_adk": Family(
        requires=("google-adk>=2", "litellm"),  # without this, pip prefers the newest OpenTelemetry
        instrumentors=(),
        scenarios="google_adk",
        environment=(("LITELLM_LOCAL_MODEL_COST_MAP", "true"),),
    ),
    "vendor_langwatch": Family(requires=("langwatch", "openai"), instrumentors=(), scenarios="langwatch"),
    "vendor_langtrace": Family(
        # It does not declare `importlib-metadata`.
        requires=("langtrace-python-sdk", "importlib-metadata", "openai", "qdrant-client<1.13"),
        instrumentors=(
            "langtrace_python_sdk.instrumentation:OpenAIInstrumentation",
            "langtrace_python_sdk.instrumentation:QdrantInstrumentation",
        ),
        scenarios="langtrace",
    ),
    # FastAPI makes spans itself. Nothing instruments the servers, and the client makes its calls in this process.
    "native_fastapi": Family(
        requires=("fastapi", "httpx", "openai", "opentelemetry-instrumentation-genai-openai"),
        instrumentors=("opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",),
        scenarios="fastapi",
    ),
}

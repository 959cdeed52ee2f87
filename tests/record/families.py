"""Which recordings can be made again, and with what: a new one is a row here."""

from __future__ import annotations

from typing import NamedTuple


class Family(NamedTuple):
    """How one recording comes about.

    Attributes:
        requires: What pip installs, at the newest versions that fit together.
        instrumentors: `module:class` of what instruments the client, beside the HTTP client's own.
        scenarios: Which of the programs in `scenarios.py` and `frameworks.py` runs.
        environment: Variables that the instrumentation reads.
    """

    requires: tuple[str, ...]
    instrumentors: tuple[str, ...]
    scenarios: str
    environment: tuple[tuple[str, str], ...] = ()


# What every environment needs: `inside.py` runs on it.
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
    # The SDK's own spans, and the instrumentation's around them.
    "genai_anthropic": Family(
        requires=("anthropic", "opentelemetry-instrumentation-genai-anthropic"),
        instrumentors=("opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",),
        scenarios="anthropic",
        environment=_WITH_CONTENT,
    ),
    # Those that make spans themselves; DSPy has OpenInference's.
    "native_litellm": Family(
        requires=("litellm", "openai"),
        instrumentors=(),
        scenarios="litellm",
        environment=(("LITELLM_LOCAL_MODEL_COST_MAP", "true"),),
    ),
    "native_strands": Family(requires=("strands-agents[openai]",), instrumentors=(), scenarios="strands"),
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
    "native_mistral": Family(requires=("mistralai",), instrumentors=(), scenarios="mistral"),
    "otel_google_genai": Family(
        requires=("google-genai<3", "opentelemetry-instrumentation-google-genai"),
        instrumentors=("opentelemetry.instrumentation.google_genai:GoogleGenAiSdkInstrumentor",),
        scenarios="google_genai",
    ),
    "native_google_adk": Family(
        requires=("google-adk>=2", "litellm"),  # else pip prefers the newest OpenTelemetry to it
        instrumentors=(),
        scenarios="google_adk",
        environment=(("LITELLM_LOCAL_MODEL_COST_MAP", "true"),),
    ),
}

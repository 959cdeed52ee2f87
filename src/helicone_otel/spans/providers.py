"""Providers of models: who is meant by a provider's name on a span, their endpoints, and the form of bodies there.

Families spell one provider in several ways: `gcp.gemini`, `google` and `vertex_ai` are all Google. Some frameworks
write their own name as the provider; `is_framework` knows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

_MAX_NAME: Final = 64
_MAX_NAMES: Final = 256

# The attributes that name a span's provider, the best first.
ATTRIBUTES: Final = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider")
# By the words that occur in names of providers.
PROVIDERS: Final = {
    "openai": "openai",
    "azure": "azure",
    "anthropic": "anthropic",
    "claude": "anthropic",
    "google": "google",
    "gcp": "google",
    "gemini": "google",
    "vertex": "google",
    "vertexai": "google",
    "aws": "aws",
    "amazon": "aws",
    "bedrock": "aws",
    "mistral": "mistral",
    "mistralai": "mistral",
    "cohere": "cohere",
    "groq": "groq",
    "ollama": "ollama",
    "deepseek": "deepseek",
    "perplexity": "perplexity",
    "xai": "xai",
    "together": "together",
    "togetherai": "together",
    "fireworks": "fireworks",
    "openrouter": "openrouter",
    "watsonx": "ibm",
    "ibm": "ibm",
}
# LiteLLM's names of the providers whose requests it copies onto spans most often: `llm.<name>.model`.
# https://docs.litellm.ai/docs/providers
LITELLM: Final = (
    *("openai", "azure", "anthropic", "gemini", "vertex_ai", "bedrock", "mistral", "groq", "cohere", "deepseek", "xai"),
    *("openrouter", "together_ai", "fireworks_ai", "perplexity", "ollama", "ollama_chat", "hosted_vllm", "watsonx"),
    *("azure_ai", "openai_like", "custom_openai"),
)


def providers_in(names: Iterable[str]) -> frozenset[str]:
    """Return the providers that names mean, as values of `PROVIDERS`; an empty set if none is known."""
    return frozenset().union(*(_providers_in(name[:_MAX_NAME].lower()) for name in names))


@lru_cache(_MAX_NAMES)
def _providers_in(name: str) -> frozenset[str]:
    return frozenset(PROVIDERS[word] for word in re.split(r"[^a-z]+", name) if word in PROVIDERS)


class Endpoint(NamedTuple):
    """Where calls of a provider go, and where rows of them go in Helicone's log.

    Attributes:
        route: The path in Helicone's log API. It decides whose prices Helicone applies.
            https://docs.helicone.ai/getting-started/integration-method/custom
        shape: Whose format the bodies of request and response have.
        urls: The provider's URL by operation; `{model}` stands for the model.
    """

    route: str
    shape: Literal["openai", "anthropic", "google"]
    urls: dict[str, str]


_OPENAI: Final = {"chat": "/chat/completions", "responses": "/responses", "embeddings": "/embeddings"}
_GOOGLE: Final = {"chat": ":generateContent", "embeddings": ":batchEmbedContents"}
_GOOGLE_MODEL: Final = "https://generativelanguage.googleapis.com/v1beta/models/{model}"

ENDPOINTS: Final = {
    "openai": Endpoint(
        "/oai/v1/log", "openai", {name: "https://api.openai.com/v1" + path for name, path in _OPENAI.items()}
    ),
    # Azure serves OpenAI's models at OpenAI's prices.
    "azure": Endpoint(
        "/oai/v1/log", "openai", {name: "https://openai.azure.com/openai/v1" + path for name, path in _OPENAI.items()}
    ),
    "anthropic": Endpoint("/anthropic/v1/log", "anthropic", {"chat": "https://api.anthropic.com/v1/messages"}),
    "google": Endpoint("/googleapis/v1/log", "google", {name: _GOOGLE_MODEL + verb for name, verb in _GOOGLE.items()}),
}
# Google sells Anthropic's models in Anthropic's form, at Anthropic's prices.
CLAUDE_ON_VERTEX: Final = Endpoint(
    "/anthropic/v1/log",
    "anthropic",
    {"chat": "https://aiplatform.googleapis.com/v1/publishers/anthropic/models/{model}:rawPredict"},
)
CUSTOM: Final = Endpoint("/custom/v1/log", "openai", {})
# Frameworks that write their own name as the provider: they make the call, and another provider answers it. Only the
# letters and digits of names are compared.
FRAMEWORKS: Final = frozenset(
    {
        *("langchain", "langgraph", "llamaindex", "crewai", "haystack", "litellm", "dspy", "letta"),
        *("strands", "strandsagents", "pydanticai", "smolagents", "agno", "phidata", "autogen", "ag2", "camel"),
        *("semantickernel", "microsoftsemantickernel", "agentframework", "microsoftagentframework", "openaiagents"),
        *("googleadk", "gcpvertexagent", "beeai", "beeaiframework", "browseruse", "mem0"),
    }
)


def is_framework(name: str) -> bool:
    """Tell whether a provider's name on a span is that of a framework."""
    return "".join(filter(str.isalnum, name.lower())) in FRAMEWORKS


# Providers by the first characters of a model's name: for spans that name no provider, and for providers that serve
# models of several vendors.
MODELS: Final = (
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4-", "openai"),
    ("text-embedding-3", "openai"),
    ("text-embedding-ada", "openai"),
    ("omni-moderation", "openai"),
    ("claude", "anthropic"),
    ("gemini", "google"),
)


class OtlpName(NamedTuple):
    """A name under which Helicone's OTLP endpoint stores a provider's rows.

    Attributes:
        name: The name. Helicone writes it in upper case.
        reads_all: Whether Helicone shows the messages of rows of every model. If not, it does not show those of
            `UNREAD_MODELS`.
    """

    name: str
    reads_all: bool = False


# By provider, the most specific first, because `azure.ai.openai` is Azure. Under these names Helicone shows messages,
# tokens, and the right cost if it has one. Rows of all other providers are `OTLP_CUSTOM`: messages and tokens, but no
# cost. Helicone has names for some of them, but reads rows with these names wrongly: of Anthropic no tokens, of Google
# neither messages nor tokens, of xAI ten times the tokens of an answer, of DeepSeek a cost without the prompts, and of
# Mistral up to a thousand times the cost.
OTLP_NAMES: Final = {
    "azure": OtlpName("azure"),
    "aws": OtlpName("aws"),
    "openrouter": OtlpName("openrouter", reads_all=True),
    "groq": OtlpName("groq", reads_all=True),
    "together": OtlpName("together", reads_all=True),
    "perplexity": OtlpName("perplexity"),
    "fireworks": OtlpName("fireworks"),
    "cohere": OtlpName("cohere"),
    "openai": OtlpName("openai"),
}
OTLP_CUSTOM: Final = "custom"
# Models whose rows Helicone takes for Gemini's or Llama's own API, where the bodies have other forms.
UNREAD_MODELS: Final = "(?i:gemini)|Llama"


# --- where the row of a call goes -----------------------------------------------------------------

# Helicone's pages read a row with one of its mappers, which they choose by the provider of the row's endpoint and by
# the model (`getMapperType` in https://github.com/Helicone/helicone). A mapper shows nothing of a form that is not its
# own. If a model has another mapper at its provider's endpoint, rows of it go to the endpoint for all others.

Api = Literal["chat", "responses", "embeddings"]
# Forms of bodies: OpenAI's chat, its completions and its embeddings, Anthropic's and Google's; `none` is one that is
# not written here.
Form = Literal["openai", "completions", "embeddings", "anthropic", "google", "none"]

_AT_ANTHROPIC, _AT_GOOGLE, _AT_OPENAI = (ENDPOINTS[name] for name in ("anthropic", "google", "openai"))
_MAX_PLACES: Final = 512


class _Reader(NamedTuple):
    """A form in which Helicone reads rows.

    Attributes:
        route: The endpoint of the rows; of any if empty.
        model: Fits the beginning of the model's name.
        form: How their bodies are read.
    """

    route: str
    model: str
    form: Form


# The first that fits decides.
_READERS: Final = (
    _Reader("", r"\Z", "openai"),
    _Reader("", r".*deepseek", "openai"),
    _Reader("", r"gpt-3\.5-turbo-instruct", "completions"),
    _Reader(CUSTOM.route, r"claude", "anthropic"),
    _Reader(CUSTOM.route, r"", "openai"),
    _Reader("", r"(ft:)?gpt-(4|3\.5|35)(?!-turbo-instruct)|o1-(preview|mini)|(?i:meta-llama/)", "openai"),
    _Reader("", r".*(claude|anthropic)", "anthropic"),
    _Reader(_AT_ANTHROPIC.route, r"", "anthropic"),
    _Reader("", r".*Llama", "none"),
    _Reader(_AT_OPENAI.route, r"(?i:.*gemini)", "openai"),
    _Reader(_AT_GOOGLE.route, r"", "google"),
    _Reader("", r"dall-e-[23]|gpt-image-1|text-moderation", "none"),
    _Reader("", r"text-embedding", "embeddings"),
    _Reader("", r"", "openai"),
)
# The forms in which rows are written, by what the endpoint's provider is asked.
_WRITTEN: Final[dict[tuple[str, Api], frozenset[Form]]] = {
    ("openai", "chat"): frozenset({"openai", "completions"}),
    ("openai", "embeddings"): frozenset({"openai", "embeddings"}),
    ("anthropic", "chat"): frozenset({"anthropic"}),
    ("google", "chat"): frozenset({"google"}),
    ("google", "embeddings"): frozenset({"google"}),
}


class Place(NamedTuple):
    """Where the row of a call goes, and how its bodies are written."""

    endpoint: Endpoint
    api: Api
    form: Form


@lru_cache(_MAX_PLACES)
def place_of(provider: str, model: str, api: Api) -> Place:
    """Return the place of a call.

    Args:
        provider: A key of `ENDPOINTS`, or any other name.
        model: The model as Helicone will store it: the one that answered.
        api: What was called.
    """
    endpoint = ENDPOINTS.get(provider, CUSTOM)
    if api == "responses":
        # Helicone reads this form at OpenAI's own endpoint only, and of rows with a model.
        if endpoint is _AT_OPENAI and model:
            return Place(endpoint, api, "openai")
        api = "chat"
    form = _form(endpoint.route, model)
    if endpoint is _AT_GOOGLE and form == "anthropic":
        endpoint = CLAUDE_ON_VERTEX
    if endpoint is not CUSTOM and form in _WRITTEN.get((endpoint.shape, api), ()):
        return Place(endpoint, api, form)
    return Place(CUSTOM, api, _form(CUSTOM.route, model))


def _form(route: str, model: str) -> Form:
    return next(
        reader.form for reader in _READERS if reader.route in ("", route) and re.match(reader.model, model, re.DOTALL)
    )

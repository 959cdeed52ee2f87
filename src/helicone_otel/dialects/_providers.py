"""Who a provider is, by the words in the names that the families give it.

`gcp.gemini`, `google` and `vertex_ai` are one; frameworks that call themselves the provider stand
in no list, so they say nothing.
"""

PROVIDERS = {
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
    "fireworks": "fireworks",
    "watsonx": "ibm",
    "ibm": "ibm",
}

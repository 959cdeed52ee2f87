"""Tables of the attributes and events of all families, by the fact about a call that they hold.

For each fact the best source comes first: the current conventions, then each family's own attributes, then those that
hold a whole request or answer (`input.value`). An attribute in no table never leaves the process. So request headers
never do, which some instrumentations record with the key in them (`gen_ai.headers`).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from ...spans import providers

Side = Literal["inputs", "outputs"]


class Source(NamedTuple):
    """The attributes that hold a fact.

    Attributes:
        fact: The fact.
        keys: Attributes, the best first. One that ends in a dot is the prefix of numbered ones
            (`gen_ai.prompt.0.role`).
        form: How their values are written; a name in `forms.FORMS`.
    """

    fact: str
    keys: tuple[str, ...]
    form: str = "plain"


class EventSource(NamedTuple):
    """An event that holds a fact.

    Attributes:
        fact: The fact. Each such event adds a value to it.
        key: The attribute that holds it; empty if all attributes together do.
        role: The role of a message that names none.
        prefix: The prefix to remove from the names of its attributes.
    """

    fact: str
    key: str = ""
    role: str = ""
    prefix: str = ""


# Facts that are content, and may be withheld: what goes into a call, and what comes out of it.
SIDES: Final[dict[str, Side]] = {
    "messages": "inputs",
    "instructions": "inputs",
    "tools": "inputs",
    "description": "inputs",
    "input": "inputs",
    "query": "inputs",
    "statement": "inputs",
    "vector": "inputs",
    "filter": "inputs",
    "candidates": "inputs",
    "parameter.stop": "inputs",
    "answers": "outputs",
    "calls": "outputs",
    "output": "outputs",
    "matches": "outputs",
    "embeddings": "outputs",
    "error.message": "outputs",
}

# LiteLLM copies the members of a request and its answer, as the provider has them, under the provider's name.
_LITELLM: Final = tuple(f"llm.{name}" for name in providers.LITELLM)


def _litellm(member: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{member}" for prefix in _LITELLM)


_LLM: Final = (
    Source("provider", providers.ATTRIBUTES),
    Source(
        "model",
        (
            *("gen_ai.request.model", "llm.request.model_name", "llm.request.model", "ai.model.id"),
            *("embedding.model_name", "reranker.model_name"),
        ),
    ),
    Source("model", ("llm.invocation_parameters", "request_data"), "model in"),
    Source("model", ("llm.model_name", "langfuse.observation.model.name")),
    Source("model", _litellm("model")),
    Source("model.answered", ("gen_ai.response.model", "llm.response.model_name", "llm.response.model")),
    Source("model.answered", ("ai.response.model", "llm.model_name", "langfuse.observation.model.name")),
    Source("response.id", ("gen_ai.response.id", "ai.response.id")),
    Source("response.id", _litellm("id")),
    Source("response.id", ("output.value",), "id in"),
    Source("api", ("openai.api.type", "gen_ai.openai.api_type")),
    Source("finish", ("anthropic.message.stop_reason", "gen_ai.response.finish_reasons", "llm.finish_reason")),
    Source("finish", ("gen_ai.response.finish_reason", "llm.response.finish_reason", "ai.response.finishReason")),
    Source("fingerprint", ("openai.response.system_fingerprint", "gen_ai.openai.response.system_fingerprint")),
    Source("fingerprint", ("gen_ai.openai.system_fingerprint",)),
    Source("streamed", ("gen_ai.request.stream", "gen_ai.is_streaming", "llm.is_streaming")),
)

_MESSAGES: Final = (
    Source("instructions", ("gen_ai.system_instructions",), "messages"),
    Source("messages", ("gen_ai.input.messages",), "messages"),
    Source("messages", ("gen_ai.prompt.", "llm.input_messages.", "llm.prompts."), "messages"),
    Source("messages", ("ai.prompt.messages", "ai.prompt", "langfuse.observation.input", "gen_ai.prompt"), "messages"),
    Source("messages", ("request_data", "traceloop.entity.input", "input.value"), "messages"),
    Source("messages", _litellm("messages"), "python"),
    Source("messages", ("embedding.embeddings.",), "texts"),
    Source("answers", ("gen_ai.output.messages",), "messages"),
    Source("answers", (*_litellm("choices"), *_litellm("content")), "python"),
    Source("answers", ("gen_ai.completion.", "llm.output_messages.", "llm.choices."), "messages"),
    Source("answers", ("ai.response.text", "ai.response.object", "langfuse.observation.output"), "messages"),
    Source("answers", ("gen_ai.completion",), "messages"),
    Source("answers", ("response_data", "traceloop.entity.output", "output.value"), "messages"),
    Source("calls", ("ai.response.toolCalls",), "parts"),
    Source("tools", ("gen_ai.tool.definitions", "llm.tools.", "llm.request.functions.", "ai.prompt.tools"), "tools"),
    Source("tools", ("model_request_parameters", "request_data", "input.value"), "tools"),
    Source("embeddings", ("embedding.embeddings.", "ai.embeddings", "ai.embedding"), "vectors"),
    Source("embeddings", ("traceloop.entity.output", "output.value"), "vectors"),
)

_TOKENS: Final = (
    Source("tokens.input", ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")),
    Source("tokens.input", ("llm.usage.prompt_tokens", "ai.usage.promptTokens", "ai.usage.inputTokens")),
    Source("tokens.input", ("ai.usage.tokens",)),
    Source(
        "tokens.output", ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
    ),
    Source("tokens.output", ("llm.usage.completion_tokens", "ai.usage.completionTokens", "ai.usage.outputTokens")),
    Source("tokens.total", ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")),
    Source("tokens.cached", ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens")),
    Source(
        "tokens.cached",
        (
            "llm.token_count.prompt_details.cache_read",
            "ai.usage.cachedInputTokens",
            "ai.usage.inputTokenDetails.cacheReadTokens",
        ),
    ),
    Source("tokens.cached", ("gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cached_tokens")),
    Source("tokens.written", ("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens")),
    Source("tokens.written", ("gen_ai.usage.cache_creation_input_tokens", "gen_ai.usage.details.cache_write_tokens")),
    Source("tokens.written", ("llm.token_count.prompt_details.cache_write", "ai.usage.cacheCreationInputTokens")),
    Source("tokens.reasoning", ("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens")),
    Source("tokens.reasoning", ("gen_ai.usage.details.reasoning_tokens", "llm.usage.reasoning_tokens")),
    Source("tokens.reasoning", ("llm.token_count.completion_details.reasoning", "ai.usage.reasoningTokens")),
    Source("usage", ("langfuse.observation.usage_details", "response_data"), "json"),
    Source("usage", _litellm("usage"), "python"),
)

_TIMES: Final = (
    Source("first.seconds", ("gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk")),
    Source("first.seconds", ("gen_ai.server.time_to_first_token",)),
    Source("first.milliseconds", ("ai.response.msToFirstChunk",)),
    Source("first.date", ("langfuse.observation.completion_start_time",)),
)

# By OpenAI's names. Objects with parameters use these names, or those of `OTHER_NAMES`.
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    "temperature": ("gen_ai.request.temperature", "ai.settings.temperature"),
    "top_p": ("gen_ai.request.top_p", "ai.settings.topP"),
    "top_k": ("gen_ai.request.top_k", "llm.top_k", "ai.settings.topK"),
    "max_tokens": (
        *("gen_ai.request.max_tokens", "gen_ai.request.max_completion_tokens", "ai.settings.maxOutputTokens"),
        "ai.settings.maxTokens",
    ),
    "frequency_penalty": (
        *("gen_ai.request.frequency_penalty", "llm.frequency_penalty"),
        "ai.settings.frequencyPenalty",
    ),
    "presence_penalty": ("gen_ai.request.presence_penalty", "llm.presence_penalty", "ai.settings.presencePenalty"),
    "seed": ("gen_ai.request.seed", "gen_ai.openai.request.seed", "ai.settings.seed"),
    "n": ("gen_ai.request.choice.count", "gen_ai.request.n"),
    "stop": ("gen_ai.request.stop_sequences", "llm.chat.stop_sequences", "ai.settings.stopSequences"),
    "reasoning_effort": (
        *("gen_ai.request.reasoning_effort", "gen_ai.request.reasoning.level"),
        "llm.request.reasoning_effort",
    ),
    "service_tier": ("gen_ai.openai.request.service_tier", "anthropic.request.service_tier"),
    "encoding_format": ("gen_ai.request.encoding_formats",),
}
# Attributes that hold such objects.
PARAMETERS_IN: Final = (
    *("llm.invocation_parameters", "embedding.invocation_parameters", "langfuse.observation.model.parameters"),
    *("request_data", "langfuse.observation.modelParameters"),
)
OTHER_NAMES: Final = {
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "stop_sequences": "stop",
    "topP": "top_p",
    "topK": "top_k",
}

_ERRORS: Final = (
    Source("error.type", ("error.type", "exception.type")),
    Source("error.message", ("error.message", "exception.message", "langfuse.observation.status_message")),
    Source("status", ("http.response.status_code", "http.status_code", "db.response.status_code")),
)

_TOOLS: Final = (
    Source("name", ("gen_ai.tool.name", "tool.name", "ai.toolCall.name", "helicone.data.name")),
    Source("call.id", ("gen_ai.tool.call.id", "tool_call.id", "ai.toolCall.id")),
    Source("description", ("gen_ai.tool.description", "tool.description")),
    Source("input", ("gen_ai.tool.call.arguments", "tool_arguments", "ai.toolCall.args", "ai.toolCall.input"), "json"),
    Source("input", ("langfuse.observation.input", "traceloop.entity.input", "input.value", "gen_ai.prompt"), "json"),
    Source("input", ("gen_ai.task.input", "mcp.request.argument"), "json"),
    Source("output", ("gen_ai.tool.call.result", "tool_response", "ai.toolCall.result", "ai.toolCall.output"), "json"),
    Source("output", ("langfuse.observation.output", "traceloop.entity.output", "output.value"), "json"),
    Source("output", ("gen_ai.completion", "gen_ai.task.output", "mcp.response.value"), "json"),
    Source("flagged", ("gen_ai.guardrail.triggered", "gen_ai.moderation.flagged")),
)

_QDRANT: Final = ("upsert", "upload_points", "upload_collection", "upload_records", "search", "search_batch", "scroll")
_QDRANT_MORE: Final = (
    "delete",
    "set_payload",
    "query",
    "query_points",
    "query_batch",
    "recommend",
    "discover",
    "count",
)
_MILVUS: Final = ("search", "query", "get", "insert", "upsert", "delete", "create_collection")

_VECTORS: Final = (
    Source("database", ("db.system.name", "db.system", "traceloop.association.properties.ls_vector_store_provider")),
    Source("namespace", ("db.namespace", "db.name", "pinecone.query.namespace")),
    Source("collection", ("db.collection.name", "gen_ai.data_source.id", "db.mongodb.collection")),
    Source("collection", ("db.cassandra.table", "db.sql.table")),
    Source("collection", tuple(f"qdrant.{method}.collection_name" for method in (*_QDRANT, *_QDRANT_MORE))),
    Source("collection", tuple(f"db.milvus.{method}.collection_name" for method in _MILVUS)),
    Source("collection.id", ("db.chroma.query.segment._query.collection_id",)),
    Source("operation", ("db.operation.name", "db.operation", "gen_ai.operation.name")),
    Source("query", ("gen_ai.retrieval.query.text", "reranker.query", "db.marqo.search.query")),
    Source("query", ("langfuse.observation.input", "traceloop.entity.input", "input.value", "gen_ai.prompt"), "query"),
    Source("statement", ("db.query.text", "db.statement")),
    Source("vector", ("db.query.embeddings.vector", "db.search.embeddings.vector"), "vector"),
    Source("top_k", ("db.vector.query.top_k", "gen_ai.retrieval.top_k", "gen_ai.request.top_k", "reranker.top_k")),
    Source("top_k", ("db.chroma.query.n_results", "db.chroma.get.limit", "db.chroma.peek.limit")),
    Source("top_k", ("db.milvus.search.limit", "db.milvus.query.limit", "pinecone.query.top_k")),
    Source("filter", ("db.filter", "db.chroma.query.where", "db.chroma.get.where"), "filter"),
    Source("filter", ("db.chroma.delete.where", "pinecone.query.filter"), "filter"),
    Source("filter", ("db.milvus.search.filter", "db.milvus.query.filter", "db.milvus.delete.filter"), "filter"),
    Source("dimension", ("gen_ai.embeddings.dimension.count", "db.milvus.create_collection.dimension")),
    Source("found", ("db.response.returned_rows", "db.milvus.search.result_count")),
    Source("changed", ("db.vector.count", "db.chroma.add.ids_count", "db.chroma.add.documents_count")),
    Source("changed", ("db.chroma.upsert.documents_count", "db.chroma.update.ids_count", "db.chroma.delete.ids_count")),
    Source(
        "changed", ("db.chroma.upsert.embeddings_count", "db.milvus.insert.data_count", "db.milvus.upsert.data_count")
    ),
    Source(
        "changed", ("db.milvus.delete.ids_count", "qdrant.upsert.points_count", "qdrant.upload_points.points_count")
    ),
    Source("changed", ("qdrant.upload_collection.points_count",)),
    Source("matches", ("gen_ai.retrieval.documents", "retrieval.documents.", "reranker.output_documents."), "matches"),
    Source(
        "matches", ("ai.ranking", "langfuse.observation.output", "traceloop.entity.output", "output.value"), "matches"
    ),
    Source("matches", ("gen_ai.completion",), "matches"),
    Source("candidates", ("reranker.input_documents.", "ai.documents"), "matches"),
)

_PARAMETERS: Final = (
    *(Source(f"parameter.{name}", keys) for name, keys in PARAMETERS.items()),
    Source("parameters", PARAMETERS_IN, "json"),
)

SOURCES: Final = (*_PARAMETERS, *_LLM, *_MESSAGES, *_TOKENS, *_TIMES, *_ERRORS, *_TOOLS, *_VECTORS)

_FIRST: Final = EventSource("first.time")
EVENTS: Final[dict[str, tuple[EventSource, ...]]] = {
    # OpenTelemetry's conventions before messages became attributes. Some frameworks still use them.
    **{
        f"gen_ai.{role}.message": (EventSource("messages", role=role),)
        for role in ("system", "developer", "user", "assistant", "tool")
    },
    "gen_ai.choice": (EventSource("answers", role="assistant"),),
    "gen_ai.content.prompt": (EventSource("messages", "gen_ai.prompt", "user"),),
    "gen_ai.content.completion": (EventSource("answers", "gen_ai.completion", "assistant"),),
    "exception": (EventSource("exception", prefix="exception."),),
    "db.query.result": (EventSource("matches", prefix="db.query.result."),),
    "db.search.result": (EventSource("matches", prefix="db.search.result."),),
    "db.query.embeddings": (EventSource("vector", "db.query.embeddings.vector"),),
    "db.search.embeddings": (EventSource("vector", "db.search.embeddings.vector"),),
    "First Token Stream Event": (_FIRST,),
    "gen_ai.content.completion.chunk": (_FIRST,),
    "llm.content.completion.chunk": (_FIRST,),
    "ai.stream.firstChunk": (_FIRST,),
    "new_token": (_FIRST,),
}
# An event whose attributes are those of a span.
DETAILS: Final = "gen_ai.client.inference.operation.details"

"""What a request said and was answered, in one form, whatever wrote it down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from .messages import messages_of
from .unpack import unpacked

_MAX_MATCHES: Final = 500
_CALLS: Final = frozenset({"llm", "embedding"})


class Content(NamedTuple):
    """As `API.md` describes it under `/api/request`; `None` where the kind has no such thing."""

    messages: list[dict[str, Any]] | None = None
    tool: dict[str, Any] | None = None
    vector: dict[str, Any] | None = None
    data: dict[str, Any] | None = None


class Event(NamedTuple):
    """An event of a span; `time` is in nanoseconds since the epoch."""

    name: str
    time: int
    attributes: Mapping[str, Any]


# Where the conventions keep what went in and what came out: OpenInference's, OpenLLMetry's, Langfuse's, others'.
_INPUTS: Final = (
    "input.value",
    "traceloop.entity.input",
    "langfuse.observation.input",
    "gen_ai.task.input",
    "input",
    "helicone.data.input",
)
_OUTPUTS: Final = (
    "output.value",
    "traceloop.entity.output",
    "langfuse.observation.output",
    "gen_ai.task.output",
    "output",
    "helicone.data.output",
)
_TOOL_NAMES: Final = ("gen_ai.tool.name", "tool.name", "traceloop.entity.name", "mcp.tool.name")
_TOOL_INPUTS: Final = (
    "gen_ai.tool.call.arguments",
    "tool.arguments",
    "tool_arguments",
    "gen_ai.tool.args",
    *_INPUTS,
)
_TOOL_RESULTS: Final = ("gen_ai.tool.call.result", "tool_response", "tool.result", *_OUTPUTS)
_OPERATIONS: Final = ("db.operation.name", "db.operation")
_DATABASES: Final = ("db.system.name", "db.system")
_COLLECTIONS: Final = ("db.collection.name", "db.vector.collection", "db.namespace", "db.name")
_QUERIES: Final = ("db.query.text", "db.statement", "gen_ai.retrieval.query.text", "db.query.summary", *_INPUTS)
_COUNTS: Final = (
    "db.vector.query.top_k",
    "db.chroma.query.n_results",
    "db.milvus.search.limit",
    "gen_ai.request.top_k",
)
_FILTERS: Final = ("db.vector.query.filter", "db.filter", "db.chroma.query.where", "db.milvus.query.filter")
_COLLECTION: Final = re.compile(r"\w+\.\w+\.collection_name\Z")
# Matches stand in a list of documents, in one attribute each, or in an event each.
_DOCUMENTS: Final = ("retrieval.documents", "reranker.output_documents")
_DOCUMENT_LISTS: Final = ("gen_ai.retrieval.documents", "db.query.result")
_RESULT_EVENTS: Final = ("db.query.result", "db.search.result", "vector.query.result")
_IDS: Final = ("id", "document.id", "db.query.result.id", "db.search.result.id")
_SCORES: Final = (
    "score",
    "document.score",
    "db.query.result.score",
    "db.query.result.distance",
    "db.search.result.score",
    "db.search.result.distance",
)
_TEXTS: Final = (
    "text",
    "content",
    "document.content",
    "document",
    "page_content",
    "payload",
    "db.query.result.document",
    "db.search.result.entity",
)
_METADATA: Final = ("metadata", "document.metadata", "db.query.result.metadata")


def content_of_span(kind: str, attributes: Mapping[str, Any], events: Sequence[Event]) -> Content:
    """Return what a span tells."""
    if kind in _CALLS:
        return Content(messages=messages_of(attributes, events, _INPUTS, _OUTPUTS))
    if kind == "tool":
        name = first(attributes, _TOOL_NAMES)
        return Content(
            tool={"name": name, "input": first(attributes, _TOOL_INPUTS), "result": first(attributes, _TOOL_RESULTS)}
        )
    if kind == "vector_db":
        return Content(vector=_vector(attributes, events))
    return Content(data={"input": first(attributes, _INPUTS), "output": first(attributes, _OUTPUTS)})


def first(attributes: Mapping[str, Any], keys: Iterable[str]) -> Any:
    """Return the first of some attributes that is there, read where it is JSON, or `None`."""
    return next((unpacked(attributes[key]) for key in keys if attributes.get(key) not in (None, "")), None)


def nested(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return what stands under `prefix.0.…`, `prefix.1.…` as a list of mappings, by the rest of their names."""
    found: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        if key.startswith(f"{prefix}."):
            number, _, rest = key[len(prefix) + 1 :].partition(".")
            if number.isascii() and number.isdigit() and rest:
                found.setdefault(int(number), {})[rest] = value
    return [found[number] for number in sorted(found)]


def _vector(attributes: Mapping[str, Any], events: Sequence[Event]) -> dict[str, Any]:
    collection = first(attributes, _COLLECTIONS) or next(
        (value for key, value in attributes.items() if _COLLECTION.match(key)), None
    )
    return {
        "operation": first(attributes, _OPERATIONS),
        "database": first(attributes, _DATABASES),
        "collection": collection,
        "query": first(attributes, _QUERIES),
        "top_k": first(attributes, _COUNTS),
        "filter": first(attributes, _FILTERS),
        "matches": [match_of(one) for one in _documents(attributes, events)][:_MAX_MATCHES],
    }


def _documents(attributes: Mapping[str, Any], events: Sequence[Event]) -> Iterator[Mapping[str, Any]]:
    for prefix in _DOCUMENTS:
        yield from nested(attributes, prefix)
    for key in _DOCUMENT_LISTS:
        value = unpacked(attributes.get(key))
        yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()
    yield from (event.attributes for event in events if event.name in _RESULT_EVENTS)


def match_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return one match of a query in the one form."""
    identity, score = first(document, _IDS), first(document, _SCORES)
    try:
        number = float(score) if score is not None and not isinstance(score, bool) else None
    except (TypeError, ValueError):
        number = None
    return {
        "id": str(identity) if identity is not None else None,
        "score": number if number is not None and abs(number) != float("inf") and number == number else None,  # noqa: PLR0124  # NaN
        "text": first(document, _TEXTS),
        "metadata": first(document, _METADATA),
    }

"""Helicone's own bodies: vector queries, tools, and all else as data.

https://docs.helicone.ai/integrations/vectordb/logger-sdk and the same for tools and data. Type and name stand in
the response once more: what the request does not say there is shown as `undefined`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ... import wire
from ...spans.retrieval import MAX_MATCHES, Matches, found_in
from .call import Failure
from .facts import SpanFacts
from .forms import known, vector
from .jsonread import read, text_of, tidy
from .messages import text_in
from .types import RowBodies

_SEARCH: Final = (
    *("search", "query", "retrieve", "retrieval", "vector_db_retrieve", "vectordb", "get", "fetch", "find", "select"),
    *("scroll", "peek", "knn_search", "similarity_search", "hybrid_search", "query_points", "query_batch_points"),
    *("query_batch", "query_points_groups", "search_batch", "search_groups", "search_matrix_pairs", "recommend"),
    *("recommend_batch", "recommend_groups", "discover", "discover_batch", "aggregate", "hybrid", "_query", "lookup"),
    *("vsim", "vrange", "ft.search", "ft.aggregate", "ft.hybrid", "graphql_raw", "near_vector", "near_text", "bm25"),
)
_INSERT: Final = (
    *("insert", "add", "upsert", "put", "index", "upload", "upload_points", "upload_collection", "upload_records"),
    *("vadd", "create", "batch_add", "insert_many", "add_documents", "add_texts"),
)
_UPDATE: Final = (
    *("update", "modify", "set_payload", "overwrite_payload", "update_vectors", "delete_payload", "clear_payload"),
    *("vsetattr", "replace", "merge", "merge_insert"),
)
_DELETE: Final = (
    "delete",
    "remove",
    "drop",
    "delete_many",
    "delete_points",
    "delete_vectors",
    "delete_documents",
    "vrem",
)

# https://docs.helicone.ai/integrations/vectordb/logger-sdk. Others go by their own name.
OPERATIONS: Final = {
    **dict.fromkeys(_SEARCH, "search"),
    **dict.fromkeys(_INSERT, "insert"),
    **dict.fromkeys(_UPDATE, "update"),
    **dict.fromkeys(_DELETE, "delete"),
}


_FOUND_BY: Final = ("id", "score", "distance", "text", "content", "document", "page_content", "metadata", "payload")


def tool(told: SpanFacts, failure: Failure | None) -> RowBodies:
    """Return the bodies of a tool's run."""
    named = {"_type": "tool", "toolName": _name(told)}
    request = {
        **named,
        "input": _given(told, "input", "messages"),
        "toolCallId": told.text("call.id"),
        "description": told.text("description"),
    }
    response = {**named, **_outcome(failure), "result": _given(told, "output", "answers")}
    return RowBodies(known(request), known(response))


def vector_query(told: SpanFacts, failure: Failure | None) -> RowBodies:
    """Return the bodies of an operation of a vector database."""
    word, operation = _operation(told)
    matches = None if failure else _matches(told)
    query = told.text("query")
    statement = told.text("statement")
    request = {
        "_type": "vector_db",
        "operation": operation,
        "method": word if operation != word else "",
        "databaseName": told.text("database") or _store(told),
        "namespace": told.text("namespace"),
        "collection": told.text("collection"),
        "collectionId": told.text("collection.id"),
        "query": query or statement,
        "statement": statement if query and statement != query else "",
        "vector": told.one("vector") or _vector(told),
        "dimension": told.whole("dimension"),
        "topK": told.whole("top_k"),
        "filter": told.one("filter"),
        "count": told.whole("changed"),
    }
    found = told.whole("found")
    count = found if found is not None else matches.count if matches else None
    response = {
        "_type": "vector_db",
        **_outcome(failure),
        **({} if failure or count is None else {"message": f"{count} match{'' if count == 1 else 'es'}"}),
        "matches": _shown(matches),
    }
    return RowBodies(known(request), known(response))


def data(told: SpanFacts, failure: Failure | None) -> RowBodies:
    """Return the bodies of anything else: a reranking, a check, a computation."""
    named = {"_type": "data", "name": _name(told)}
    candidates: Matches | None = told.one("candidates")
    matches = _matches(told) if told.kind == "rerank" else None
    request = {
        **named,
        "kind": told.kind if told.kind != "data" else "",
        "model": told.text("model"),
        "query": told.text("query") if told.kind == "rerank" and candidates else "",
        "documents": _shown(candidates),
        "topK": told.whole("top_k") if told.kind == "rerank" else None,
        "input": None if candidates else _given(told, "input", "messages"),
    }
    documents = _shown(matches)
    result = {"documents": documents} if documents else _given(told, "output", "answers")
    flagged = told.one("flagged")
    response = {
        **named,
        **_outcome(failure),
        "result": result,
        "flagged": flagged if isinstance(flagged, bool) else None,
    }
    return RowBodies(known(request), known(response))


def _name(told: SpanFacts) -> str:
    """Return a step's own name, or else the last one of its path, which is its as well."""
    path = told.attributes.get(wire.SESSION_PATH)
    last = path.rpartition("/")[2] if isinstance(path, str) else ""
    return told.text("name") or last or told.facts.name or told.kind


def _operation(told: SpanFacts) -> tuple[str, str]:
    """Return what was done, as the family calls it and as Helicone does."""
    word = told.text("operation").lower()
    if not word:
        word = _name(told).lower()
        if "retriev" in word:  # a retriever's class
            return word, "search"
    return word, OPERATIONS.get(word, word)


def _store(told: SpanFacts) -> str:
    """Return which store a retriever asked, which stands where a provider is named."""
    named = (name for name in told.all("provider") if isinstance(name, str))
    return next((name for name in named if name.lower() not in ("langchain", "langgraph")), "")


def _outcome(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {"status": "success"}
    told = known({"message": failure.message, "type": failure.type}, "message")
    return {"status": "error", "message": failure.message, "error": told}


def _given(told: SpanFacts, fact: str, messages: str) -> Any:
    value = told.one(fact)
    if value is not None:
        return value
    text = text_in(told.messages(messages))
    return read(text) if text else None


def _vector(told: SpanFacts) -> list[Any] | None:
    for attributes in told.happened("vector"):
        found = next((vector(value) for key, value in attributes.items() if key.endswith("vector")), None)
        if found:
            return found
    return None


def _matches(told: SpanFacts) -> Matches | None:
    """Return what was found: from attributes, or an event for each."""
    found: Matches | None = told.one("matches")
    if found is None and (happened := told.happened("matches")):
        found = found_in([_match(attributes) for attributes in happened])
    return found


def _match(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a match that an event tells of; where no name says what is its text, all of it is."""
    entity = attributes.get("entity")
    if any(key in attributes for key in ("document", "text", "content", "metadata")):
        return dict(attributes)
    rest = entity if entity is not None else {k: v for k, v in attributes.items() if k not in _FOUND_BY}
    return {**attributes, "content": rest} if rest else dict(attributes)


def _shown(matches: Matches | None) -> list[dict[str, Any]]:
    """Return matches as Helicone shows them: the preview formats every score that is there as a number."""
    return [_as_match(match) for match in matches.shown[:MAX_MATCHES]] if matches else []


def _as_match(match: Mapping[str, Any]) -> dict[str, Any]:
    content, metadata = match.get("content"), read(match.get("metadata"))
    score, distance = match.get("score"), match.get("distance")
    return known(
        {
            "id": match.get("id"),
            "score": score if isinstance(score, float) and math.isfinite(score) else None,
            "distance": distance,
            "text": text_of(content) if content is not None else "",
            "metadata": tidy(metadata) if metadata else None,
        }
    )

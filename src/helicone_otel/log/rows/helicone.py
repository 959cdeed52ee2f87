"""Writes Helicone's own bodies: for vector queries, tools, and everything else as data.

https://docs.helicone.ai/integrations/vectordb/logger-sdk, and the same for tools and data. Type and name are in the
response, too, because Helicone's pages show `undefined` where a response lacks them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from ... import wire
from ...spans.retrieval import MAX_MATCHES, Matches, found_in
from .call import Failure
from .facts import SpanFacts
from .forms import vector
from .jsonread import known, read, text_of, tidy
from .messages import text_in
from .types import RowBodies

# Names of operations in the families' conventions, by the operation that Helicone knows.
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

# By name. An operation that is not here keeps its own name.
OPERATIONS: Final = {
    **dict.fromkeys(_SEARCH, "search"),
    **dict.fromkeys(_INSERT, "insert"),
    **dict.fromkeys(_UPDATE, "update"),
    **dict.fromkeys(_DELETE, "delete"),
}
# Attributes that a match may have. Others are its content.
_MATCH_KEYS: Final = ("id", "score", "distance", "text", "content", "document", "page_content", "metadata", "payload")


def tool(facts: SpanFacts, failure: Failure | None) -> RowBodies:
    """Return the bodies of a tool call."""
    named = {"_type": "tool", "toolName": _name(facts)}
    given = _value(facts, "input", "messages")
    request = {
        **named,
        # Helicone's page of a tool shows the members of an object; of a text each letter, and of a number nothing.
        "input": given if given is None or isinstance(given, dict | list) else {"input": given},
        "toolCallId": facts.text("call.id"),
        "description": facts.text("description"),
    }
    result = _value(facts, "output", "answers")
    # Helicone's page of a tool shows `message`, and not `result`.
    message = {} if failure or result is None else {"message": text_of(result)}
    response = {**named, **_outcome(failure), **message, "result": result}
    # Helicone's list writes `undefined` for an input that is missing.
    return RowBodies(known(request, "input"), known(response))


def vector_query(facts: SpanFacts, failure: Failure | None) -> RowBodies:
    """Return the bodies of an operation of a vector database."""
    method, operation = _operation(facts)
    matches = None if failure else _matches(facts)
    query = facts.text("query")
    statement = facts.text("statement")
    request = {
        "_type": "vector_db",
        "operation": operation,
        "method": method if operation != method else "",
        "databaseName": facts.text("database") or _database(facts),
        "namespace": facts.text("namespace"),
        "collection": facts.text("collection"),
        "collectionId": facts.text("collection.id"),
        "query": query or statement,
        "statement": statement if query and statement != query else "",
        "vector": facts.one("vector") or _vector_of_events(facts),
        "dimension": facts.whole("dimension"),
        "topK": facts.whole("top_k"),
        "filter": facts.one("filter"),
        "count": facts.whole("changed"),
    }
    found = facts.whole("found")
    count = found if found is not None else matches.count if matches else None
    # Helicone's list shows nothing of a response without a message.
    message = "success" if count is None else f"{count} match{'' if count == 1 else 'es'}"
    response = {
        "_type": "vector_db",
        **_outcome(failure),
        **({} if failure else {"message": message}),
        "matches": _match_list(matches),
    }
    # Helicone's list writes `undefined` for a database that is missing.
    return RowBodies(known(request, "databaseName"), known(response))


def data(facts: SpanFacts, failure: Failure | None) -> RowBodies:
    """Return the bodies of any other call: a rerank, a guardrail, a computation."""
    named = {"_type": "data", "name": _name(facts)}
    candidates: Matches | None = facts.one("candidates")
    matches = _matches(facts) if facts.kind == "rerank" else None
    request = {
        **named,
        "kind": facts.kind if facts.kind != "data" else "",
        "model": facts.text("model"),
        "query": facts.text("query") if facts.kind == "rerank" and candidates else "",
        "documents": _match_list(candidates),
        "topK": facts.whole("top_k") if facts.kind == "rerank" else None,
        "input": None if candidates else _value(facts, "input", "messages"),
    }
    documents = _match_list(matches)
    result = {"documents": documents} if documents else _value(facts, "output", "answers")
    flagged = facts.one("flagged")
    response = {
        **named,
        **_outcome(failure),
        "result": result,
        "flagged": flagged if isinstance(flagged, bool) else None,
    }
    return RowBodies(known(request), known(response))


def _name(facts: SpanFacts) -> str:
    """Return the name of a step: its own, or else the last segment of its path."""
    path = facts.attributes.get(wire.SESSION_PATH)
    last = path.rpartition("/")[2] if isinstance(path, str) else ""
    return facts.text("name") or last or facts.span.name or facts.kind


def _operation(facts: SpanFacts) -> tuple[str, str]:
    """Return the name of an operation in its family, and in Helicone."""
    method = facts.text("operation").lower()
    if not method:
        method = _name(facts).lower()
        if "retriev" in method:  # the class of a retriever
            return method, "search"
    return method, OPERATIONS.get(method, method)


def _database(facts: SpanFacts) -> str:
    """Return the database that a retriever asked, which its span names as the provider."""
    names = (name for name in facts.all("provider") if isinstance(name, str))
    return next((name for name in names if name.lower() not in ("langchain", "langgraph")), "")


def _outcome(failure: Failure | None) -> dict[str, Any]:
    if failure is None:
        return {"status": "success"}
    error = known({"message": failure.message, "type": failure.type}, "message")
    return {"status": "error", "message": failure.message, "error": error}


def _value(facts: SpanFacts, fact: str, messages: str) -> Any:
    """Return the input or output of a call, or else the content of its messages."""
    value = facts.one(fact)
    if value is not None:
        return value
    text = text_in(facts.messages(messages))
    return read(text) if text else None


def _vector_of_events(facts: SpanFacts) -> list[Any] | None:
    for attributes in facts.event_attributes("vector"):
        found = next((vector(value) for key, value in attributes.items() if key.endswith("vector")), None)
        if found:
            return found
    return None


def _matches(facts: SpanFacts) -> Matches | None:
    """Return the matches: from attributes, or else from events, each of which is one match."""
    found: Matches | None = facts.one("matches")
    if found is None and (events := facts.event_attributes("matches")):
        found = found_in([_match_of_event(attributes) for attributes in events])
    return found


def _match_of_event(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the match in the attributes of an event. If none is known as its content, all unknown ones are."""
    entity = attributes.get("entity")
    if any(key in attributes for key in ("document", "text", "content", "metadata")):
        return dict(attributes)
    rest = entity if entity is not None else {k: v for k, v in attributes.items() if k not in _MATCH_KEYS}
    return {**attributes, "content": rest} if rest else dict(attributes)


def _match_list(matches: Matches | None) -> list[dict[str, Any]]:
    """Return matches as Helicone shows them."""
    return [_as_match(match) for match in matches.shown[:MAX_MATCHES]] if matches else []


def _as_match(match: Mapping[str, Any]) -> dict[str, Any]:
    # Helicone's preview formats every `score` as a number, so another value must not be one.
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

"""What a request said and was answered, in one form.

Read from a row of Helicone's log: the one that arrived, or the one that the library would make of the span.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from .messages import messages_from
from .unpack import unpacked

_MAX_MATCHES: Final = 500
_TEXTS: Final = ("text", "content", "document", "page_content", "payload")
_RESULTS: Final = ("result", "data", "results")
# Of the bodies of other work, what says only of which kind they are.
_FRAME: Final = frozenset({"_type", "name", "toolName"})
# Where providers' bodies hold messages: OpenAI's two interfaces and Anthropic's, Google's.
_ASKED: Final = ("messages", "input", "contents")
_ANSWERED: Final = ("choices", "output", "content", "message", "messages", "candidates")


class Content(NamedTuple):
    """As `API.md` describes it under `/api/request`; `None` where the kind has no such thing."""

    messages: list[dict[str, Any]] | None = None
    tool: dict[str, Any] | None = None
    vector: dict[str, Any] | None = None
    data: dict[str, Any] | None = None


def content_of(body: Mapping[str, Any]) -> Content:
    """Return what a row says and was answered.

    Args:
        body: What is posted: https://docs.helicone.ai/getting-started/integration-method/custom
    """
    asked = body["providerRequest"].get("json") or {}
    response = body["providerResponse"]
    answered = unpacked(response["textBody"]) if response.get("textBody") else response.get("json") or {}
    asked = asked if isinstance(asked, dict) else {"input": asked}
    got: Mapping[str, Any] = answered if isinstance(answered, dict) else {"result": answered}
    match asked.get("_type"):
        case None:
            return Content(messages=[one for one in _messages(asked, answered) if one["parts"]])
        case "tool":
            result = next((got[key] for key in _RESULTS if key in got), None)
            return Content(tool={"name": asked.get("toolName"), "input": asked.get("input"), "result": result})
        case "vector_db":
            return Content(vector=_vector(asked, got))
        case _:
            return Content(data={"input": _without_frame(asked), "output": _without_frame(got)})


def _messages(asked: Mapping[str, Any], answered: Any) -> list[dict[str, Any]]:
    system = asked.get("system") or asked.get("instructions") or asked.get("systemInstruction")
    said = next((asked[key] for key in _ASKED if asked.get(key)), None)
    if isinstance(answered, dict):
        answered = next((answered[key] for key in _ANSWERED if answered.get(key)), None)
    return [
        *messages_from(system, "system", "input"),
        *messages_from(said, "user", "input"),
        *messages_from(answered, "assistant", "output"),
    ]


def _without_frame(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in _FRAME}


def _vector(asked: Mapping[str, Any], got: Mapping[str, Any]) -> dict[str, Any]:
    found = got.get("matches", got.get("results"))
    matches = [_match(one) for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {
        "operation": asked.get("operation"),
        "database": asked.get("databaseName"),
        "collection": asked.get("collection") or asked.get("collectionId"),
        "query": unpacked(asked.get("query") or asked.get("text")),
        "top_k": asked.get("topK"),
        "filter": asked.get("filter"),
        "matches": matches[:_MAX_MATCHES],
    }


def _match(document: Mapping[str, Any]) -> dict[str, Any]:
    identity, score = document.get("id"), document.get("score")
    try:
        number = float(score) if score is not None and not isinstance(score, bool) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    return {
        "id": str(identity) if identity is not None else None,
        "score": number if number is not None and math.isfinite(number) else None,
        "text": _first(document, _TEXTS),
        "metadata": unpacked(document.get("metadata")),
    }


def _first(held: Mapping[str, Any], keys: Iterable[str]) -> Any:
    return next((unpacked(held[key]) for key in keys if held.get(key) not in (None, "")), None)

"""What a row of Helicone's log API says and was answered, in the form of `content`.

https://docs.helicone.ai/integrations/vectordb/logger-sdk, https://docs.helicone.ai/integrations/tools/logger-sdk
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .content import Content, match_of
from .messages import messages_from
from .unpack import unpacked


def content_of_row(posted: Mapping[str, Any]) -> Content:
    """Return what a row says and was answered."""
    asked = posted["providerRequest"].get("json") or {}
    response = posted["providerResponse"]
    answered = unpacked(response["textBody"]) if response.get("textBody") else response.get("json") or {}
    asked = asked if isinstance(asked, dict) else {"input": asked}
    type_ = asked.get("_type")
    got: Mapping[str, Any] = answered if isinstance(answered, dict) else {"result": answered}
    result = next((got[key] for key in ("result", "data", "results") if key in got), None)
    if type_ == "tool":
        return Content(tool={"name": asked.get("toolName"), "input": asked.get("input"), "result": result})
    if type_ == "vector_db":
        found = got.get("matches", got.get("results"))
        matches = [match_of(one) for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        return Content(vector={**_vector(asked), "matches": matches})
    if type_ is not None:
        return Content(data={"input": {key: asked[key] for key in asked if key != "_type"}, "output": answered})
    return Content(
        messages=[*messages_from(asked, "user", "input"), *messages_from(_answer(answered), "assistant", "output")]
    )


def _vector(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "operation": asked.get("operation"),
        "database": asked.get("databaseName"),
        "collection": asked.get("collection") or asked.get("collectionId"),
        "query": asked.get("query") or asked.get("text"),
        "top_k": asked.get("topK"),
        "filter": asked.get("filter"),
    }


def _answer(answered: Any) -> Any:
    """Return the messages of an answer: its vectors and counts are none."""
    if isinstance(answered, dict) and answered.get("object") == "list":
        return None
    if isinstance(answered, dict) and not {"choices", "output", "content", "message", "messages"} & answered.keys():
        return answered.get("error") or None
    return answered

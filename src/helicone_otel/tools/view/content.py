"""What a request said and was answered, in one form.

Read from a row of Helicone's log: the one that arrived, or the one that the library would make of the span.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple


def unpacked(value: Any) -> Any:
    """Return what a text of JSON holds; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value, parse_constant=str)
        except (ValueError, RecursionError):
            return value
    return value


_ROLES: Final = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}
_MESSAGES_RESULTS: Final = frozenset({"tool_call_response", "tool_result", "tool_response", "function_call_output"})
_TOOL_CALLS: Final = frozenset({"tool_call", "tool_use", "function_call", "function"})
_GOOGLES: Final = {"functionCall": "tool_call", "functionResponse": "tool_result"}
_MESSAGES_TEXTS: Final = frozenset({"text", "input_text", "output_text"})


def messages_from(value: Any, role: str, side: str) -> Iterator[dict[str, Any]]:
    """Yield the messages that a value holds in whatever shape: a list, one, or a text.

    Args:
        value: What stands where a provider's body has messages.
        role: Of those that say none.
        side: `input` or `output`.
    """
    value = unpacked(value)
    if isinstance(value, list) and any(_is_message(one) for one in value):
        for one in value:
            yield message_of(one if _is_message(one) else _as_message(one, role), role, side)
    elif value not in (None, "", [], {}):
        yield message_of(value, role, side)


def _as_message(item: Any, role: str) -> dict[str, Any]:
    """Return an item that stands among messages as one: a call of a tool, or what came of it."""
    type_ = item.get("type") if isinstance(item, dict) else None
    if type_ in _MESSAGES_RESULTS:
        return {"role": "tool", "content": [item]}
    return {"role": "assistant" if type_ in _TOOL_CALLS else role, "content": [item]}


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and (
        bool({"role", "message", "parts"} & value.keys()) or isinstance(value.get("content"), dict)
    )


def message_of(value: Any, role: str, side: str) -> dict[str, Any]:
    """Return one message in the one form."""
    reason = None
    if isinstance(value, dict):
        reason = value.get("finish_reason") or value.get("stop_reason") or value.get("finishReason")
        # A choice of OpenAI's, a candidate of Google's.
        value = next((value[key] for key in ("message", "content") if isinstance(value.get(key), dict)), value)
    held: Mapping[str, Any] = (
        value
        if isinstance(value, dict) and ("role" in value or "content" in value or "parts" in value)
        else {"content": value}
    )
    said = str(held.get("role") or role).lower()
    message: dict[str, Any] = {"role": _ROLES.get(said, said), "from": side}
    if reason or held.get("finish_reason"):
        message["finish_reason"] = str(reason or held.get("finish_reason"))
    message["parts"] = list(_parts(held))
    return message


def _parts(held: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    identity = held.get("tool_call_id") or (held.get("id") if held.get("role") == "tool" else None)
    content = held.get("parts", held.get("content", held.get("contents")))
    content = unpacked(content)
    if identity is not None:
        yield {"type": "tool_result", "id": str(identity), "result": content}
    elif isinstance(content, list):
        for part in content:
            yield _part(part)
    elif content not in (None, ""):
        yield _part(content)
    calls = unpacked(held.get("tool_calls"))
    for call in calls if isinstance(calls, list) else ():
        yield _part({"type": "tool_call", **call} if isinstance(call, dict) else call)
    if isinstance(held.get("refusal"), str) and held["refusal"]:
        yield {"type": "text", "text": held["refusal"]}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return {"type": "other", "value": part}
    for key, type_ in _GOOGLES.items():
        if isinstance(part.get(key), dict):
            part = {"type": type_, **part[key]}
    type_ = str(part.get("type", "text" if "text" in part or "content" in part else ""))
    text = part.get("text", part.get("content"))
    if type_ in _MESSAGES_TEXTS and isinstance(text, str):
        return {"type": "text", "text": text}
    if type_ in _MESSAGES_RESULTS:
        identity = part.get("id") or part.get("tool_use_id") or part.get("call_id")
        result = next((part[key] for key in ("response", "result", "content", "output") if key in part), None)
        return {"type": "tool_result", "id": identity, "result": unpacked(result)}
    if type_ in _TOOL_CALLS:
        function = part["function"] if isinstance(part.get("function"), dict) else part
        arguments = next((function[key] for key in ("arguments", "input", "args") if key in function), None)
        return {
            "type": "tool_call",
            "id": part.get("id") or part.get("call_id"),
            "name": function.get("name"),
            "arguments": unpacked(arguments),
        }
    return {"type": "other", "value": part}


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

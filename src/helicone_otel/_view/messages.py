"""Conversations: the shapes in which OpenAI, Anthropic and Google have messages, in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .unpack import unpacked

_ROLES: Final = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}
_RESULTS: Final = frozenset({"tool_call_response", "tool_result", "tool_response", "function_call_output"})
_TOOL_CALLS: Final = frozenset({"tool_call", "tool_use", "function_call", "function"})
_GOOGLES: Final = {"functionCall": "tool_call", "functionResponse": "tool_result"}
_TEXTS: Final = frozenset({"text", "input_text", "output_text"})


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
    if type_ in _RESULTS:
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
    if type_ in _TEXTS and isinstance(text, str):
        return {"type": "text", "text": text}
    if type_ in _RESULTS:
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

"""Writes Anthropic's bodies: https://platform.claude.com/docs/en/api/messages."""

from __future__ import annotations

from typing import Any, Final

from .call import Call, Failure, Usage
from .forms import data_url
from .jsonread import known, read, text_of
from .messages import Message, Part, text_in

# Finish reasons of other families.
_FINISH_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_call": "tool_use",
    "tool_calls": "tool_use",
    "tool-calls": "tool_use",
}
# By OpenAI's names.
_PARAMETERS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
    "service_tier": "service_tier",
}


def messages(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a call to the Messages API."""
    request = {
        "model": call.model,
        "system": text_in(call.system),
        "messages": [_message(message) for message in call.messages],
        "tools": [_tool(tool) for tool in call.tools],
        **{name: call.parameters[key] for key, name in _PARAMETERS.items() if key in call.parameters},
    }
    if call.failure:
        return known(request, "messages"), _error(call.failure)
    response = {
        "id": call.id,
        "type": "message",
        "role": "assistant",
        "model": call.response_model,
        "content": [block for message in call.answers for block in map(_block, message.parts)],
        "stop_reason": next((_FINISH_REASONS.get(reason, reason) for reason in call.finish_reasons), None),
        "usage": _usage(call.usage),
    }
    return known(request, "messages"), known(response, "content")


def _message(message: Message) -> dict[str, Any]:
    role = "user" if message.role == "tool" else message.role
    if len(message.parts) == 1 and message.parts[0].kind == "text":
        return {"role": role, "content": message.parts[0].value}
    return {"role": role, "content": [_block(part) for part in message.parts]}


def _block(part: Part) -> dict[str, Any]:
    match part.kind:
        case "call":
            return known({"type": "tool_use", "id": part.id, "name": part.name, "input": part.value}, "input")
        case "result":
            return known({"type": "tool_result", "tool_use_id": part.id, "content": text_of(part.value)}, "content")
        case "reasoning":
            return {"type": "thinking", "thinking": part.value}
        case "text":
            return {"type": "text", "text": part.value}
    if url := data_url(part.value):
        return {"type": "image", "source": {"type": "url", "url": url}}
    value = read(part.value)
    return value if isinstance(value, dict) else {"type": "text", "text": text_of(value)}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return known({"name": tool["name"], "description": tool.get("description"), "input_schema": tool.get("parameters")})


def _usage(usage: Usage) -> dict[str, Any]:
    """Return tokens as Anthropic counts them: the input without those of the cache."""
    input_, cached = usage.input, (usage.cached or 0) + (usage.written or 0)
    if input_ is not None and input_ >= cached:
        input_ -= cached
    return known(
        {
            "input_tokens": input_,
            "output_tokens": usage.output,
            "cache_read_input_tokens": usage.cached,
            "cache_creation_input_tokens": usage.written,
        }
    )


def _error(failure: Failure) -> dict[str, Any]:
    return {"type": "error", "error": known({"type": failure.type, "message": failure.message}, "message")}

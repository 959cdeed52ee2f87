"""Writes Anthropic's bodies: https://platform.claude.com/docs/en/api/messages."""

from __future__ import annotations

from typing import Any, Final

from .call import Call, Usage
from .forms import image_url, inline_data
from .jsonread import known, text_of
from .messages import Message, Part, arguments_in, text_in
from .openai import calls_text, chat_usage, error

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
        return known(request, "messages"), {"type": "error", **error(call)}
    response = {
        "id": call.id,
        "type": "message",
        "role": "assistant",
        "model": call.response_model,
        "content": [block for message in call.answers for block in _answer(message)],
        "stop_reason": next((_FINISH_REASONS.get(reason.lower(), reason) for reason in call.finish_reasons), None),
        # At an endpoint without prices, tokens are read in OpenAI's form.
        "usage": _usage(call.usage) if call.is_priced else chat_usage(call.usage),
    }
    return known(request, "messages"), known(response, "content")


def _message(message: Message) -> dict[str, Any]:
    role = "user" if message.role == "tool" else message.role
    if len(message.parts) == 1 and message.parts[0].kind == "text":
        return {"role": role, "content": message.parts[0].value}
    blocks = [_sent_block(part) for part in message.parts if not _is_empty(part)]
    return {"role": role, "content": blocks or ""}


def _sent_block(part: Part) -> dict[str, Any]:
    """Return a block of a request. Helicone's pages show bars that never end for a block without a `content`."""
    block = _block(part)
    if part.kind == "reasoning":
        return {**block, "content": text_of(part.value)}
    return {**block, "content": block["content"] or " "} if part.kind == "result" else block


def _answer(message: Message) -> list[dict[str, Any]]:
    """Return the blocks of an answer.

    Calls of tools have a text beside them, because Helicone's pages leave out what has none.
    """
    blocks = [_block(part) for part in message.parts if not _is_empty(part)]
    calls = [part for part in message.parts if part.kind == "call"]
    return [*blocks, {"type": "text", "text": calls_text(calls)}] if calls else blocks


def _is_empty(part: Part) -> bool:
    """Tell whether a part says nothing. A call without arguments, and a result that is empty, do."""
    return part.value == "" and part.kind not in ("call", "result")


def _block(part: Part) -> dict[str, Any]:
    match part.kind:
        case "call":
            return known({"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_in(part)}, "input")
        case "result":
            return known({"type": "tool_result", "tool_use_id": part.id, "content": text_of(part.value)}, "content")
        case "reasoning":
            return {"type": "thinking", "thinking": part.value}
        case "text":
            return {"type": "text", "text": part.value}
    if url := image_url(part.value):
        return _image(url)
    # Helicone shows nothing of other types.
    return {"type": "text", "text": text_of(part.value)}


def _image(url: str) -> dict[str, Any]:
    if (inline := inline_data(url)) is not None:
        media_type, content = inline
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": content}}
    # Anthropic has the URL in `source`, and Helicone looks for it in `image_url`.
    return {"type": "image", "source": {"type": "url", "url": url}, "image_url": {"url": url}}


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
            "cache_creation": _cache_creation(usage),
        }
    )


def _cache_creation(usage: Usage) -> dict[str, int]:
    """Return the tokens that were written to the cache by how long it keeps them, which decides what they cost.

    Tokens of which that is not known are kept for five minutes, as is usual.
    """
    hour = usage.written_1h or 0
    minutes = max(0, (usage.written or 0) - hour)
    if not minutes and not hour:
        return {}
    return {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}

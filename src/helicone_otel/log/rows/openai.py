"""Writes OpenAI's bodies: of chats, completions, responses and embeddings.

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from typing import Any, Final

from .call import Call, Usage
from .forms import data_url
from .jsonread import dump, known, text_of
from .messages import Message, Part, text_in

# Finish reasons of other families.
_FINISH_REASONS: Final = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "tool_call": "tool_calls",
    "tool-calls": "tool_calls",
    "tool_use": "tool_calls",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "error": "error",
}
# As many numbers of an embedding as Helicone shows.
_SHOWN_NUMBERS: Final = 5
# Finish reasons of answers that were cut.
_LIMITS: Final = frozenset({"length", "max_tokens", "max_output_tokens", "incomplete"})


def chat(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a chat completion."""
    request = {
        "model": call.model,
        "messages": [one for message in (*call.system, *call.messages) for one in _chat_messages(message)],
        "tools": [{"type": "function", "function": tool} for tool in call.tools],
        **call.parameters,
    }
    if call.failure:
        return known(request, "messages"), error(call)
    response = {
        "id": call.id,
        "object": "chat.completion",
        "model": call.response_model,
        "choices": _choices(call),
        "usage": chat_usage(call.usage),
        "system_fingerprint": call.fingerprint,
    }
    return known(request, "messages"), known(response, "choices")


def responses(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a call to the Responses API."""
    parameters = dict(call.parameters)
    request = {
        "model": call.model,
        "instructions": text_in(call.system),
        "input": [item for message in call.messages for item in _items(message, "input_text")],
        "tools": [{"type": "function", **tool} for tool in call.tools],
        "max_output_tokens": parameters.pop("max_tokens", None),
        **parameters,
    }
    if call.failure:
        return known(request, "input"), error(call)
    response = {
        "id": call.id,
        "object": "response",
        # Helicone takes `queued` and `in_progress` for the polling of an assistant.
        "status": "incomplete" if _LIMITS.intersection(call.finish_reasons) else "completed",
        "model": call.response_model,
        "output": [item for message in call.answers for item in _items(message, "output_text")],
        "usage": _response_usage(call.usage),
    }
    return known(request, "input"), known(response, "output")


def embeddings(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a request for embeddings."""
    request = {
        "model": call.model,
        "input": [text for message in call.messages if (text := text_in([message]))],
        **call.parameters,
    }
    if call.failure:
        return known(request, "input"), error(call)
    response = {
        "object": "list",
        "model": call.response_model,
        "data": [
            {"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(call.vectors)
        ],
        "usage": known({"prompt_tokens": call.usage.input, "total_tokens": call.usage.total}),
    }
    return known(request, "input"), known(response, "data")


def completions(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a completion of the time before chats."""
    request = {"model": call.model, "prompt": text_in([*call.system, *call.messages]), **call.parameters}
    if call.failure:
        return known(request, "prompt"), error(call)
    texts = [text_in([message]) for message in call.answers]
    response = {
        "id": call.id,
        "object": "text_completion",
        "model": call.response_model,
        "choices": [
            known({"index": index, "text": text, "finish_reason": _finish_reason(call, index)}, "text")
            for index, text in enumerate(texts)
        ],
        "usage": chat_usage(call.usage),
    }
    return known(request, "prompt"), known(response, "choices")


def embeddings_as_chat(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a request for embeddings where Helicone reads only chats: its texts are messages, too."""
    request, response = embeddings(call)
    request["messages"] = [{"role": "user", "content": text} for text in request["input"]]
    if not call.failure and call.vectors:
        response["choices"] = [
            {"index": index, "message": {"role": "assistant", "content": vector_text(index, vector)}}
            for index, vector in enumerate(call.vectors)
        ]
    return request, response


def vector_text(index: int, vector: list[Any]) -> str:
    """Return the text by which Helicone's pages show an embedding."""
    numbers = ", ".join(f"{number:.6f}" for number in vector[:_SHOWN_NUMBERS])
    return f"Embedding {index}: [{numbers}...]"


def error(call: Call) -> dict[str, Any]:
    """Return the body of an error.

    It has the model, because Helicone looks for that in the response first. Its lists show only `heliconeMessage`.
    """
    failure = call.failure
    if failure is None:
        return {}
    message = f"{failure.type}: {failure.message}" if failure.type else failure.message
    body = {"message": failure.message, "type": failure.type, "heliconeMessage": message}
    return known({"error": known(body, "message"), "model": call.response_model})


def chat_usage(usage: Usage) -> dict[str, Any]:
    """Return tokens as OpenAI's chats count them: the input with those of the cache."""
    return known(
        {
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.total,
            "prompt_tokens_details": _details({"cached_tokens": usage.cached, "cache_write_tokens": usage.written}),
            "completion_tokens_details": _details({"reasoning_tokens": usage.reasoning}),
        }
    )


def _details(tokens: dict[str, int | None]) -> dict[str, int]:
    return {name: number for name, number in tokens.items() if number is not None}


def _response_usage(usage: Usage) -> dict[str, Any]:
    return known(
        {
            "input_tokens": usage.input,
            "output_tokens": usage.output,
            "total_tokens": usage.total,
            "input_tokens_details": _details({"cached_tokens": usage.cached}),
            "output_tokens_details": _details({"reasoning_tokens": usage.reasoning}),
        }
    )


def _choices(call: Call) -> list[dict[str, Any]]:
    answers = [one for message in call.answers for one in _chat_messages(message)]
    # The finish reasons are known also where the answers were not recorded.
    answers = answers or [{"role": "assistant", "content": None} for reason in call.finish_reasons if reason]
    choices: list[dict[str, Any]] = []
    for index, answer in enumerate(answers):
        reason = _finish_reason(call, index)
        choices.append({"index": index, "message": answer, **({"finish_reason": reason} if reason else {})})
    return choices


def _finish_reason(call: Call, index: int) -> str:
    reasons = call.finish_reasons
    reason = reasons[index] if index < len(reasons) else next(iter(reasons), "")
    return _FINISH_REASONS.get(reason.lower(), reason)


def _chat_messages(message: Message) -> list[dict[str, Any]]:
    """Return a message. The results of tools become messages of their own."""
    if len(message.parts) == 1 and message.parts[0].kind == "text" and not message.name:  # the usual case
        return [{"role": message.role, "content": text_of(message.parts[0].value)}]
    results = [_chat_result(part) for part in message.parts if part.kind == "result"]
    contents = [part for part in message.parts if part.kind in ("text", "other") and part.value != ""]
    calls = [_chat_call(part) for part in message.parts if part.kind == "call"]
    reasoning = "\n".join(text_of(part.value) for part in message.parts if part.kind == "reasoning")
    if results and not contents and not calls:
        return results
    whole = {
        "role": message.role,
        "name": message.name,
        "content": _chat_content(contents) if contents else None if calls else "",
        "reasoning": reasoning,
        "tool_calls": calls,
    }
    return [known(whole, "content"), *results]


def _chat_content(parts: list[Part]) -> str | list[dict[str, Any]]:
    if all(part.kind == "text" for part in parts):
        if len(parts) == 1:
            return text_of(parts[0].value)
        return [{"type": "text", "text": text_of(part.value)} for part in parts]
    return [
        {"type": "text", "text": text_of(part.value)} if part.kind == "text" else _chat_other(part.value)
        for part in parts
    ]


def _chat_other(value: Any) -> dict[str, Any]:
    if url := data_url(value):
        return {"type": "image_url", "image_url": {"url": url}}
    return value if isinstance(value, dict) else {"type": "text", "text": text_of(value)}


def _chat_call(part: Part) -> dict[str, Any]:
    function = {"name": part.name, "arguments": _arguments(part.value)}
    return known({"id": part.id, "type": "function", "function": function})


def _arguments(value: Any) -> str:
    """Return arguments as JSON. Helicone shows no others."""
    return dump(value) if value != "" else ""


def _chat_result(part: Part) -> dict[str, Any]:
    return known(
        {"role": "tool", "tool_call_id": part.id, "name": part.name, "content": text_of(part.value)}, "content"
    )


def _items(message: Message, text: str) -> list[dict[str, Any]]:
    """Return the items of the Responses API that a message becomes.

    Args:
        message: The message.
        text: The type of its texts: `input_text` or `output_text`.
    """
    contents = [part for part in message.parts if part.kind in ("text", "other")]
    items: list[dict[str, Any]] = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": text_of(part.value)}]}
        for part in message.parts
        if part.kind == "reasoning"
    ]
    if contents:
        content = [
            {"type": text, "text": text_of(part.value)} if part.kind == "text" else _chat_other(part.value)
            for part in contents
        ]
        items.append({"type": "message", "role": message.role, "content": content})
    for part in message.parts:
        if part.kind == "call":
            arguments = _arguments(part.value)
            items.append({"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments})
        elif part.kind == "result":
            items.append({"type": "function_call_output", "call_id": part.id, "output": text_of(part.value)})
    return items

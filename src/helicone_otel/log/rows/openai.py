"""Writes OpenAI's bodies: of chats, completions, responses and embeddings.

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from typing import Any, Final

from .call import Call, Usage
from .forms import image_url
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
# Helicone's pages leave out messages that have calls of tools but no content, so these get one: a blank.
_BLANK: Final = " "
# The text that Helicone's list shows of an image.
IMAGE: Final = "[Image]"
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
    # The finish reasons are known also where the answers were not recorded.
    unknown = [[{"role": "assistant", "content": None}] for reason in call.finish_reasons if reason]
    choices: list[dict[str, Any]] = []
    for index, answers in enumerate(map(_answers, call.answers) if call.answers else unknown):
        reason = _finish_reason(call, index)
        first, *more = answers
        choices.append({"index": index, "message": first, **({"finish_reason": reason} if reason else {})})
        choices += [{"index": index, "message": one} for one in more]
    return choices


def _finish_reason(call: Call, index: int) -> str:
    reasons = call.finish_reasons
    reason = reasons[index] if index < len(reasons) else next(iter(reasons), "")
    return _FINISH_REASONS.get(reason.lower(), reason)


def _chat_messages(message: Message) -> list[dict[str, Any]]:
    """Return a message of a request.

    The results of tools become messages of their own, and so does reasoning beside calls, which Helicone does not read.
    """
    if (text := _only_text(message)) is not None:
        return [{"role": message.role, "content": text}]
    results = [_chat_result(part) for part in message.parts if part.kind == "result"]
    contents = [part for part in message.parts if part.kind in ("text", "other") and part.value != ""]
    calls = [_chat_call(part) for part in message.parts if part.kind == "call"]
    reasoning = _reasoning(message)
    if results and not contents and not calls:
        return results
    content = _chat_content(contents) if contents else _BLANK if calls else ""
    if reasoning and calls:
        return [_thought(message, reasoning), _whole(message, content, calls=calls), *results]
    return [_whole(message, content, reasoning=reasoning, calls=calls), *results]


def _answers(message: Message) -> list[dict[str, Any]]:
    """Return an answer, of which Helicone's list shows the first message: as one text, or else its calls.

    Images become a message of their own after that, and so does reasoning beside calls.
    """
    if (text := _only_text(message)) is not None:
        return [{"role": message.role, "content": text}]
    others = [part for part in message.parts if part.kind == "other"]
    calls = [part for part in message.parts if part.kind == "call"]
    text, beside = _with_text(_texts_of(message) or calls_text(calls), others)
    reasoning = _reasoning(message)
    results = [_chat_result(part) for part in message.parts if part.kind == "result"]
    first = _whole(message, text, reasoning="" if calls else reasoning, calls=list(map(_chat_call, calls)))
    made = [first] if text or reasoning or not results else []
    if calls and reasoning:
        made.append(_thought(message, reasoning))
    if beside:
        made.append({"role": message.role, "content": _chat_content(beside)})
    return [*made, *results]


def _thought(message: Message, reasoning: str) -> dict[str, Any]:
    return {"role": message.role, "content": "", "reasoning": reasoning}


def _whole(message: Message, content: Any, *, reasoning: str = "", calls: list[dict[str, Any]]) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "role": message.role,
        "name": message.name,
        "content": content,
        "reasoning": reasoning,
        "tool_calls": calls,
    }
    return known(whole, "content")


def _only_text(message: Message) -> str | None:
    """Return the content of a message that is one text and nothing else, which is the usual case."""
    if len(message.parts) == 1 and message.parts[0].kind == "text" and not message.name:
        return text_of(message.parts[0].value)
    return None


def _reasoning(message: Message) -> str:
    return "\n".join(text_of(part.value) for part in message.parts if part.kind == "reasoning")


def _texts_of(message: Message) -> str:
    """Return the texts of a message as one."""
    return "\n".join(text_of(part.value) for part in message.parts if part.kind == "text" and part.value != "")


def calls_text(calls: list[Part]) -> str:
    """Return calls of tools as Helicone's list shows them."""
    return "\n".join(f"{part.name}({_arguments(part.value) or '{}'})" for part in calls)


def _chat_content(parts: list[Part]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and parts[0].kind == "text":
        return text_of(parts[0].value)
    return [
        {"type": "text", "text": text_of(part.value)} if part.kind == "text" else _chat_other(part.value)
        for part in parts
    ]


def _chat_other(value: Any) -> dict[str, Any]:
    if url := image_url(value):
        return {"type": "image_url", "image_url": {"url": url}}
    # Helicone shows other parts as JSON, and fails at an image that has no URL.
    is_read = isinstance(value, dict) and value.get("type") not in ("text", "image_url")
    return value if is_read else {"type": "text", "text": text_of(value)}


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

    Calls of tools have a message with their text in front of them, because Helicone's pages leave them out.

    Args:
        message: The message.
        text: The type of its texts: `input_text` or `output_text`.
    """
    contents = [part for part in message.parts if part.kind in ("text", "other") and part.value != ""]
    calls = [part for part in message.parts if part.kind == "call"]
    items: list[dict[str, Any]] = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": text_of(part.value)}]}
        for part in message.parts
        if part.kind == "reasoning"
    ]
    if contents:
        content = (
            _answered(message, contents) if text == "output_text" else [_item_part(part, text) for part in contents]
        )
        items.append({"type": "message", "role": message.role, "content": content})
    if calls:
        content = [{"type": text, "text": calls_text(calls)}]
        items.append({"type": "message", "role": message.role, "content": content})
    for part in message.parts:
        if part.kind == "call":
            arguments = _arguments(part.value)
            items.append({"type": "function_call", "call_id": part.id, "name": part.name, "arguments": arguments})
        elif part.kind == "result":
            items.append({"type": "function_call_output", "call_id": part.id, "output": text_of(part.value)})
    return items


def _answered(message: Message, contents: list[Part]) -> list[dict[str, Any]]:
    """Return the content of an answer, of which Helicone reads the first text."""
    text, beside = _with_text(_texts_of(message), [part for part in contents if part.kind == "other"])
    return [{"type": "output_text", "text": text}, *(_item_part(part, "output_text") for part in beside)]


def _with_text(said: str, others: list[Part]) -> tuple[str, list[Part]]:
    """Return the text of an answer, and the other parts that are shown beside it.

    Without a text, the word for an image stands there, or else the other parts as JSON.
    """
    if said or any(image_url(part.value) for part in others):
        return said or IMAGE, others
    return "\n".join(text_of(part.value) for part in others), []


def _item_part(part: Part, text: str) -> dict[str, Any]:
    if part.kind == "other" and (url := image_url(part.value)):
        return {"type": "input_image", "image_url": url}
    # Helicone shows bars that never end for other types.
    return {"type": text, "text": text_of(part.value)}

"""The parts of OpenAI's API that the demo's agent uses, with their checks.

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import base64
import json
import struct
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from .answers import Answer, Body, RefusedError, check_fields, mappings
from .replies import embedding_of, reply_to, tokens

_CHAT_MODELS: Final = frozenset({"gpt-5.4-mini"})
_EMBEDDING_MODELS: Final = frozenset({"text-embedding-3-small"})
_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool"})
_CHAT_OPTIONS: Final[Mapping[str, type]] = {"stream": bool, "stream_options": dict, "tools": list, "user": str}


def chat(body: Body, _: Mapping[str, str]) -> Answer:
    """Answer `POST /v1/chat/completions`."""
    check_fields(body, {"model": str, "messages": list}, _CHAT_OPTIONS)
    model = _known(body["model"], _CHAT_MODELS)
    messages = mappings(body["messages"], "messages")
    _check_messages(messages)
    prompt = "\n".join(str(message.get("content") or "") for message in messages)
    if calls := _tool_calls(messages, mappings(body.get("tools", []), "tools")):
        return Answer(
            200, _completion(model, prompt, {"content": None, "tool_calls": calls}, "tool_calls"), seconds=0.15
        )
    reply = reply_to(prompt)
    if body.get("stream"):
        return Answer(200, events=tuple(_chunks(model, reply)), seconds=0.3)
    return Answer(200, _completion(model, prompt, {"content": reply}, "stop"), seconds=0.15)


def embeddings(body: Body, _: Mapping[str, str]) -> Answer:
    """Answer `POST /v1/embeddings`."""
    check_fields(body, {"model": str, "input": object}, {"encoding_format": str, "dimensions": int, "user": str})
    model = _known(body["model"], _EMBEDDING_MODELS)
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise _invalid("'input' must be a text or a list of texts, none of them empty.", "input")
    as_base64 = body.get("encoding_format", "float") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(embedding_of(text), as_base64=as_base64)}
        for index, text in enumerate(texts)
    ]
    count = sum(tokens(text) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return Answer(200, {"object": "list", "data": data, "model": model, "usage": usage}, seconds=0.06)


def refusal(refused: RefusedError) -> Answer:
    """Return a refusal in OpenAI's form."""
    error = {
        "message": refused.message,
        "type": "invalid_request_error",
        "param": refused.field_name,
        "code": refused.kind,
    }
    return Answer(refused.status, {"error": error})


def _known(model: object, models: frozenset[str]) -> str:
    if not isinstance(model, str) or model not in models:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise RefusedError(404, "model_not_found", message, "model")
    return model


def _check_messages(messages: Sequence[Body]) -> None:
    asked: set[object] = set()
    for index, message in enumerate(messages):
        role = message.get("role")
        if role not in _ROLES:
            raise _invalid(f"Invalid role {role!r}.", f"messages[{index}].role")
        if role == "tool" and message.get("tool_call_id") not in asked:
            raise _invalid("A 'tool' message must answer a preceding 'tool_calls'.", f"messages[{index}].tool_call_id")
        if not isinstance(message.get("content"), str | list) and not message.get("tool_calls"):
            raise _invalid("A message needs 'content'.", f"messages[{index}].content")
        asked |= {call.get("id") for call in mappings(message.get("tool_calls", []), "tool_calls")}


def _tool_calls(messages: Sequence[Body], tools: Sequence[Body]) -> list[Body]:
    """Let the model ask for a tool, there and back, unless it was told already."""
    if not tools or messages[-1]["role"] == "tool":
        return []
    function = tools[0].get("function")
    if not isinstance(function, dict) or not function.get("name"):
        raise _invalid("Missing required parameter: 'tools[0].function.name'.", "tools")
    ways = ({"origin": "Lisbon", "destination": "Porto"}, {"origin": "Porto", "destination": "Lisbon"})
    return [
        {"id": _id("call"), "type": "function", "function": {"name": function["name"], "arguments": json.dumps(way)}}
        for way in ways
    ]


def _completion(model: str, prompt: str, message: Body, finish_reason: str) -> Body:
    choice = {"index": 0, "message": {"role": "assistant", "refusal": None, **message}, "finish_reason": finish_reason}
    before, after = tokens(prompt), tokens(json.dumps(message))
    usage = {"prompt_tokens": before, "completion_tokens": after, "total_tokens": before + after}
    return {**_head("chat.completion", model), "choices": [choice], "usage": usage}


def _chunks(model: str, reply: str) -> Iterator[tuple[str, str]]:
    head = _head("chat.completion.chunk", model)
    deltas: list[Body] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"{word} "} for word in reply.split()]
    for delta in deltas:
        yield "", json.dumps({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield "", json.dumps({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield "", "[DONE]"


def _head(kind: str, model: str) -> Body:
    return {"id": _id("chatcmpl"), "object": kind, "created": int(time.time()), "model": f"{model}-2026-03-17"}


def _encoded(vector: list[float], *, as_base64: bool) -> str | list[float]:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if as_base64 else vector


def _invalid(message: str, field_name: str) -> RefusedError:
    return RefusedError(400, "invalid_value", message, field_name)


def _id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex}"

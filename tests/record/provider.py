"""A fake of the providers' APIs on loopback, with all fields that their answers have."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from helicone_otel.tools.fakes.loopback import LoopbackServer, QuietHandler
from helicone_otel.tools.fakes.provider import as_event_stream, openai_error

TEXT = "Hello from fake"
TOOL = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
Body = dict[str, Any]
_CHAT = {
    "id": "chatcmpl-fake1",
    "created": 0,
    "model": "gpt-4o-mini-2024-07-18",
    "service_tier": "default",
    "system_fingerprint": "fp_fake",
}
_CHAT_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
_MESSAGE_USAGE = {
    "input_tokens": 12,
    "output_tokens": 5,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


def _calls_a_tool(body: Body) -> bool:
    """Tell whether the answer calls a tool: only once, or agents would never end."""
    return bool(body.get("tools")) and body["messages"][-1]["role"] != "tool"


def _fields(body: Body) -> str:
    """Return values for the fields that DSPy asks for in the last message."""
    content = body["messages"][-1]["content"]
    names = re.findall(r"`\[\[ ## (\w+) ## \]\]`", content) if isinstance(content, str) else ()
    known = {"next_tool_name": TOOL["name"], "next_tool_args": TOOL["arguments"]}
    return "\n\n".join(f"[[ ## {name} ## ]]\n{known.get(name, TEXT)}" for name in names)


# https://platform.openai.com/docs/api-reference/chat
def _chat(body: Body) -> Body:
    message: Body = {"role": "assistant", "content": _fields(body) or TEXT, "refusal": None}
    calls = _calls_a_tool(body)
    if calls:
        message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": TOOL}]}
    finish = "tool_calls" if calls else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
    return {**_CHAT, "object": "chat.completion", "choices": [choice], "usage": _CHAT_USAGE}


def _chat_events(body: Body) -> Iterator[tuple[str, Any]]:
    head = {**_CHAT, "object": "chat.completion.chunk"}
    del head["service_tier"], head["system_fingerprint"]
    delta_of_answer: Body = {"content": TEXT}
    if _calls_a_tool(body):
        delta_of_answer = {"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": TOOL}]}
    finish = "tool_calls" if "tool_calls" in delta_of_answer else "stop"
    for delta, reason in (({"role": "assistant", "content": ""}, None), (delta_of_answer, None), ({}, finish)):
        yield "", {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    if (body.get("stream_options") or {}).get("include_usage"):
        yield "", {**head, "choices": [], "usage": _CHAT_USAGE}
    yield "", "[DONE]"


# https://platform.openai.com/docs/api-reference/responses
def _response(body: Body) -> Body:
    text = {"type": "output_text", "text": TEXT, "annotations": []}
    message = {"id": "m1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    usage = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17}
    details = {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": "resp_fake1",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": "gpt-4o-mini-2024-07-18",
        "output": [message],
        "usage": {**usage, **details},
        "service_tier": "default",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "instructions": body.get("instructions"),
        "conversation": {"id": body["conversation"]} if "conversation" in body else None,
    }


def _response_events(body: Body) -> Iterator[tuple[str, Any]]:
    whole = _response(body)
    yield (
        "",
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**whole, "status": "in_progress", "output": []},
        },
    )
    position = {"item_id": "m1", "output_index": 0, "content_index": 0}
    yield "", {"type": "response.output_text.delta", "sequence_number": 1, "delta": TEXT, "logprobs": [], **position}
    yield "", {"type": "response.completed", "sequence_number": 2, "response": whole}


def _embeddings(body: Body) -> Body:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.5, 0.5, 0.5]}]
    return {
        "id": "emb-fake1",
        "object": "list",
        "data": data,
        "model": body["model"],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }


def _moderation(_: Body) -> Body:
    return {
        "id": "modr-1",
        "model": "omni-moderation-latest",
        "results": [{"flagged": False, "categories": {}, "category_scores": {}}],
    }


# https://docs.anthropic.com/en/api/messages
def _message(body: Body) -> Body:
    text = {"type": "text", "text": TEXT}
    tool = {"type": "tool_use", "id": "toolu_1", "name": TOOL["name"], "input": {"city": "Paris"}}
    content, reason = ([tool], "tool_use") if body.get("tools") else ([text], "end_turn")
    return {**_message_head(body), "content": content, "stop_reason": reason, "usage": _MESSAGE_USAGE}


def _message_head(body: Body) -> Body:
    head = {"id": "msg_fake1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
    return {**head, "stop_reason": None, "stop_sequence": None, "usage": {**_MESSAGE_USAGE, "output_tokens": 1}}


def _message_events(body: Body) -> Iterator[tuple[str, Any]]:
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    for name, data in (
        ("message_start", {"message": _message_head(body)}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": TEXT}}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": end, "usage": {"output_tokens": 5}}),
        ("message_stop", {}),
    ):
        yield name, {"type": name, **data}


# https://ai.google.dev/api/generate-content
def _generated(body: Body) -> Body:
    part: Body = {"text": TEXT}
    if body.get("tools") and "functionResponse" not in body["contents"][-1]["parts"][-1]:
        part = {"functionCall": {"name": TOOL["name"], "args": json.loads(TOOL["arguments"])}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash", "responseId": "g1"}


def _generated_events(body: Body) -> Iterator[tuple[str, Any]]:
    yield "", _generated(body)


def _embedded(_: Body) -> Body:
    return {"embeddings": [{"values": [0.5, 0.5, 0.5, 0.5]}]}


# https://docs.aws.amazon.com/bedrock/latest/APIReference
def _conversed(_: Body) -> Body:
    message = {"role": "assistant", "content": [{"text": TEXT}]}
    usage = {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17}
    return {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}}


def _invoked(_: Body) -> Body:
    return {"embedding": [0.5, 0.5, 0.5, 0.5], "inputTextTokenCount": 4}


def _retrieved(_: Body) -> Body:
    return {"retrievalResults": [{"content": {"text": "alpha doc"}, "score": 0.5}]}


def _guarded(_: Body) -> Body:
    return {"usage": {}, "action": "NONE", "outputs": [], "assessments": []}


_ANSWERS: dict[str, tuple[Callable[[Body], Body], Callable[[Body], Iterator[tuple[str, Any]]] | None]] = {
    "/chat/completions": (_chat, _chat_events),
    "/responses": (_response, _response_events),
    "/embeddings": (_embeddings, None),
    "/moderations": (_moderation, None),
    "/messages": (_message, _message_events),
    ":generateContent": (_generated, None),
    ":streamGenerateContent": (_generated, _generated_events),
    ":batchEmbedContents": (_embedded, None),
    "/converse": (_conversed, None),
    "/invoke": (_invoked, None),
    "/retrieve": (_retrieved, None),
    "/apply": (_guarded, None),
}


class Provider(LoopbackServer):
    """A server that answers every call, and calls of the model `boom` with an error."""

    def __init__(self) -> None:
        super().__init__(_Handler)


class _Handler(QuietHandler):
    def do_POST(self) -> None:  # noqa: N802  # http.server's name
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = next((end for end in _ANSWERS if self.path.partition("?")[0].endswith(end)), None)
        if path is None:
            self._send(404, "application/json", json.dumps(openai_error("There is no such thing.")).encode())
            return
        answer, events = _ANSWERS[path]
        if body.get("model") == "boom":
            error = {"type": "error", **openai_error("The model is broken.")}
            self._send(400, "application/json", json.dumps(error).encode())
        elif events is not None and (body.get("stream") or path.startswith(":stream")):
            self._send(200, "text/event-stream", as_event_stream(events(body)))
        else:
            self._send(200, "application/json", json.dumps(answer(body)).encode())

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

"""The part of Anthropic's API that the demo's agent uses, with its checks.

https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from .answers import Answer, Body, RefusedError, check_fields, mappings
from .replies import reply_to, tokens

_MODELS: Final = frozenset({"claude-sonnet-5"})
_OPTIONS: Final[Mapping[str, type]] = {"stream": bool, "system": object, "metadata": dict}


def messages(body: Body, headers: Mapping[str, str]) -> Answer:
    """Answer `POST /v1/messages`."""
    if not headers.get("anthropic-version"):
        raise _invalid("anthropic-version: header is required")
    check_fields(body, {"model": str, "messages": list, "max_tokens": int}, _OPTIONS)
    if body["model"] not in _MODELS:
        raise RefusedError(404, "not_found_error", f"model: {body['model']}")
    turns = mappings(body["messages"], "messages")
    _check_turns(turns)
    prompt = "\n".join(str(turn["content"]) for turn in turns)
    reply = reply_to(prompt)
    if body.get("stream"):
        return Answer(200, events=tuple(_events(body, prompt, reply)), seconds=0.45)
    message = {**_message(body, prompt), "content": [{"type": "text", "text": reply}], "stop_reason": "end_turn"}
    return Answer(200, message, seconds=0.3)


def refusal(refused: RefusedError) -> Answer:
    """Return a refusal in Anthropic's form."""
    error = {"type": refused.kind, "message": refused.message}
    return Answer(refused.status, {"type": "error", "error": error, "request_id": f"req_{uuid.uuid4().hex}"})


def _check_turns(turns: Sequence[Body]) -> None:
    if turns[0].get("role") != "user":
        raise _invalid("messages: first message must use the user role")
    for index, turn in enumerate(turns):
        if turn.get("role") not in ("user", "assistant"):
            raise _invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'")
        if not turn.get("content") or not isinstance(turn["content"], str | list):
            raise _invalid(f"messages.{index}.content: Field required")


def _message(body: Body, prompt: str) -> Body:
    return {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": tokens(prompt), "output_tokens": 1},
    }


def _events(body: Body, prompt: str, reply: str) -> Iterator[tuple[str, str]]:
    def event(kind: str, **data: object) -> tuple[str, str]:
        return kind, json.dumps({"type": kind, **data})

    yield event("message_start", message=_message(body, prompt))
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    yield event("ping")
    for word in reply.split():
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": f"{word} "})
    yield event("content_block_stop", index=0)
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield event("message_delta", delta=end, usage={"output_tokens": tokens(reply)})
    yield event("message_stop")


def _invalid(message: str) -> RefusedError:
    return RefusedError(400, "invalid_request_error", message)

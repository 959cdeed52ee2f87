"""Reads the content of a request from a row of Helicone's log, in the one form that `API.md` describes.

The row is either one that was posted, or the one that the library makes of a span.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ...log.rows.content import Content
from ...log.rows.facts import facts_of
from ...log.rows.forms import image_url
from ...log.rows.jsonread import read
from ...log.rows.messages import Message, Part, first_text_or_number, is_part, messages_of
from ...log.rows.openai import IMAGE, calls_text
from ...log.rows.types import FinishedSpan
from ..redaction import redact, redact_json

_MAX_MATCHES: Final = 500
# Of what a user said, so many characters are read and kept for lists.
_MAX_READ: Final = 4000
_MAX_SAID: Final = 300
_MATCH_TEXTS: Final = ("text", "content", "document", "page_content", "payload")
_TOOL_RESULTS: Final = ("result", "data", "results")
# These fields of a `data` body only say what kind of body it is.
_BODY_KIND: Final = frozenset({"_type", "name", "toolName"})
# Where the bodies of OpenAI's two APIs, of Anthropic and of Google have messages.
_SYSTEM: Final = ("system", "instructions", "systemInstruction")
_INPUT: Final = ("messages", "input", "contents", "prompt")
_OUTPUT: Final = ("choices", "output", "content", "message", "messages", "candidates")
# The roles of messages that models write.
_OF_MODELS: Final = ("assistant", "model")
_FINISHES: Final = ("finish_reason", "stop_reason", "finishReason")


class RequestContent(NamedTuple):
    """The content of a request, as `API.md` describes it under `/api/request`; `None` where the kind has no such part.

    Attributes:
        messages: The conversation of an LLM call or an embedding.
        tool: The call of a tool.
        vector: The operation of a vector database.
        data: Input and output of any other work.
    """

    messages: list[dict[str, Any]] | None = None
    tool: dict[str, Any] | None = None
    vector: dict[str, Any] | None = None
    data: dict[str, Any] | None = None


def content_of(body: Mapping[str, Any]) -> RequestContent:
    """Return the content of a row.

    Args:
        body: The row as it is posted: https://docs.helicone.ai/getting-started/integration-method/custom
    """
    # Before anything is joined: in a text, many names of secrets are ambiguous.
    body = redact_json(body)
    request = body["providerRequest"].get("json") or {}
    response_fields = body["providerResponse"]
    answer = read(response_fields["textBody"]) if response_fields.get("textBody") else response_fields.get("json") or {}
    request = request if isinstance(request, dict) else {"input": request}
    response: Mapping[str, Any] = answer if isinstance(answer, dict) else {"result": answer}
    match request.get("_type"):
        case None:
            return RequestContent(messages=[one for one in _conversation(request, answer) if one["parts"]])
        case "tool":
            result = next((response[key] for key in _TOOL_RESULTS if key in response), None)
            return RequestContent(
                tool={"name": request.get("toolName"), "input": request.get("input"), "result": result}
            )
        case "vector_db":
            return RequestContent(vector=_vector(request, response))
        case _:
            return RequestContent(data={"input": _without_kind(request), "output": _without_kind(response)})


def calls_tools(answer: Any) -> bool:
    """Tell whether the answer of a model, as the response of a posted row has it, calls tools."""
    return any(part.kind == "call" for message in _messages(_answer_in(answer), "assistant") for part in message.parts)


def said_in(request: Mapping[str, Any]) -> str | None:
    """Return what the user said last in the request of a posted row, short and without secrets."""
    messages = next((request[key] for key in _INPUT if request.get(key)), None)
    return said_by_user(_messages(messages, "user"))


def said_on(span: FinishedSpan, kind: str) -> str | None:
    """Return the same from the spans of a call of a kind."""
    return said_by_user(facts_of(span, kind, Content()).messages("messages"))


def said_by_user(messages: Iterable[Message]) -> str | None:
    """Return what the user said last in a conversation, short and without secrets; `None` if nothing is known of it."""
    said = [message for message in messages if message.role == "user"][-1:]
    texts = [str(part.value) for message in said for part in message.parts if part.kind == "text"]
    # Before it is cut to its length: a part of a secret would not be recognised.
    shown = (str(redact(redact_json(text[:_MAX_READ]))) for text in texts)
    text = " ".join(" ".join(shown)[:_MAX_READ].split())[:_MAX_SAID]
    return text.encode("utf-8", "replace").decode() or None


# --- messages ----------------------------------------------------------------------------------------


def _conversation(request: Mapping[str, Any], answer: Any) -> Iterator[dict[str, Any]]:
    system = next((request[key] for key in _SYSTEM if request.get(key)), None)
    messages = next((request[key] for key in _INPUT if request.get(key)), None)
    for value, role, side in (
        (system, "system", "input"),
        (messages, "user", "input"),
        (_answer_in(answer), "assistant", "output"),
    ):
        for message in _without_added_texts(list(_messages(value, role))):
            yield _message_data(message, side)


def _without_added_texts(messages: list[Message]) -> Iterator[Message]:
    """Yield messages without the texts that only repeat calls of tools, or stand for an image.

    Rows have them for Helicone's pages, in messages of the model.
    """
    parts = [part for message in messages for part in message.parts]
    texts = {calls_text([part]) for part in parts if part.kind == "call"}
    if any(image_url(part.value) for part in parts if part.kind == "other"):
        texts.add(IMAGE)
    for message in messages:
        if message.role not in _OF_MODELS:
            yield message
            continue
        has_calls = any(part.kind == "call" for part in message.parts)
        # A blank is no text beside calls either.
        repeats = texts | {" "} if has_calls else texts
        kept = [part for part in message.parts if part.kind != "text" or not _consists_of(part.value, repeats)]
        yield message._replace(parts=kept)


def _consists_of(text: str, lines: set[str]) -> bool:
    return lines.issuperset(text.split("\n"))


def _answer_in(answer: Any) -> Any:
    return next((answer[key] for key in _OUTPUT if answer.get(key)), None) if isinstance(answer, dict) else answer


def _messages(value: Any, role: str) -> Iterator[Message]:
    """Yield the messages of a value; those without a role get `role`."""
    value = read(value)
    if isinstance(value, list) and not any(isinstance(item, dict) for item in value):
        # The texts of an embedding, or its tokens as numbers.
        yield Message(role, [Part("text" if isinstance(item, str) else "other", item) for item in value])
        return
    items = value if isinstance(value, list) and not all(map(is_part, value)) else [value]
    for item in items:
        messages = messages_of(item, role)
        yield from [_completed(messages[0], item)] if len(messages) == 1 and isinstance(item, dict) else messages


def _completed(message: Message, item: Mapping[str, Any]) -> Message:
    """Return a message with refusal and finish reason, which stand beside the content in OpenAI's bodies."""
    inner = item["message"] if isinstance(item.get("message"), dict) else item
    refusal = inner.get("refusal") if inner.get("type") != "refusal" else None
    if isinstance(refusal, str) and refusal:
        message = message._replace(parts=[*message.parts, Part("text", refusal)])
    return message._replace(finish_reason=message.finish_reason or first_text_or_number(dict(item), _FINISHES))


def _message_data(message: Message, side: str) -> dict[str, Any]:
    finish = {"finish_reason": message.finish_reason} if message.finish_reason else {}
    return {"role": message.role, "from": side, **finish, "parts": [_part_data(part) for part in message.parts]}


def _part_data(part: Part) -> dict[str, Any]:
    match part.kind:
        case "text":
            value = read(part.value)
            return {"type": "text", "text": value} if isinstance(value, str) else {"type": "other", "value": value}
        case "call":
            return {"type": "tool_call", "id": part.id or None, "name": part.name or None, "arguments": part.value}
        case "result":
            return {"type": "tool_result", "id": part.id or None, "result": read(part.value)}
        case "reasoning":
            return {"type": "other", "value": {"type": "reasoning", "text": part.value}}
        case _:
            return {"type": "other", "value": part.value}


# --- everything else ---------------------------------------------------------------------------------


def _without_kind(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in _BODY_KIND}


def _vector(request: Mapping[str, Any], response: Mapping[str, Any]) -> dict[str, Any]:
    results = response.get("matches", response.get("results"))
    matches = [_match(one) for one in results if isinstance(one, dict)] if isinstance(results, list) else []
    return {
        "operation": request.get("operation"),
        "database": request.get("databaseName"),
        "collection": request.get("collection") or request.get("collectionId"),
        "query": read(request.get("query") or request.get("text")),
        "top_k": request.get("topK"),
        "filter": request.get("filter"),
        "matches": matches[:_MAX_MATCHES],
    }


def _match(document: Mapping[str, Any]) -> dict[str, Any]:
    identity, score = document.get("id"), document.get("score")
    try:
        number = float(score) if score is not None and not isinstance(score, bool) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    texts = (document.get(key) for key in _MATCH_TEXTS)
    return {
        "id": str(identity) if identity is not None else None,
        "score": number if number is not None and math.isfinite(number) else None,
        "text": next((read(text) for text in texts if text not in (None, "")), None),
        "metadata": read(document.get("metadata")),
    }

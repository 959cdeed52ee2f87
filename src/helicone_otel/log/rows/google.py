"""Gemini's bodies: https://ai.google.dev/api/generate-content.

The model stands in the path there. It stands in the bodies here too: not all of Helicone's endpoints keep the path.
"""

from __future__ import annotations

from typing import Any, Final

from .call import Call, Failure, Usage
from .forms import known
from .jsonread import text_of
from .messages import Message, Part, text_in

_FINISHES: Final = {
    "stop": "STOP",
    "end_turn": "STOP",
    "length": "MAX_TOKENS",
    "max_tokens": "MAX_TOKENS",
    "tool_call": "STOP",
    "tool_calls": "STOP",
}
_PARAMETERS: Final = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "n": "candidateCount",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_ROLES: Final = {"assistant": "model", "tool": "user"}


def generate_content(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a call to generateContent."""
    request = {
        "model": call.model,
        "systemInstruction": known({"parts": [{"text": text} for text in [text_in(call.system)] if text]}),
        "contents": [_content(message) for message in call.messages],
        "tools": [{"functionDeclarations": call.tools}] if call.tools else [],
        "generationConfig": {name: call.parameters[key] for key, name in _PARAMETERS.items() if key in call.parameters},
    }
    if call.failure:
        return known(request, "contents"), _error(call.failure)
    response = {
        "responseId": call.id,
        "model": call.answered,
        "modelVersion": call.answered,
        "candidates": _candidates(call),
        "usageMetadata": _usage(call.usage),
    }
    return known(request, "contents"), known(response, "candidates")


def embed(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a call to batchEmbedContents."""
    texts = [text for message in call.messages if (text := text_in([message]))]
    request = {"model": call.model, "requests": [{"content": {"parts": [{"text": text}]}} for text in texts]}
    if call.failure:
        return known(request, "requests"), _error(call.failure)
    response = {
        "model": call.answered,
        "embeddings": [{"values": vector} for vector in call.vectors],
        "usageMetadata": _usage(call.usage),
    }
    return known(request, "requests"), known(response, "embeddings")


def _candidates(call: Call) -> list[dict[str, Any]]:
    contents = [_content(message) for message in call.answers]
    contents = contents or [{"role": "model", "parts": []} for said in call.finishes if said]
    finishes = [*call.finishes, *[""] * len(contents)]
    return [
        known({"content": content, "finishReason": _FINISHES.get(said, said.upper()), "index": index})
        for index, (content, said) in enumerate(zip(contents, finishes, strict=False))
    ]


def _content(message: Message) -> dict[str, Any]:
    return {"role": _ROLES.get(message.role, message.role), "parts": [_part(part) for part in message.parts]}


def _part(part: Part) -> dict[str, Any]:
    match part.kind:
        case "call":
            return {"functionCall": known({"id": part.id, "name": part.name, "args": part.value}, "args")}
        case "result":
            result = part.value if isinstance(part.value, dict) else {"result": part.value}
            return {"functionResponse": known({"id": part.id, "name": part.name, "response": result}, "response")}
        case "reasoning":
            return {"text": text_of(part.value), "thought": True}
        case "text":
            return {"text": text_of(part.value)}
    value = part.value
    if isinstance(value, dict) and isinstance(value.get("content"), str) and value.get("type") == "blob":
        return {"inlineData": {"mimeType": value.get("mime_type"), "data": value["content"]}}
    return value if isinstance(value, dict) else {"text": text_of(value)}


def _usage(usage: Usage) -> dict[str, Any]:
    """Return tokens as Gemini counts them: those of the reasoning stand beside the others, not among them."""
    said = usage.output
    if said is not None and usage.reasoning and said >= usage.reasoning:
        said -= usage.reasoning
    return known(
        {
            "promptTokenCount": usage.input,
            "candidatesTokenCount": said,
            "totalTokenCount": usage.total,
            "cachedContentTokenCount": usage.cached,
            "thoughtsTokenCount": usage.reasoning,
        }
    )


def _error(failure: Failure) -> dict[str, Any]:
    return {"error": known({"code": failure.status, "message": failure.message, "status": failure.type}, "message")}

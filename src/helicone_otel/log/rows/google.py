"""Writes Gemini's bodies: https://ai.google.dev/api/generate-content.

They have members beside Gemini's own, because Helicone's pages do not show all that Gemini's have:

- the model, which Gemini has in the path, because not all of Helicone's endpoints keep the path;
- a text beside each call and result of a tool, because the pages show no messages without one;
- a text beside an image that only has an address;
- the texts of embeddings as contents, and their vectors as a candidate.
"""

from __future__ import annotations

from typing import Any, Final

from .call import Call, Usage
from .forms import image_url, inline_data
from .jsonread import known, text_of
from .messages import Message, Part, arguments_in, text_in
from .openai import calls_text, vector_text

# Finish reasons of other families.
_FINISH_REASONS: Final = {
    "stop": "STOP",
    "end_turn": "STOP",
    "length": "MAX_TOKENS",
    "max_tokens": "MAX_TOKENS",
    "tool_call": "STOP",
    "tool_calls": "STOP",
}
# By OpenAI's names.
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
_OF_TOOLS: Final = frozenset({"call", "result"})
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
        return known(request, "contents"), _error(call)
    response = {
        "responseId": call.id,
        "model": call.response_model,
        "modelVersion": call.response_model,
        "candidates": _candidates(call),
        "usageMetadata": _usage(call.usage),
    }
    return known(request, "contents"), known(response, "candidates")


def embed(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the bodies of a call to batchEmbedContents."""
    texts = [text for message in call.messages if (text := text_in([message]))]
    contents = [{"parts": [{"text": text}]} for text in texts]
    request = {"model": call.model, "requests": [{"content": content} for content in contents], "contents": contents}
    if call.failure:
        return known(request, "requests"), _error(call)
    response = {
        "model": call.response_model,
        "embeddings": [{"values": vector} for vector in call.vectors],
        "candidates": _vectors(call),
        "usageMetadata": _usage(call.usage),
    }
    return known(request, "requests"), known(response, "embeddings")


def _vectors(call: Call) -> list[dict[str, Any]]:
    texts = [vector_text(index, vector) for index, vector in enumerate(call.vectors)]
    return [{"content": {"role": "model", "parts": [{"text": "\n".join(texts)}]}}] if texts else []


def _candidates(call: Call) -> list[dict[str, Any]]:
    contents = [_content(message) for message in call.answers]
    contents = contents or [{"role": "model", "parts": []} for reason in call.finish_reasons if reason]
    reasons = [*call.finish_reasons, *[""] * len(contents)]
    return [
        known({"content": content, "finishReason": _FINISH_REASONS.get(reason.lower(), reason.upper()), "index": index})
        for index, (content, reason) in enumerate(zip(contents, reasons, strict=False))
    ]


def _content(message: Message) -> dict[str, Any]:
    parts = [_part(part) for part in message.parts]
    for number, part in enumerate(message.parts):
        if number and part.kind in _OF_TOOLS:
            parts[number]["text"] = "\n" + parts[number]["text"]  # Helicone joins the texts of an answer
    return {"role": _ROLES.get(message.role, message.role), "parts": parts}


def _part(part: Part) -> dict[str, Any]:
    match part.kind:
        case "call":
            call = known({"id": part.id, "name": part.name, "args": arguments_in(part)}, "args")
            return {"functionCall": call, "text": calls_text([part])}
        case "result":
            result = part.value if isinstance(part.value, dict) else {"result": part.value}
            answer = known({"id": part.id, "name": part.name, "response": result}, "response")
            return {"functionResponse": answer, "text": text_of(part.value)}
        case "reasoning":
            return {"text": text_of(part.value), "thought": True}
        case "text":
            return {"text": text_of(part.value)}
    return _image(url) if (url := image_url(part.value)) else {"text": text_of(part.value)}


def _image(url: str) -> dict[str, Any]:
    if (inline := inline_data(url)) is not None:
        media_type, content = inline
        return {"inlineData": {"mimeType": media_type, "data": content}}
    return {"fileData": {"fileUri": url}, "text": url}


def _usage(usage: Usage) -> dict[str, Any]:
    """Return tokens as Gemini counts them: the output without those of the reasoning."""
    output = usage.output
    if output is not None and usage.reasoning and output >= usage.reasoning:
        output -= usage.reasoning
    return known(
        {
            "promptTokenCount": usage.input,
            "candidatesTokenCount": output,
            "totalTokenCount": usage.total,
            # Without this number Helicone's older reader does not read that of the prompt, and prices only the answer.
            "cachedContentTokenCount": usage.cached or 0 if usage.input is not None else usage.cached,
            "thoughtsTokenCount": usage.reasoning,
        }
    )


def _error(call: Call) -> dict[str, Any]:
    failure = call.failure
    if failure is None:
        return {}
    body = {"code": failure.status, "message": failure.message, "status": failure.type}
    return known({"error": known(body, "message"), "model": call.response_model})

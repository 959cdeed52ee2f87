"""One part of a message, in whatever form a family writes it."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from ._json import read, text_of, tidy

PartKind = Literal["text", "reasoning", "call", "result", "other"]


class Part(NamedTuple):
    """One part of a message.

    Attributes:
        kind: What it is.
        value: A text, a call's arguments, a call's result, or the part as it came.
        id: A call's id.
        name: A tool's name.
    """

    kind: PartKind
    value: Any
    id: str = ""
    name: str = ""


_PART_KINDS: Final[dict[str, PartKind]] = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "text",
    "reasoning": "reasoning",
    "thinking": "reasoning",
    "tool_call": "call",
    "tool_use": "call",
    "tool-call": "call",
    "function_call": "call",
    "function": "call",
    "server_tool_call": "call",
    "server_tool_use": "call",
    "tool_call_response": "result",
    "tool_result": "result",
    "tool-result": "result",
    "function_call_output": "result",
    "server_tool_call_response": "result",
    "image": "other",
    "image_url": "other",
    "input_image": "other",
    "input_audio": "other",
    "input_file": "other",
    "audio": "other",
    "document": "other",
    "blob": "other",
    "uri": "other",
    "file": "other",
}
# Parts that say what they are by the one key they have: Gemini's and Bedrock's.
_PART_KEYS: Final[dict[str, PartKind]] = {
    "functionCall": "call",
    "function_call": "call",
    "functionResponse": "result",
    "function_response": "result",
    "toolUse": "call",
    "toolResult": "result",
    "reasoningContent": "reasoning",
    "inlineData": "other",
    "fileData": "other",
    "image": "other",
    "document": "other",
}
_TEXTS: Final = ("content", "text", "thinking", "reasoning", "summary", "refusal", "reasoningText")
IDS: Final = ("call_id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "id")
NAMES: Final = ("name", "toolName", "tool_name")
_ARGUMENTS: Final = ("arguments", "input", "args")
_RESULTS: Final = ("response", "result", "content", "output")


def parts_of(value: object) -> list[Part]:
    """Return the parts of a message's content.

    A text that is JSON is what somebody said, unless it is a list of parts.
    """
    if isinstance(value, str) and value:
        found = read(value) if value.startswith("[") else None
        value = found if isinstance(found, list) and found and all(map(is_part, found)) else value
    if isinstance(value, list):
        return [part for item in value for part in ([part_of(item)] if type(item) is dict else parts_of(item))]
    if isinstance(value, dict):
        return [part_of(value)]
    return [] if value is None or value == "" else [Part("text", text_of(value))]


def is_part(value: object) -> bool:
    """Tell whether a value is a part of a message, and no message."""
    if not isinstance(value, dict) or "role" in value or "kwargs" in value:
        return False
    kind = value.get("type")
    if isinstance(kind, str):
        return kind in _PART_KINDS
    return "text" in value or (len(value) == 1 and not _PART_KEYS.keys().isdisjoint(value))


def part_of(value: dict[str, Any]) -> Part:
    """Return a part in whatever form it is written."""
    if value.get("type") == "text" and type(text := value.get("content")) is str:  # most are
        return Part("text", text)
    kind = _PART_KINDS.get(str(value.get("type")))
    if kind is None:
        inner = next((key for key in _PART_KEYS if isinstance(value.get(key), dict | list)), "")
        kind = _PART_KEYS.get(inner, "text" if "text" in value or "content" in value else "other")
        value = value[inner] if inner and kind != "other" and isinstance(value[inner], dict) else value
    if kind == "call":
        return call_of_tool(value)
    if kind == "result":
        given = next((value[key] for key in _RESULTS if value.get(key) is not None), "")
        return Part("result", tidy(given), first_of(value, IDS), first_of(value, NAMES))
    if kind == "other":
        return Part("other", tidy(value))
    return Part(kind, _text(next((value[key] for key in _TEXTS if value.get(key)), "")))


def _text(value: object) -> str:
    if isinstance(value, list):  # summaries of reasoning
        return "\n".join(_text(item) for item in value)
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    return text_of(value)


def call_of_tool(value: dict[str, Any]) -> Part:
    """Return the call of a tool."""
    function = value.get("function")
    inside = {**value, **function} if isinstance(function, dict) else value
    given: Any = next((inside[key] for key in _ARGUMENTS if inside.get(key) is not None), {})
    return Part("call", tidy(read(given)), first_of(inside, IDS), first_of(inside, NAMES))


def first_of(value: dict[str, Any], keys: tuple[str, ...]) -> str:
    """Return the first text or whole number under some keys, as a text."""
    for key in keys:
        if key not in value:
            continue
        found = value[key]
        if isinstance(found, str) and found:
            return found
        if isinstance(found, int) and not isinstance(found, bool):
            return text_of(found)
    return ""

"""Messages in whatever form a family writes them, as one: roles and parts.

OpenTelemetry's parts, OpenAI's chats and Responses, Anthropic's blocks, Gemini's contents, Bedrock's
Converse, LangChain's serialised messages, Vercel's. What is none of these is shown as it is, as a text.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from .jsonread import read, text_of, tidy

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


class Message(NamedTuple):
    """One message.

    Attributes:
        role: `system`, `user`, `assistant`, `tool`, or the family's own word.
        parts: What is said.
        name: The speaker's name.
        finish: Why an answer ended.
    """

    role: str
    parts: list[Part]
    name: str = ""
    finish: str = ""


_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "aimessagechunk": "assistant",
    "model": "assistant",
    "unknown": "assistant",
    "function": "tool",
}
_FINISHES: Final = ("finish_reason", "stop_reason", "finishReason")
_FINISHING: Final = frozenset(_FINISHES)
_KNOWN_ROLES: Final = frozenset({"system", "user", "assistant", "tool", "developer"})
_TALKING: Final = _KNOWN_ROLES - {"tool"}
_PLAIN: Final = frozenset({"role", "parts", "content", "finish_reason", "name"})
_CONTENTS: Final = ("parts", "content", "contents")
_MORE: Final = frozenset({"reasoning_content", "reasoning", "tool_calls", "function_call", "additional_kwargs"})
_REASONINGS: Final = ("reasoning_content", "reasoning")
# What holds the messages of a request or an answer, and what holds those to the system.
_ENVELOPES: Final = (
    *("messages", "contents", "input_messages", "choices", "candidates", "generations", "output", "input"),
    *("inputs", "prompt", "prompts", "texts", "query", "outputs", "combined_chunk_content", "message"),
)
_SYSTEMS: Final = ("system", "instructions", "systemInstruction", "system_instruction")
_WRAPPING: Final = frozenset({"lc", "message"})
_SPEAKING: Final = frozenset({"role", "parts", "content", "tool_calls"})
# A role for what in the Responses API is an item of its own.
_SPEAKERS: Final[dict[PartKind, str]] = {"call": "assistant", "result": "tool", "reasoning": "assistant"}


def messages_of(value: object, role: str) -> list[Message]:
    """Return the messages that a value holds; texts without a speaker are said by `role`."""
    value = read(value)
    if isinstance(value, str):
        return [Message(role, [Part("text", value)])] if value else []
    if isinstance(value, list):
        if value and all(map(is_part, value)) and not any(map(_is_item, value)):
            return [Message(role, [part_of(item) for item in value])]
        said: list[Message] = []
        for item in value:
            if type(item) is not dict:
                said += messages_of(item, role)
            elif (message := _of_one_text(item)) is not None:
                said.append(message)
            else:
                said += _of_object(item, role)
        return said
    if isinstance(value, dict):
        return _of_object(value, role)
    return [] if value is None else [Message(role, [Part("text", text_of(value))])]


def text_in(messages: list[Message]) -> str:
    """Return all that is said in messages as one text."""
    said = [text_of(part.value) for message in messages for part in message.parts]
    return "\n".join(text for text in said if text)


def _of_one_text(value: dict[str, Any]) -> Message | None:
    """Return a message of one text as OpenTelemetry and OpenAI write it, which most are; `None`: it is another."""
    role, text, finish = value.get("role"), value.get("content"), value.get("finish_reason", "")
    if type(role) is not str or role not in _TALKING or type(finish) is not str or not value.keys() <= _PLAIN:
        return None
    if "parts" in value:
        parts = value["parts"]
        if text is not None or type(parts) is not list or len(parts) != 1 or type(part := parts[0]) is not dict:
            return None
        text = part.get("content") if part.get("type") == "text" else None
    elif not text or type(text) is not str or text[0] == "[":  # may be a list of parts
        return None
    name = value.get("name")
    return Message(role, [Part("text", text)], name if type(name) is str else "", finish) if type(text) is str else None


def _of_object(value: dict[str, Any], role: str) -> list[Message]:  # a form each
    if "role" in value and _WRAPPING.isdisjoint(value):
        return [_message(value, role)]
    if value.get("lc") and isinstance(value.get("kwargs"), dict):
        return _of_object(_unpacked(value), role)
    if isinstance(read(value.get("message")), dict | list):
        return _chosen(value, role)
    if isinstance(value.get("content"), dict) and "role" not in value:  # Gemini's candidates
        return [_finished(message, value) for message in messages_of(value["content"], role)]
    if is_part(value):
        part = part_of(value)
        return [Message(_SPEAKERS.get(part.kind, role), [part])]
    return _enclosed(value, role) if _SPEAKING.isdisjoint(value) else [_message(value, role)]


def _enclosed(value: dict[str, Any], role: str) -> list[Message]:
    """Return the messages of a request or an answer; of an object that is none, the whole of it."""
    key = next((key for key in _ENVELOPES if value.get(key) not in (None, "", [])), "")
    system = next((messages_of(value[key], "system") for key in _SYSTEMS if value.get(key)), [])
    if key:
        return [*system, *messages_of(value[key], role)]
    return system or ([Message(role, [Part("text", text_of(value))])] if value else [])


def _unpacked(value: dict[str, Any]) -> dict[str, Any]:
    """Return a message that LangChain serialised: what made it, or only `{"messages": …}` around others."""
    inside = value["kwargs"]
    path = value.get("id")
    kind = str(path[-1]).lower() if isinstance(path, list) and path else ""
    return {"role": inside.get("type") or kind.removesuffix("chunk").removesuffix("message"), **inside}


def _chosen(value: dict[str, Any], role: str) -> list[Message]:
    """Return the message of one of an answer's choices."""
    message = read(value["message"])
    if isinstance(message, list):
        message = {"content": message}
    about = value["generation_info"] if isinstance(value.get("generation_info"), dict) else value
    return [_finished(said, about) for said in messages_of(message, role)]


def _finished(message: Message, about: dict[str, Any]) -> Message:
    return message if message.finish else message._replace(finish=first_of(about, _FINISHES))


def _message(value: dict[str, Any], role: str) -> Message:
    said = value.get("role")
    if isinstance(said, str) and said:
        role = said if said in _KNOWN_ROLES else _ROLES.get(said.lower(), said.lower())
    parts: list[Part] = []
    for key in _CONTENTS:
        if not parts and key in value:
            parts = parts_of(value[key])
    if not _MORE.isdisjoint(value):
        parts = _with_more(value, parts)
    if role == "tool" and not any(part.kind == "result" for part in parts):
        told = "\n".join(text_of(part.value) for part in parts)
        parts = [Part("result", told, first_of(value, IDS), first_of(value, NAMES))]
    name = value.get("name")
    finish = "" if _FINISHING.isdisjoint(value) else first_of(value, _FINISHES)
    return Message(role, parts, name if isinstance(name, str) else "", finish)


def _with_more(value: dict[str, Any], parts: list[Part]) -> list[Part]:
    """Return the parts of a message with what stands beside its content."""
    reasoning = next((value[key] for key in _REASONINGS if isinstance(value.get(key), str) and value[key]), None)
    before = [] if reasoning is None else [Part("reasoning", reasoning)]
    more = value.get("additional_kwargs")
    calls = read(value.get("tool_calls")) or (more.get("tool_calls") if isinstance(more, dict) else None)
    after = [call_of_tool(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    if isinstance(legacy := read(value.get("function_call")), dict):
        after.append(call_of_tool(legacy))
    told = {part.id for part in parts if part.kind == "call" and part.id}
    return [*before, *parts, *(call for call in after if call.id not in told)]


def _is_item(value: dict[str, Any]) -> bool:
    """Tell whether a part is an item of the Responses API, which stands among messages."""
    return value.get("type") in ("function_call", "function_call_output")

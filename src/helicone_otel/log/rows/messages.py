"""Reads messages of all families into one form: a role and parts.

It knows OpenTelemetry's parts, OpenAI's chats and Responses, Anthropic's blocks, Gemini's contents, Bedrock's
Converse, LangChain's serialised messages and Vercel's. What is none of these becomes a text.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

from .jsonread import read, text_of, tidy

PartKind = Literal["text", "reasoning", "call", "result", "other"]

# --- tables: messages -------------------------------------------------------------------------------

_KNOWN_ROLES: Final = frozenset({"system", "user", "assistant", "tool", "developer"})
_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "aimessagechunk": "assistant",
    "model": "assistant",
    "unknown": "assistant",
    "function": "tool",
}
# Roles whose messages are text. A message of a tool is a result.
_TEXT_ROLES: Final = _KNOWN_ROLES - {"tool"}
# The role of a part that the Responses API has beside messages.
_ROLES_OF_PARTS: Final[dict[PartKind, str]] = {"call": "assistant", "result": "tool", "reasoning": "assistant"}
_FINISH_REASONS: Final = ("finish_reason", "stop_reason", "finishReason")
_FINISH_REASONS_SET: Final = frozenset(_FINISH_REASONS)
# The keys that a message of one text has.
_KEYS_OF_ONE_TEXT: Final = frozenset({"role", "parts", "content", "finish_reason", "name"})
# Keys of a message, each a sign that an object is one.
_SIGNS_OF_MESSAGE: Final = frozenset({"role", "parts", "content", "tool_calls"})
# Keys of objects around a message, each a sign that the object is no message itself.
_SIGNS_OF_WRAPPING: Final = frozenset({"lc", "message"})
_CONTENTS: Final = ("parts", "content", "contents")
# Keys of a message that hold parts beside its content.
_BESIDE_CONTENT: Final = frozenset(
    {"reasoning_content", "reasoning", "tool_calls", "function_call", "additional_kwargs"}
)
_REASONINGS: Final = ("reasoning_content", "reasoning")
# Keys of a request or an answer that hold its messages.
_ENVELOPES: Final = (
    *("messages", "contents", "input_messages", "choices", "candidates", "generations", "output", "input"),
    *("inputs", "prompt", "prompts", "texts", "query", "outputs", "combined_chunk_content", "message"),
)
# Keys of a request that hold the messages of the system.
_SYSTEMS: Final = ("system", "instructions", "systemInstruction", "system_instruction")

# --- tables: parts ----------------------------------------------------------------------------------

# By the `type` of a part.
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
# By the one key of a part without a `type`: Gemini's and Bedrock's.
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
_IDS: Final = ("call_id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "id")
_NAMES: Final = ("name", "toolName", "tool_name")
_ARGUMENTS: Final = ("arguments", "input", "args")
_RESULTS: Final = ("response", "result", "content", "output")


class Message(NamedTuple):
    """One message.

    Attributes:
        role: `system`, `user`, `assistant`, `tool`, or another role of the family.
        parts: The content.
        name: The name of the author.
        finish_reason: Why an answer ended.
    """

    role: str
    parts: list[Part]
    name: str = ""
    finish_reason: str = ""


class Part(NamedTuple):
    """One part of a message.

    Attributes:
        kind: What it is.
        value: A text, the arguments of a call, the result of a call, or the part as it was written.
        id: The id of a call.
        name: The name of a tool.
    """

    kind: PartKind
    value: Any
    id: str = ""
    name: str = ""


def messages_of(value: object, role: str) -> list[Message]:
    """Return the messages in a value.

    Args:
        value: A text, a message, a list of messages or parts, a whole request or answer, or JSON of these.
        role: The role of messages that name none.
    """
    value = read(value)
    if isinstance(value, str):
        return [Message(role, [Part("text", value)])] if value else []
    if isinstance(value, list):
        return _of_list(value, role)
    if isinstance(value, dict):
        return _of_object(value, role)
    return [] if value is None else [Message(role, [Part("text", text_of(value))])]


def arguments_in(call: Part) -> Any:
    """Return the arguments of a call. Where none were written, they are an empty object, as providers have it."""
    return {} if call.value == "" else call.value


def text_in(messages: list[Message]) -> str:
    """Return the content of messages as one text."""
    texts = [text_of(part.value) for message in messages for part in message.parts]
    return "\n".join(text for text in texts if text)


def parts_of(value: object) -> list[Part]:
    """Return the parts of the content of a message.

    A text that is JSON stays a text, unless it is a list of parts.
    """
    if isinstance(value, str) and value:
        found = read(value) if value.startswith("[") else None
        value = found if isinstance(found, list) and found and all(map(is_part, found)) else value
    if isinstance(value, list):
        return [part for item in value for part in ([_part(item)] if type(item) is dict else parts_of(item))]
    if isinstance(value, dict):
        return [_part(value)]
    return [] if value is None or value == "" else [Part("text", text_of(value))]


# --- messages ---------------------------------------------------------------------------------------


def _of_list(value: list[Any], role: str) -> list[Message]:
    if value and all(map(is_part, value)) and not any(map(_is_item, value)):
        return [Message(role, [_part(item) for item in value])]
    messages: list[Message] = []
    for item in value:
        if type(item) is not dict:
            messages += messages_of(item, role)
        elif (message := _of_one_text(item)) is not None:
            messages.append(message)
        else:
            messages += _of_object(item, role)
    return messages


def _of_one_text(value: dict[str, Any]) -> Message | None:
    """Return a message of one text as OpenTelemetry and OpenAI write it; `None` if it is another.

    Most messages are of this form, and this is the fast way to read it.
    """
    role, text, finish = value.get("role"), value.get("content"), value.get("finish_reason", "")
    if (
        type(role) is not str
        or role not in _TEXT_ROLES
        or type(finish) is not str
        or not value.keys() <= _KEYS_OF_ONE_TEXT
    ):
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


def _of_object(value: dict[str, Any], role: str) -> list[Message]:  # one branch for each form
    if "role" in value and _SIGNS_OF_WRAPPING.isdisjoint(value):
        return [_message(value, role)]
    if value.get("lc") and isinstance(value.get("kwargs"), dict):
        return _of_object(_from_langchain(value), role)
    if isinstance(read(value.get("message")), dict | list):
        return _of_choice(value, role)
    if isinstance(value.get("content"), dict) and "role" not in value:  # one of Gemini's candidates
        return [_with_finish_reason(message, value) for message in messages_of(value["content"], role)]
    if is_part(value):
        part = _part(value)
        return [Message(_ROLES_OF_PARTS.get(part.kind, role), [part])]
    return _of_envelope(value, role) if _SIGNS_OF_MESSAGE.isdisjoint(value) else [_message(value, role)]


def _of_envelope(value: dict[str, Any], role: str) -> list[Message]:
    """Return the messages of a request or an answer. Any other object becomes the text of a message."""
    key = next((key for key in _ENVELOPES if value.get(key) not in (None, "", [])), "")
    system = next((messages_of(value[key], "system") for key in _SYSTEMS if value.get(key)), [])
    if key:
        return [*system, *messages_of(value[key], role)]
    return system or ([Message(role, [Part("text", text_of(value))])] if value else [])


def _from_langchain(value: dict[str, Any]) -> dict[str, Any]:
    """Return the message in what LangChain serialised: a message, or `{"messages": …}`."""
    inside = value["kwargs"]
    path = value.get("id")
    kind = str(path[-1]).lower() if isinstance(path, list) and path else ""
    return {"role": inside.get("type") or kind.removesuffix("chunk").removesuffix("message"), **inside}


def _of_choice(value: dict[str, Any], role: str) -> list[Message]:
    """Return the message of one of the choices of an answer."""
    message = read(value["message"])
    if isinstance(message, list):
        message = {"content": message}
    details = value["generation_info"] if isinstance(value.get("generation_info"), dict) else value
    return [_with_finish_reason(one, details) for one in messages_of(message, role)]


def _with_finish_reason(message: Message, details: dict[str, Any]) -> Message:
    return (
        message
        if message.finish_reason
        else message._replace(finish_reason=first_text_or_number(details, _FINISH_REASONS))
    )


def _message(value: dict[str, Any], role: str) -> Message:
    own = value.get("role")
    if isinstance(own, str) and own:
        role = own if own in _KNOWN_ROLES else _ROLES.get(own.lower(), own.lower())
    parts: list[Part] = []
    for key in _CONTENTS:
        if not parts and key in value:
            parts = parts_of(value[key])
    if not _BESIDE_CONTENT.isdisjoint(value):
        parts = _with_parts_beside(value, parts)
    if role == "tool" and not any(part.kind == "result" for part in parts):
        result = "\n".join(text_of(part.value) for part in parts)
        parts = [Part("result", result, first_text_or_number(value, _IDS), first_text_or_number(value, _NAMES))]
    name = value.get("name")
    finish = "" if _FINISH_REASONS_SET.isdisjoint(value) else first_text_or_number(value, _FINISH_REASONS)
    return Message(role, parts, name if isinstance(name, str) else "", finish)


def _with_parts_beside(value: dict[str, Any], parts: list[Part]) -> list[Part]:
    """Return the parts of a message, and the reasoning and calls that it has beside its content."""
    reasoning = next((value[key] for key in _REASONINGS if isinstance(value.get(key), str) and value[key]), None)
    before = [] if reasoning is None else [Part("reasoning", reasoning)]
    more = value.get("additional_kwargs")
    calls = read(value.get("tool_calls")) or (more.get("tool_calls") if isinstance(more, dict) else None)
    after = [_call(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    if isinstance(legacy := read(value.get("function_call")), dict):
        after.append(_call(legacy))
    known = {part.id for part in parts if part.kind == "call" and part.id}
    return [*before, *parts, *(call for call in after if call.id not in known)]


# --- parts ------------------------------------------------------------------------------------------


def is_part(value: object) -> bool:
    """Tell whether a value is a part of a message, and no message."""
    if not isinstance(value, dict) or "role" in value or "kwargs" in value:
        return False
    kind = value.get("type")
    if isinstance(kind, str):
        return kind in _PART_KINDS
    return "text" in value or (len(value) == 1 and not _PART_KEYS.keys().isdisjoint(value))


def _is_item(value: dict[str, Any]) -> bool:
    """Tell whether a part is one that the Responses API has beside messages."""
    return value.get("type") in ("function_call", "function_call_output")


def _part(value: dict[str, Any]) -> Part:
    """Return a part in whatever form it is written."""
    if value.get("type") == "text" and type(text := value.get("content")) is str:  # the usual case
        return Part("text", text)
    kind = _PART_KINDS.get(str(value.get("type")))
    if kind is None:
        inner = next((key for key in _PART_KEYS if isinstance(value.get(key), dict | list)), "")
        kind = _PART_KEYS.get(inner, "text" if "text" in value or "content" in value else "other")
        value = value[inner] if inner and kind != "other" and isinstance(value[inner], dict) else value
    if kind == "call":
        return _call(value)
    if kind == "result":
        result = next((value[key] for key in _RESULTS if value.get(key) is not None), "")
        return Part("result", tidy(result), first_text_or_number(value, _IDS), first_text_or_number(value, _NAMES))
    if kind == "other":
        return Part("other", tidy(value))
    return Part(kind, _text(next((value[key] for key in _TEXTS if value.get(key)), "")))


def _text(value: object) -> str:
    if isinstance(value, list):  # summaries of reasoning
        return "\n".join(_text(item) for item in value)
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        return str(value["text"])
    return text_of(value)


def _call(value: dict[str, Any]) -> Part:
    """Return the call of a tool."""
    function = value.get("function")
    inside = {**value, **function} if isinstance(function, dict) else value
    arguments: Any = next((inside[key] for key in _ARGUMENTS if inside.get(key) is not None), {})
    return Part("call", tidy(read(arguments)), first_text_or_number(inside, _IDS), first_text_or_number(inside, _NAMES))


def first_text_or_number(value: dict[str, Any], keys: tuple[str, ...]) -> str:
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

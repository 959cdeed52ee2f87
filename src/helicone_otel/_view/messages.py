"""Conversations: OpenAI's, Anthropic's and OpenTelemetry's shapes of messages, in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .unpack import unpacked

if TYPE_CHECKING:
    from .content import Event

_INPUT, _OUTPUT = "input", "output"
_ROLES: Final = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool"}
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/, as they were until 1.36: one event a message.
_EVENTS: Final = {
    "gen_ai.system.message": ("system", _INPUT),
    "gen_ai.user.message": ("user", _INPUT),
    "gen_ai.assistant.message": ("assistant", _INPUT),
    "gen_ai.tool.message": ("tool", _INPUT),
    "gen_ai.choice": ("assistant", _OUTPUT),
    "gen_ai.content.prompt": ("user", _INPUT),
    "gen_ai.content.completion": ("assistant", _OUTPUT),
}
# Attributes that hold all messages, and prefixes below which each has a number.
_LISTS: Final = (
    ("gen_ai.system_instructions", "system", _INPUT),
    ("gen_ai.input.messages", "user", _INPUT),
    ("gen_ai.output.messages", "assistant", _OUTPUT),
)
_NUMBERED: Final = (
    ("gen_ai.prompt", "user", _INPUT),
    ("llm.input_messages", "user", _INPUT),
    ("gen_ai.completion", "assistant", _OUTPUT),
    ("llm.output_messages", "assistant", _OUTPUT),
)
_LEVELS: Final = frozenset({"message", "tool_call", "message_content"})
_RESULTS: Final = frozenset({"tool_call_response", "tool_result", "tool_response", "function_call_output"})
_TOOL_CALLS: Final = frozenset({"tool_call", "tool_use", "function_call", "function"})
_TEXTS: Final = frozenset({"text", "input_text", "output_text"})
_MAX_DEPTH: Final = 16


def messages_of(
    attributes: Mapping[str, Any], events: Sequence[Event], inputs: Iterable[str], outputs: Iterable[str]
) -> list[dict[str, Any]]:
    """Return the messages that a span tells of; none if it tells of none.

    Args:
        attributes: The span's.
        events: The span's.
        inputs: Attributes in which frameworks write down whatever went in.
        outputs: Attributes in which they write down what came out.
    """
    found = [message for source in (_listed, _numbered) for message in source(attributes)]
    found = found or list(_from_events(events))
    if not found:
        found = [*_from_any(attributes, inputs, "user", _INPUT), *_from_any(attributes, outputs, "assistant", _OUTPUT)]
    return found


def messages_from(value: Any, role: str, side: str) -> Iterator[dict[str, Any]]:
    """Yield the messages that a value holds in whatever shape: a list, one, or a text."""
    value = unpacked(value)
    if isinstance(value, dict):
        for key in ("messages", "input", "choices", "output", "generations", "contents"):
            if isinstance(value.get(key), list):
                if value.get("system") and key == "messages":
                    yield from messages_from(value["system"], "system", side)
                yield from messages_from(value[key], role, side)
                return
    if isinstance(value, list) and value and all(_is_message(one) for one in value):
        for one in value:
            yield from messages_from(one, role, side) if isinstance(one, list) else [message_of(one, role, side)]
    elif value not in (None, "", [], {}):
        yield message_of(value, role, side)


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and bool({"role", "message", "parts"} & value.keys())


def message_of(value: Any, role: str, side: str) -> dict[str, Any]:
    """Return one message in the one form."""
    reason = None
    if isinstance(value, dict):
        reason = value.get("finish_reason") or value.get("stop_reason")
        value = value.get("message") if isinstance(value.get("message"), dict) else value
    held: Mapping[str, Any] = (
        value
        if isinstance(value, dict) and ("role" in value or "content" in value or "parts" in value)
        else {"content": value}
    )
    said = str(held.get("role") or role).lower()
    message: dict[str, Any] = {"role": _ROLES.get(said, said), "from": side}
    if reason or held.get("finish_reason"):
        message["finish_reason"] = str(reason or held.get("finish_reason"))
    message["parts"] = list(_parts(held))
    return message


def _parts(held: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    identity = held.get("tool_call_id") or (held.get("id") if held.get("role") == "tool" else None)
    content = held.get("parts", held.get("content", held.get("contents")))
    content = unpacked(content)
    if identity is not None:
        yield {"type": "tool_result", "id": str(identity), "result": content}
    elif isinstance(content, list):
        for part in content:
            yield _part(part)
    elif content not in (None, ""):
        yield _part(content)
    calls = unpacked(held.get("tool_calls"))
    for call in calls if isinstance(calls, list) else ():
        yield _part({"type": "tool_call", **call} if isinstance(call, dict) else call)
    if isinstance(held.get("refusal"), str) and held["refusal"]:
        yield {"type": "text", "text": held["refusal"]}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return {"type": "other", "value": part}
    type_ = str(part.get("type", "text" if "text" in part or "content" in part else ""))
    text = part.get("text", part.get("content"))
    if type_ in _TEXTS and isinstance(text, str):
        return {"type": "text", "text": text}
    if type_ in _RESULTS:
        identity = part.get("id") or part.get("tool_use_id") or part.get("call_id")
        result = next((part[key] for key in ("response", "result", "content", "output") if key in part), None)
        return {"type": "tool_result", "id": identity, "result": unpacked(result)}
    if type_ in _TOOL_CALLS:
        function = part["function"] if isinstance(part.get("function"), dict) else part
        arguments = next((function[key] for key in ("arguments", "input", "args") if key in function), None)
        return {
            "type": "tool_call",
            "id": part.get("id") or part.get("call_id"),
            "name": function.get("name"),
            "arguments": unpacked(arguments),
        }
    return {"type": "other", "value": part}


def _listed(attributes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key, role, side in _LISTS:
        value = unpacked(attributes.get(key))
        if key == "gen_ai.system_instructions" and isinstance(value, list):
            yield message_of({"role": role, "parts": value}, role, side)
        else:
            yield from messages_from(value, role, side)


def _numbered(attributes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for prefix, role, side in _NUMBERED:
        for one in _tree_of(attributes, prefix):
            yield message_of(one, role, side)


def _tree_of(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """Return what stands below a prefix as lists and mappings: `prefix.0.message.role` and the like."""
    root: dict[str, Any] = {}
    for key, value in attributes.items():
        if not key.startswith(f"{prefix}."):
            continue
        # OpenInference names the level again before each field: it says nothing.
        levels = [level for level in key[len(prefix) + 1 :].split(".") if level not in _LEVELS][:_MAX_DEPTH]
        at = root
        for level in levels[:-1]:
            following = at.setdefault(level, {})
            if not isinstance(following, dict):
                break
            at = following
        else:
            at[levels[-1]] = value
    listed = _with_lists(root)
    return listed if isinstance(listed, list) else []


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.isascii() and key.isdigit() for key in value):
        return [_with_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _with_lists(item) for key, item in value.items()}


def _from_events(events: Iterable[Event]) -> Iterator[dict[str, Any]]:
    for event in events:
        if event.name in _EVENTS:
            role, side = _EVENTS[event.name]
            held = {key.removeprefix("gen_ai."): unpacked(value) for key, value in event.attributes.items()}
            whole = held.get("event.content", held.get("prompt", held.get("completion", held)))
            yield from messages_from(whole, role, side)


def _from_any(attributes: Mapping[str, Any], keys: Iterable[str], role: str, side: str) -> list[dict[str, Any]]:
    key = next((key for key in keys if attributes.get(key) not in (None, "")), None)
    return list(messages_from(attributes[key], role, side)) if key is not None else []

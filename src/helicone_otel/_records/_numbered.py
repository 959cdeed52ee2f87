"""Lists and objects that are spread over attributes: `llm.input_messages.0.message.role`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ._json import read

_MAX_LEVELS: Final = 12
_MAX_DIGITS: Final = 9
# OpenInference names what a list holds once more at each of its items.
_NAMED_ONCE_MORE: Final = frozenset(
    {"message", "message_content", "tool_call", "document", "embedding", "tool", "image", "prompt", "completion"}
)
# Its instrumentation of Anthropic says with the one that a part is a call, and with the other which.
_PART_AND_CALL: Final = {"message_content", "tool_call"}


def gathered(prefix: str, keys: Iterable[str], attributes: Mapping[str, object]) -> list[Any]:
    """Return the list that attributes hold whose names begin with a prefix."""
    items: dict[str, Any] = {}
    for key in keys:
        levels = key[len(prefix) :].split(".", _MAX_LEVELS)
        if not _is_number(levels[0]):
            continue
        there: Any = items
        for level in levels[:-1]:
            there = there.setdefault(level, {}) if isinstance(there, dict) else None
        if isinstance(there, dict):
            there.setdefault(levels[-1], attributes[key])
    return [_plain(item) for _, item in sorted(items.items(), key=lambda pair: int(pair[0]))]


def _plain(node: Any) -> Any:
    if not isinstance(node, dict):
        return node if isinstance(node, str) else read(node)
    if all(map(_is_number, node)):
        return [_plain(item) for _, item in sorted(node.items(), key=lambda pair: int(pair[0]))]
    if len(node) == 1:
        (name,) = node
        if name in _NAMED_ONCE_MORE:
            return _plain(node[name])
    told = {name: _plain(item) for name, item in node.items()}
    if told.keys() == _PART_AND_CALL and all(isinstance(item, dict) for item in told.values()):
        return {**told["message_content"], **told["tool_call"]}
    return told


def _is_number(level: str) -> bool:
    return level.isdecimal() and level.isascii() and len(level) <= _MAX_DIGITS

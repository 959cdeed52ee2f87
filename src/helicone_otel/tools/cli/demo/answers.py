"""What a stand-in provider answers, or why it refuses; and the checks both providers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Body: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: a JSON body, or server-sent events.

    Attributes:
        events: Name and data of each event; an event without a name has only data.
        seconds: How long the model thinks.
    """

    status: int
    body: Body = field(default_factory=dict)
    events: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0


class RefusedError(Exception):
    """A request that the provider does not accept.

    Args:
        status: The HTTP status.
        kind: The provider's word for it.
        message: For people.
        field_name: The field of the request that is wrong, if one is.
    """

    def __init__(self, status: int, kind: str, message: str, field_name: str | None = None) -> None:
        self.status, self.kind, self.message, self.field_name = status, kind, message, field_name
        super().__init__(message)


def check_fields(body: Body, required: Mapping[str, type], optional: Mapping[str, type]) -> None:
    """Refuse a body that lacks a field, has one of another type, or has one that the API does not know."""
    known = {**required, **optional}
    for name in required:
        if name not in body:
            raise RefusedError(400, "invalid_request_error", f"Missing required parameter: '{name}'.", name)
    for name, value in body.items():
        if name not in known:
            raise RefusedError(400, "invalid_request_error", f"Unknown parameter: '{name}'.", name)
        if not isinstance(value, known[name]) or (known[name] is int and isinstance(value, bool)):
            expected = known[name].__name__
            raise RefusedError(400, "invalid_request_error", f"Invalid type for '{name}': expected {expected}.", name)
    for name in required:
        if body[name] in ("", [], {}):
            raise RefusedError(400, "invalid_request_error", f"Invalid '{name}': must not be empty.", name)


def mappings(value: object, name: str) -> list[Body]:
    """Return a field that must be a list of objects."""
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise RefusedError(400, "invalid_request_error", f"Invalid type for '{name}': not a list of objects.", name)
    return value

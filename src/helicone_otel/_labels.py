"""From session, path and kind to the attributes of a span. Pure; the processor writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from . import _wire
from ._session import Session

_MAX_LABELS: Final = 512


class Labels:
    """Makes labels: the attribute sets that spans bear.

    A label is made once per session, path and kind and then shared, so it must not be changed.

    Args:
        families: Which attributes of others are filled in: `session`, `gen_ai`, `user`.
    """

    def __init__(self, families: Iterable[str]) -> None:
        self._families = frozenset(families)

    def of(self, session: Session, path: str, kind: str | None, gen_ai: bool) -> dict[str, str]:
        """Return the label of a span.

        Args:
            session: The session the span belongs to.
            path: Its path in wire form, with the leading `/`.
            kind: What it is, if anything.
            gen_ai: Whether OpenTelemetry's GenAI conventions describe it, and so may name a conversation.
        """
        key = (path, kind, gen_ai)
        label = session.labels.get(key)
        if label is None:
            if len(session.labels) >= _MAX_LABELS:
                session.labels.clear()
            label = session.labels[key] = self._make(session, path, kind, gen_ai)
        return label

    def _make(self, session: Session, path: str, kind: str | None, gen_ai: bool) -> dict[str, str]:
        label = {_wire.SESSION_ID: session.wire_id, _wire.SESSION_PATH: path}
        if session.wire_name:
            label[_wire.SESSION_NAME] = session.wire_name
        if kind:
            label[_wire.SPAN_KIND] = kind
        # The conventions forbid invented conversation ids, and other backends would group by them.
        if not session.provisional and "session" in self._families:
            label[_wire.OTEL_SESSION_ID] = _wire.valid_text(session.id)
        if not session.provisional and gen_ai and "gen_ai" in self._families:
            label[_wire.OTEL_CONVERSATION_ID] = _wire.valid_text(session.id)
        if session.user_id and "user" in self._families:
            label[_wire.OTEL_USER_ID] = _wire.valid_text(session.user_id)
        for name, value in session.properties.items():
            label[_wire.PROPERTY_PREFIX + name] = value
        return label

"""Which content may leave, decided before a row is made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ...failures import warn_once
from ...spans.retrieval import Matches
from ...spans.schema import REQUEST_KINDS
from .messages import Message, Part
from .sources import Side

_SIDES: Final[tuple[Side, ...]] = ("inputs", "outputs")


class Where(NamedTuple):
    """Where a text stands that is about to leave.

    Attributes:
        kind: The kind of the call, for instance `llm` or `tool`.
        side: Whether it went into the call or came out of it.
        key: What it is called where it stands: `content` of a message, or the name of an argument or field.
    """

    kind: str
    side: Side
    key: str


class Content(NamedTuple):
    """Which content may leave.

    Attributes:
        inputs: The kinds of calls whose inputs may: messages, arguments, queries.
        outputs: The kinds of calls whose outputs may: answers, results, matches, messages of errors.
        redact: Given each text of such content, returns what is sent in its place. If it raises, or returns
            no text, that content is left out.
    """

    inputs: frozenset[str] = REQUEST_KINDS
    outputs: frozenset[str] = REQUEST_KINDS
    redact: Callable[[str, Where], str] | None = None

    def withheld(self, kind: str) -> tuple[Side, ...]:
        """Return the sides of a kind's content that may not leave."""
        if kind in self.inputs and kind in self.outputs:
            return ()
        return tuple(side for side, kinds in zip(_SIDES, (self.inputs, self.outputs), strict=True) if kind not in kinds)

    def redacted(self, value: Any, where: Where) -> Any:
        """Return content with all its texts redacted; `None` if that fails."""
        if self.redact is None:
            return value
        try:
            return _redacted(value, where, self.redact)
        except Exception as error:  # noqa: BLE001  # the user's function may do anything
            # Without its traceback: what it says may quote the content.
            warn_once(f"The redaction hook failed ({type(error).__name__}); what it was given is left out of the log.")
            return None


def _redacted(value: Any, where: Where, redact: Callable[[str, Where], str]) -> Any:
    if isinstance(value, str):
        shown = redact(value, where)
        if not isinstance(shown, str):
            raise TypeError(f"the redaction hook returned no str but {type(shown).__name__}")
        return shown
    if isinstance(value, list):
        return [_redacted(item, where, redact) for item in value]
    if isinstance(value, dict):
        return {key: _redacted(item, where._replace(key=key), redact) for key, item in value.items()}
    return _redacted_inside(value, where, redact) if isinstance(value, Message | Part | Matches) else value


def _redacted_inside(value: Message | Part | Matches, where: Where, redact: Callable[[str, Where], str]) -> Any:
    """Return what is said with its texts redacted; who says it stays."""
    if isinstance(value, Message):
        return value._replace(parts=[_redacted(part, where, redact) for part in value.parts])
    if isinstance(value, Part):
        return value._replace(value=_redacted(value.value, where, redact))
    matches = Matches()
    matches.count, matches.shown = value.count, _redacted(value.shown, where, redact)
    return matches

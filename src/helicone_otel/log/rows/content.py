"""Decides which content a row may contain, and redacts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ...failures import warn_once
from ...spans.retrieval import Matches
from ...wire import REQUEST_KINDS
from .messages import Message, Part
from .sources import Side

_SIDES: Final[tuple[Side, ...]] = ("inputs", "outputs")


class Where(NamedTuple):
    """Which text a redaction hook is given.

    Attributes:
        kind: The kind of the call, for instance `llm` or `tool`.
        side: `inputs` if the text went into the call, `outputs` if it came out of it.
        key: The name of the text: `content` for a message, or the name of an argument or field.
    """

    kind: str
    side: Side
    key: str


class Content(NamedTuple):
    """Which content rows contain.

        only_tools = Content(inputs=frozenset({"tool"}), outputs=frozenset())
        configure(log=HeliconeSpanExporter(content=only_tools))

    Attributes:
        inputs: The kinds of calls whose inputs are logged: messages, arguments, queries.
        outputs: The kinds of calls whose outputs are logged: answers, results, matches, messages of errors.
        redact: Gets each text of such content, and returns the text to log in its place. If it raises, or returns
            anything but a `str`, that content is left out.
    """

    inputs: frozenset[str] = REQUEST_KINDS
    outputs: frozenset[str] = REQUEST_KINDS
    redact: Callable[[str, Where], str] | None = None

    def withheld(self, kind: str) -> tuple[Side, ...]:
        """Return the sides of the calls of a kind that are not logged."""
        return tuple(side for side, kinds in zip(_SIDES, (self.inputs, self.outputs), strict=True) if kind not in kinds)

    def redacted(self, value: Any, where: Where) -> Any:
        """Return content with each text redacted; `None` if the hook fails."""
        if self.redact is None:
            return value
        try:
            return _redacted(value, where, self.redact)
        except Exception as error:  # noqa: BLE001  # the user's function may do anything
            # Without its message, which may quote the content.
            warn_once(f"The redaction hook failed ({type(error).__name__}); that content is not logged.")
            return None


def _redacted(value: Any, where: Where, redact: Callable[[str, Where], str]) -> Any:
    if isinstance(value, str):
        text = redact(value, where)
        if not isinstance(text, str):
            raise TypeError(f"the redaction hook must return a str, not {type(text).__name__}")
        return text
    if isinstance(value, list):
        return [_redacted(item, where, redact) for item in value]
    if isinstance(value, dict):
        return {key: _redacted(item, where._replace(key=key), redact) for key, item in value.items()}
    return _redacted_inside(value, where, redact) if isinstance(value, Message | Part | Matches) else value


def _redacted_inside(value: Message | Part | Matches, where: Where, redact: Callable[[str, Where], str]) -> Any:
    """Return messages, parts or matches with their texts redacted. Roles, names and ids stay."""
    if isinstance(value, Message):
        return value._replace(parts=[_redacted(part, where, redact) for part in value.parts])
    if isinstance(value, Part):
        return value._replace(value=_redacted(value.value, where, redact))
    matches = Matches()
    matches.count, matches.shown = value.count, _redacted(value.shown, where, redact)
    return matches

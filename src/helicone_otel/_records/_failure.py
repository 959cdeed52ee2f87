"""Whether and how a call failed: a type, a message, an HTTP status."""

from __future__ import annotations

import re
from typing import Any, Final

from ._call import Failure
from ._json import whole
from ._told import Told

_UNKNOWN: Final = 500
_LOWEST, _HIGHEST = 400, 599
# How the SDKs of OpenAI and Anthropic begin what they say of an answer.
_IN_MESSAGE: Final = re.compile(r"\AError code: ([45]\d\d)\b|\A([45]\d\d) ")


def failure_of(told: Told) -> Failure | None:
    """Return how a call failed; `None` if it did not."""
    status = _status(told.one("status"))
    if not told.facts.failed and status is None:
        return None
    exceptions = told.happened("exception")
    last = exceptions[-1] if exceptions else {}
    kind = told.text("error.type") or str(last.get("type") or "")
    message = _message(told, last)
    status = status or _status(kind) or _told_status(_reason(told)) or _told_status(str(last.get("message") or ""))
    return Failure(kind, message or kind or "error", status or _UNKNOWN)


def _message(told: Told, exception: dict[str, Any]) -> str:
    """Return what is said of a failure, as far as it may leave: such messages quote what went in."""
    given = told.text("error.message")
    if given:
        return given
    said = _reason(told) or str(exception.get("message") or "")
    return str(told.redacted("error.message", said) or "")


def _reason(told: Told) -> str:
    return next((one.facts.reason for one in told.each if one.facts.failed and one.facts.reason), told.facts.reason)


def _status(value: object) -> int | None:
    found = whole(value)
    return found if found is not None and _LOWEST <= found <= _HIGHEST else None


def _told_status(text: str) -> int | None:
    found = _IN_MESSAGE.match(text)
    return _status(found[1] or found[2]) if found else None

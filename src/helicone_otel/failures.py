"""The one place that swallows our failures, so that they are never the user's.

Hot paths wrap their body in `try` / `except Exception as error: swallow("on_start", error)`.
Each kind of failure is logged once and counted always.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter

logger = logging.getLogger("helicone_otel")

# Two threads may both see a kind as new: it is then logged twice, which does no harm.
_MAX_KINDS = 256
_counts: Counter[str] = Counter()

# The app's own log handlers may raise, out of the app's `start_span`, were it not for this.
_HANDLERS_MAY_FAIL = contextlib.suppress(Exception)


class LoggedError(Exception):
    """A failure that has been logged already: whoever catches it says nothing more."""


def swallow(where: str, error: Exception) -> None:
    """Count a failure of ours and log the first of its kind, with its traceback.

    Args:
        where: The hook that failed, for instance `on_start`.
        error: What it raised.
    """
    if _count(f"{where}: {type(error).__name__}") and not isinstance(error, LoggedError):
        with _HANDLERS_MAY_FAIL:
            logger.error(
                "helicone-otel failed in %s and carries on without a label or header there; "
                "further failures of this kind are counted, not logged.",
                where,
                exc_info=error,
            )


def warn_once(message: str, detail: str = "") -> None:
    """Count a drop or a refused input and log the first of its kind, in one line.

    Args:
        message: The same for all of one kind.
        detail: What is to be said of the first besides.
    """
    if _count(message):
        with _HANDLERS_MAY_FAIL:
            logger.warning("%s%s", message, f" ({detail})" if detail else "")


def stay_out(error: Exception) -> None:
    """Say in one line that we are off in this app and why; where it failed is for those who debug."""
    _say("helicone-otel is off", error)


def log_nothing(error: Exception) -> None:
    """Say in one line that nothing is logged to Helicone and why; all else goes on."""
    _say("helicone-otel logs nothing to Helicone", error)


def _say(what: str, error: Exception) -> None:
    if isinstance(error, LoggedError):
        return
    # Messages of settings say it all, others mean little without the name of their kind.
    reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    if _count(f"off: {reason}"):
        with _HANDLERS_MAY_FAIL:
            logger.error("%s: %s", what, " ".join(reason.split()))
            logger.debug("%s because of this:", what, exc_info=error)


def swallowed() -> dict[str, int]:
    """Return how often each kind of failure or drop was swallowed in this process."""
    return dict(_counts)


def _count(kind: str) -> bool:
    if kind not in _counts and len(_counts) >= _MAX_KINDS:
        kind = "other"
    _counts[kind] += 1
    return _counts[kind] == 1

"""Swallows failures of this library, so that the app never sees them. Each kind is counted, and logged once.

Hot paths wrap their body in `try` / `except Exception as error: swallow("on_start", error)`.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter

logger = logging.getLogger("helicone_otel")

# Further kinds are counted as "other".
_MAX_KINDS = 256
# No lock: two threads may both see a kind as new. It is then logged twice, which does no harm.
_counts: Counter[str] = Counter()

# A log handler of the app may raise. Without this the error would come out of the app's `start_span`.
_HANDLERS_MAY_FAIL = contextlib.suppress(Exception)


class LoggedError(Exception):
    """A failure that has been logged already: whoever catches it says nothing more."""


def swallow(where: str, error: Exception) -> None:
    """Count a failure of this library, and log the first of its kind with its traceback.

    Args:
        where: The hook that failed, for instance `on_start`.
        error: The exception.
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
    """Count a drop or a refused input, and log the first of its kind in one line.

    Args:
        message: The message; the same for all of one kind.
        detail: More about the first one.
    """
    if _count(message):
        with _HANDLERS_MAY_FAIL:
            logger.warning("%s%s", message, f" ({detail})" if detail else "")


def notice(message: str) -> None:
    """Log a warning about the app's set-up that is no failure of this library, and so is not counted."""
    with _HANDLERS_MAY_FAIL:
        logger.warning("%s", message)


def log_that_library_is_off(error: Exception) -> None:
    """Log in one line that the library is off in this app, and why; the traceback only at level DEBUG."""
    _log_off("helicone-otel is off", error)


def log_that_log_is_off(error: Exception) -> None:
    """Log in one line that nothing is logged to Helicone, and why. Everything else goes on."""
    _log_off("helicone-otel logs nothing to Helicone", error)


def _log_off(what: str, error: Exception) -> None:
    if isinstance(error, LoggedError):
        return
    # A `ValueError` of the settings has a full message. Others mean little without the name of their type.
    reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    if _count(f"off: {reason}"):
        with _HANDLERS_MAY_FAIL:
            logger.error("%s: %s", what, " ".join(reason.split()))
            logger.debug("%s because of this:", what, exc_info=error)


def swallowed() -> dict[str, int]:
    """Return how often each kind of failure or drop was counted in this process."""
    return dict(_counts)


def _count(kind: str) -> bool:
    if kind not in _counts and len(_counts) >= _MAX_KINDS:
        kind = "other"
    _counts[kind] += 1
    return _counts[kind] == 1

"""`feedback()`: was a session what it should be?"""

from __future__ import annotations

import time
from typing import Final

from . import _wire
from ._api import Api, HeliconeError, LaterError
from ._session import Session
from ._settings import Settings

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 2.0


def feedback(session_id: str | Session, *, good: bool, seconds: float = 10.0, settings: Settings | None = None) -> None:
    """Record in Helicone whether a session was what it should be.

    It is sent at once, with `HELICONE_API_KEY`, and again while Helicone does not know the session yet: rows take a
    few seconds to get there. So this blocks; in a coroutine, `await asyncio.to_thread(feedback, id, good=True)`.
    What is recorded last counts.

    Args:
        session_id: The id as it was given to `session()`, or the session itself.
        good: Thumbs up or down.
        seconds: How long it may take, all in all.
        settings: Key and addresses; read from the environment if not given.

    Raises:
        HeliconeError: Helicone could not be reached, refused the key, or did not know the session in time.
        SettingsError: There is no key, or a setting cannot be used.
        TypeError: `good` is neither `True` nor `False`, or `session_id` is no id.
    """
    if not isinstance(good, bool):
        raise TypeError(f"feedback(good=…) takes True or False, not {type(good).__name__}")
    wire_id, api = _wire_id(session_id), Api(settings or Settings.from_environment())
    until, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        left = until - time.monotonic()
        try:
            api.rate(wire_id, good=good, seconds=max(left, _FIRST_PAUSE))
        except LaterError as error:
            if time.monotonic() + pause > until:
                raise HeliconeError(f"no feedback on session {wire_id!r} within {seconds:g} s: {error}") from error
        else:
            return
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _wire_id(session_id: object) -> str:
    if isinstance(session_id, Session):
        return session_id.wire_id
    if not isinstance(session_id, str) or not session_id.strip():
        raise TypeError(f"feedback() takes the id of a session, not {session_id!r:.60}")
    return _wire.wire_text(session_id)

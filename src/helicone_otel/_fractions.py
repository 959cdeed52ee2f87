"""Which sessions are kept where only a share of them is: the same ones everywhere.

A session's id is hashed to a place between 0 and 1, and the session is kept if that lies below the
ratio. `collector-config.yaml` does the same in the Collector's own words, so whoever is asked gives the
same answer, and a session kept at one ratio is kept at every higher one.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

# 13 hexadecimal digits are 52 bits: a float, in which the Collector counts, holds them exactly.
_DIGITS: Final = 13
_PLACES: Final = 16.0**_DIGITS


def is_kept(session_id: str, ratio: float) -> bool:
    """Tell whether a session is among those that are kept.

    Args:
        session_id: In wire form, as `helicone.session.id` has it.
        ratio: Which share of all sessions is kept, from 0 to 1.
    """
    return int(sha256(session_id.encode()).hexdigest()[:_DIGITS], 16) < ratio * _PLACES

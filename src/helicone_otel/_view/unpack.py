"""JSON in texts: conventions put everything that is no text into one."""

from __future__ import annotations

import json
from typing import Any


def unpacked(value: Any) -> Any:
    """Return what a text of JSON holds; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value, parse_constant=str)
        except (ValueError, RecursionError):
            return value
    return value

"""Takes out of a text what must not be shown: keys, credentials in URLs, the values of secret variables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SECRET_NAMES: Final = re.compile(r"(?i)key|token|secret|passw|auth|headers|credential|cookie")
# Shorter values (`true`, `none`) stand in too many texts by chance.
_MIN_SECRET: Final = 8
# `user:password@host`, in a URL or without its scheme.
_USER_INFO: Final = re.compile(r"(?<=//)[^\s/'\"]*@|[^\s/@'\"=,(:]+:(?!//)[^\s@'\"]*@(?=[\w.\[-])")
_TOKENS: Final = re.compile(r"\b[sp]k-[\w-]{4,}|(?i:\bbearer\s+)\S+")
_HIDDEN: Final = "***"


class Redaction:
    """Knows the secrets of an environment, to keep them out of what is shown.

    Args:
        environ: The variables; those whose names tell of secrets have secret values.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        values = (value for name, value in environ.items() if _SECRET_NAMES.search(name))
        parts = {part.strip() for value in values for part in (value, *re.split(r"[=,;\s]+", value))}
        # The longest first: one may be part of another.
        self._secrets = sorted((part for part in parts if len(part) >= _MIN_SECRET), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without what must not be shown."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return _TOKENS.sub(_HIDDEN, _USER_INFO.sub(f"{_HIDDEN}@", text))

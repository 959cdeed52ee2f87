"""Quotes what a server wrote: in one short line, without control characters, and never with the key.

A server may quote the key that it was sent in any way: in other letters, escaped, encoded, in pieces, or only a part of
it. So the quote and the key are compared as letters and digits only, in the usual encodings.
"""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

_MAX_SHOWN: Final = 120
# What comes later in a text is not looked at.
_MAX_READ: Final = 4096
_HIDDEN: Final = "***"
# So many letters or digits in a row from a key are a part of it.
_PART: Final = 6
# What every key of Helicone's begins with is no secret.
_PUBLIC: Final = re.compile(r"[sp]k-(?:helicone-)?(?:(?:eu|rl|cp)-)*")
# Whatever looks like a key or a token, of anybody: `sk-…`, and long words of letters and digits.
_TOKENS: Final = re.compile(r"[sp]k-[\w-]+|(?=[\w+/=%.~-]*[0-9])[\w+/=%.~-]{24,}")
_ESCAPE: Final = re.compile(r"\\+(?:u\{?([0-9a-fA-F]{4,6})\}?|x([0-9a-fA-F]{2}))")
_TAG: Final = re.compile(r"<[^<>]*>")
_LAST_CHARACTER: Final = 0x10FFFF


def error_text(body: bytes, key: str = "") -> str:
    """Return the error in the body of an answer, as `quoted` does.

    Args:
        body: The body: a text, or JSON with a member `error`.
        key: The key that was sent.
    """
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
        text = str(parsed["error"]) if isinstance(parsed, dict) and "error" in parsed else text
    except (ValueError, RecursionError):
        pass
    return quoted(text, key)


def quoted(text: str, key: str = "") -> str:
    """Return a text of a stranger as one short line.

    Args:
        text: The text.
        key: Is replaced by `***`. If the text contains it in another form, or a part of it, nothing is quoted.
    """
    line = " ".join(text[:_MAX_READ].split())
    if key:
        line = re.sub(re.escape(key), _HIDDEN, line, flags=re.IGNORECASE)
    if _has_part_of(key, line):
        return _HIDDEN
    return _escaped(_TOKENS.sub(_HIDDEN, line))[:_MAX_SHOWN]


def _escaped(line: str) -> str:
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in line
    )


def _has_part_of(key: str, text: str) -> bool:
    parts = _parts(key)
    return bool(parts) and any(
        plain[start : start + _PART] in parts
        for plain in map(_plain, _decoded(text))
        for start in range(len(plain) - _PART + 1)
    )


def _decoded(text: str) -> set[str]:
    """Return a text as it is and as it reads decoded, also where it was encoded twice."""
    forms = {text, _TAG.sub("", text)}
    for _ in range(2):
        forms |= {decode(form) for form in forms for decode in (unquote_plus, html.unescape, _unescaped)}
    return forms


def _unescaped(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        number = int(match[1] or match[2], 16)
        return chr(number) if number <= _LAST_CHARACTER else ""

    return _ESCAPE.sub(character, text)


@lru_cache(64)
def _parts(key: str) -> frozenset[str]:
    """Return all parts of a key of a certain length, as letters and digits only, in several encodings."""
    secret = _PUBLIC.sub("", key, count=1)
    return frozenset(
        plain[start : start + _PART] for plain in _encoded(secret) for start in range(len(plain) - _PART + 1)
    )


def _encoded(secret: str) -> list[str]:
    raw = secret.encode("utf-8", "replace")
    # In Base64 and Base32 a text looks different at each place within a group, and its ends depend on its neighbours.
    base64s = [base64.b64encode(bytes(shift) + raw)[4 if shift else 0 : -4] for shift in range(3)]
    base32s = [base64.b32encode(bytes(shift) + raw)[8 if shift else 0 : -8] for shift in range(5)]
    encoded = (each.decode() for each in (*base64s, *base32s))
    return [_plain(each) for each in (secret, secret[::-1], raw.hex(), *encoded)]


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))

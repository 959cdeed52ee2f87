"""Texts and durations for a terminal: escaped, short and aligned."""

from __future__ import annotations

from typing import Final

_MAX_TEXT: Final = 500
# Limit, format and unit, all in milliseconds. At each limit the text has at most eight characters.
_SHORT: Final = ((9.95, "{:.1f} ms", 1), (999.5, "{:.0f} ms", 1), (99_950, "{:.2f} s", 1000))
_MINUTES: Final = 99


def visible(text: str, *, ascii_only: bool = False) -> str:
    r"""Return a text of at most 500 characters, in which those that are not printable are escapes such as `\x1b`.

    With control sequences, newlines and direction marks a model or a tool could write over the drawing.

    Args:
        text: Any text.
        ascii_only: Write everything that is not ASCII as an escape as well.
    """
    short = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."
    if short.isprintable() and (short.isascii() or not ascii_only):
        return short
    return "".join(
        character if character.isprintable() and (character.isascii() or not ascii_only) else _escape(character)
        for character in short
    )


def format_duration(nanoseconds: int) -> str:
    """Return a duration in at most eight characters, such as `3.1 ms` or `12m05s`."""
    milliseconds = nanoseconds / 1e6
    for limit, form, unit in _SHORT:
        if milliseconds < limit:
            return form.format(milliseconds / unit)
    minutes, seconds = divmod(round(milliseconds / 1e3), 60)
    return f"{minutes}m{seconds:02}s" if minutes <= _MINUTES else f"{minutes // 60}h{minutes % 60:02}m"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 request`, `2 requests`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")

"""How values read in a terminal: escaped, short, and aligned."""

from __future__ import annotations

from typing import Final

_MAX_TEXT: Final = 500
# Below so many milliseconds, in this form, in units of so many. No border rounds up to a ninth character.
_SHORT: Final = ((9.95, "{:.1f} ms", 1), (999.5, "{:.0f} ms", 1), (99_950, "{:.2f} s", 1000))
_MINUTES: Final = 99


def visible(text: str, *, ascii_only: bool = False) -> str:
    r"""Return a text with everything that would not show as itself written as an escape, such as `\x1b`.

    Escapes, newlines and direction marks would let a model or a tool write over the drawing.
    """
    shown = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "..."
    if shown.isprintable() and (shown.isascii() or not ascii_only):
        return shown
    return "".join(
        character if character.isprintable() and (character.isascii() or not ascii_only) else _escape(character)
        for character in shown
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
    """Return `1 request` or `2 requests`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")

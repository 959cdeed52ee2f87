"""Draws a report: the first cause on top, then every check. With colours where rich is there, else plain."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import IO, Final

from helicone_otel._cli.text import counted

from .report import Finding, Level, Report, summary

_MAX_WIDTH: Final = 110
_MARKS: Final = {Level.OK: "✓", Level.WARNING: "!", Level.UNKNOWN: "?", Level.PROBLEM: "✗"}
_ASCII_MARKS: Final = {Level.OK: "+", Level.WARNING: "!", Level.UNKNOWN: "?", Level.PROBLEM: "x"}
_STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.UNKNOWN: "magenta", Level.PROBLEM: "bold red"}
_COUNTED: Final = {Level.PROBLEM: "problem", Level.UNKNOWN: "check that could not be made", Level.WARNING: "warning"}
# A line of text, how much of its head is the mark or the like, and that head's style.
_Row = tuple[str, str]


def as_text(report: Report) -> str:
    """Return a report as plain text."""
    return "\n".join(text for text, _ in _rows(report, ascii_only=False))


def draw(report: Report, file: IO[str]) -> None:
    """Print a report, in colours if it is a terminal that has them and rich is installed."""
    ascii_only = not _can_write("✓✗→", file)
    rows = _rows(report, ascii_only=ascii_only)
    try:
        from rich.console import Console  # noqa: PLC0415  # part of the extra `run`
    except ImportError:
        for text, _ in rows:
            print(text, file=file)
        return
    console = Console(file=file, markup=False, emoji=False, highlight=False)
    for text, style in rows:
        console.print(text, style=style, soft_wrap=True)


def _can_write(characters: str, file: IO[str]) -> bool:
    try:
        characters.encode(getattr(file, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _rows(report: Report, *, ascii_only: bool) -> Iterator[_Row]:
    worst = report.worst
    yield from _finding(worst or Finding(Level.OK, summary(report)), ascii_only=ascii_only)
    for group, lines in groupby(report.lines, attrgetter("group")):
        yield "", ""
        yield group, "bold"
        for line in lines:
            yield from _finding(line.finding, ascii_only=ascii_only)
    tally = [counted(number, noun) for level, noun in _COUNTED.items() if (number := report.count(level))]
    if tally:
        yield "", ""
        yield ", ".join(tally) + ".", "bold"


def _finding(finding: Finding, *, ascii_only: bool) -> Iterator[_Row]:
    mark = (_ASCII_MARKS if ascii_only else _MARKS)[finding.level]
    arrow = "->" if ascii_only else "→"
    style = _STYLES[finding.level]
    for row in _wrapped(f"{mark} ", finding.text, ascii_only=ascii_only):
        yield row, style if finding.level is not Level.OK else ""
    if finding.remedy:
        for row in _wrapped(f"  {arrow} ", finding.remedy, ascii_only=ascii_only):
            yield row, "bold"


def _wrapped(head: str, text: str, *, ascii_only: bool) -> list[str]:
    if ascii_only:
        text = text.encode("ascii", "backslashreplace").decode()
    width = min(_MAX_WIDTH, shutil.get_terminal_size((_MAX_WIDTH, 24)).columns)
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        # A command or a host is copied as a whole.
        break_long_words=False,
        break_on_hyphens=False,
    )

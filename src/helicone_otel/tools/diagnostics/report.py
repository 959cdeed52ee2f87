"""What the doctor found: data, which is drawn, printed as JSON, or turned into an exit code."""

from __future__ import annotations

import enum
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import IO, Any, Final

from ..terminal import counted
from .facts import Facts


class Level(enum.Enum):
    """How bad a finding is, from nothing to do up."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    PROBLEM = "problem"


# Problems for certain win over what could not be looked at.
_EXIT_CODES: Final = {Level.PROBLEM: 1, Level.UNKNOWN: 2, Level.WARNING: 0, Level.OK: 0}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report.

    Attributes:
        text: What is the case.
        remedy: The next thing to do about it: a command, a variable or a line of code.
    """

    level: Level
    text: str
    remedy: str = ""


def ok(text: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(Level.OK, text)


def warning(text: str, remedy: str) -> Finding:
    """Return a finding that may be meant so."""
    return Finding(Level.WARNING, text, remedy)


def problem(text: str, remedy: str) -> Finding:
    """Return a finding because of which headers or spans do not leave, or not as they should."""
    return Finding(Level.PROBLEM, text, remedy)


def unknown(text: str, remedy: str) -> Finding:
    """Return a finding about something that could not be looked at."""
    return Finding(Level.UNKNOWN, text, remedy)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at.

    Attributes:
        name: What scripts know it by.
        group: The heading that it stands under.
        look: Judges the facts; yields nothing where there is nothing to say.
    """

    name: str
    group: str
    look: Callable[[Facts], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Line:
    """A finding, and the check that made it."""

    check: str
    group: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Report:
    """What `helicone_otel.doctor()` returns; `print` it to read it.

    Attributes:
        lines: The findings by group; causes stand before what comes of them.
    """

    lines: tuple[Line, ...]

    @property
    def worst(self) -> Finding | None:
        """The first of the worst findings: the cause to see to first; `None` if all is well."""
        for level in (Level.PROBLEM, Level.UNKNOWN, Level.WARNING):
            for line in self.lines:
                if line.finding.level is level:
                    return line.finding
        return None

    @property
    def exit_code(self) -> int:
        """0: all is well, or there are only warnings; 1: there are problems; 2: something could not be looked at."""
        return _EXIT_CODES[self.worst.level] if self.worst else 0

    def count(self, level: Level) -> int:
        """Return how many findings are of a level."""
        return sum(line.finding.level is level for line in self.lines)

    def as_data(self) -> dict[str, Any]:
        """Return the report as `helicone-otel doctor --json` prints it.

        `exit_code`, `summary` (a text), and `checks`: a list of `check`, `group`, `level` (`ok`, `warning`,
        `unknown`, `problem`), `text` and `remedy` (a text, or `None`).
        """
        checks = [
            {
                "check": line.check,
                "group": line.group,
                "level": line.finding.level.value,
                "text": line.finding.text,
                "remedy": line.finding.remedy or None,
            }
            for line in self.lines
        ]
        return {"exit_code": self.exit_code, "summary": summary(self), "checks": checks}

    def __str__(self) -> str:
        # Not imported above: it draws what this module defines.

        return as_text(self)


def summary(report: Report) -> str:
    """Return the report in one sentence, the cause to see to first."""
    return report.worst.text if report.worst else "All is well."


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

"""The doctor's report: findings as data, their exit code, and how they are printed."""

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
    """How bad a finding is.

    Attributes:
        OK: There is nothing to do.
        WARNING: It may be intended.
        UNKNOWN: The check could not be made.
        PROBLEM: Headers or spans do not leave, or not as they should.
    """

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    PROBLEM = "problem"


# A report with problems and with checks that could not be made has the exit code of the problems.
_EXIT_CODES: Final = {Level.PROBLEM: 1, Level.UNKNOWN: 2, Level.WARNING: 0, Level.OK: 0}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check.

    Attributes:
        level: How bad it is.
        text: What the check found, as a sentence.
        remedy: What to do next: a command, a variable or a line of code; empty if there is nothing to do.
    """

    level: Level
    text: str
    remedy: str = ""


def ok(text: str) -> Finding:
    """Return a finding with nothing to do."""
    return Finding(Level.OK, text)


def warning(text: str, remedy: str) -> Finding:
    """Return a finding that may be intended."""
    return Finding(Level.WARNING, text, remedy)


def problem(text: str, remedy: str) -> Finding:
    """Return a finding that keeps headers or spans from leaving as they should."""
    return Finding(Level.PROBLEM, text, remedy)


def unknown(text: str, remedy: str) -> Finding:
    """Return a finding that says why a check could not be made."""
    return Finding(Level.UNKNOWN, text, remedy)


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the doctor.

    Attributes:
        name: Its name in the JSON.
        group: The heading above its findings.
        run: Judges the facts, and returns any number of findings.
    """

    name: str
    group: str
    run: Callable[[Facts], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Line:
    """A finding, with the name and group of its check."""

    check: str
    group: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of all checks. `print` shows them as text.

    Attributes:
        lines: The findings, by group. A cause comes before its effects.
    """

    lines: tuple[Line, ...]

    @property
    def worst(self) -> Finding | None:
        """The first of the worst findings, which is the cause to fix first; `None` if all is well."""
        for level in (Level.PROBLEM, Level.UNKNOWN, Level.WARNING):
            for line in self.lines:
                if line.finding.level is level:
                    return line.finding
        return None

    @property
    def exit_code(self) -> int:
        """0 without problems (warnings do not count), 1 with problems, 2 if a check could not be made."""
        return _EXIT_CODES[self.worst.level] if self.worst else 0

    def count(self, level: Level) -> int:
        """Return the number of findings of a level."""
        return sum(line.finding.level is level for line in self.lines)

    def as_data(self) -> dict[str, Any]:
        """Return the report as plain data, as `helicone-otel doctor --json` prints it.

        Returns:
            `exit_code` (an int), `summary` (a text), and `checks`: a list of dictionaries with `check`, `group`,
            `level` (`ok`, `warning`, `unknown` or `problem`), `text` and `remedy` (a text or `None`).
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
        return "\n".join(text for text, _ in _screen(self, ascii_only=False))


def summary(report: Report) -> str:
    """Return the text of the worst finding, or that all is well."""
    return report.worst.text if report.worst else "All is well."


_MAX_WIDTH: Final = 110
_MARKS: Final = {Level.OK: "✓", Level.WARNING: "!", Level.UNKNOWN: "?", Level.PROBLEM: "✗"}
_ASCII_MARKS: Final = {Level.OK: "+", Level.WARNING: "!", Level.UNKNOWN: "?", Level.PROBLEM: "x"}
_STYLES: Final = {Level.OK: "", Level.WARNING: "yellow", Level.UNKNOWN: "magenta", Level.PROBLEM: "bold red"}
_NOUNS: Final = {Level.PROBLEM: "problem", Level.UNKNOWN: "check that could not be made", Level.WARNING: "warning"}
# A line of the printed report, and its style for rich.
_ScreenLine = tuple[str, str]


def print_report(report: Report, file: IO[str]) -> None:
    """Print a report to a file, in colours if the file is a colour terminal and rich is installed."""
    ascii_only = not _can_write("✓✗→", file)
    lines = _screen(report, ascii_only=ascii_only)
    try:
        from rich.console import Console  # noqa: PLC0415  # part of the extra `run`
    except ImportError:
        for text, _ in lines:
            print(text, file=file)
        return
    console = Console(file=file, markup=False, emoji=False, highlight=False)
    for text, style in lines:
        console.print(text, style=style, soft_wrap=True)


def _can_write(characters: str, file: IO[str]) -> bool:
    try:
        characters.encode(getattr(file, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _screen(report: Report, *, ascii_only: bool) -> Iterator[_ScreenLine]:
    yield from _finding(report.worst or Finding(Level.OK, summary(report)), ascii_only=ascii_only)
    for group, lines in groupby(report.lines, attrgetter("group")):
        yield "", ""
        yield group, "bold"
        for line in lines:
            yield from _finding(line.finding, ascii_only=ascii_only)
    counts = [counted(number, noun) for level, noun in _NOUNS.items() if (number := report.count(level))]
    if counts:
        yield "", ""
        yield ", ".join(counts) + ".", "bold"


def _finding(finding: Finding, *, ascii_only: bool) -> Iterator[_ScreenLine]:
    mark = (_ASCII_MARKS if ascii_only else _MARKS)[finding.level]
    arrow = "->" if ascii_only else "→"
    style = _STYLES[finding.level]
    for line in _wrapped(f"{mark} ", finding.text, ascii_only=ascii_only):
        yield line, style
    if finding.remedy:
        for line in _wrapped(f"  {arrow} ", finding.remedy, ascii_only=ascii_only):
            yield line, "bold"


def _wrapped(head: str, text: str, *, ascii_only: bool) -> list[str]:
    if ascii_only:
        text = text.encode("ascii", "backslashreplace").decode()
    width = min(_MAX_WIDTH, shutil.get_terminal_size((_MAX_WIDTH, 24)).columns)
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        # People copy commands and hosts, so these must not be broken.
        break_long_words=False,
        break_on_hyphens=False,
    )

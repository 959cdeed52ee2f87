"""What the doctor found: data, which is drawn, printed as JSON, or turned into an exit code."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

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
        from .draw import as_text  # noqa: PLC0415

        return as_text(self)


def summary(report: Report) -> str:
    """Return the report in one sentence, the cause to see to first."""
    return report.worst.text if report.worst else "All is well."

"""Sessions as Helicone makes them of rows: grouped by id and name, and drawn as a tree of paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from .rows import Row

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | int | None"


@dataclass(frozen=True, slots=True)
class Folder:
    """One level of the tree.

    Attributes:
        name: The segment; empty for the root, and for what two slashes have between them.
        rows: What stands at this level, by its start.
        folders: The levels below, in the order in which they were seen first.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)

    def at(self, path: str) -> Folder:
        """Return the folder at a path below this one.

        Raises:
            KeyError: There is none.
        """
        folder = self
        for segment in _segments(path):
            folder = folder.folders[segment]
        return folder

    def lines(self, indent: str = "") -> list[str]:
        """Return the tree as text: folders with a slash, rows by what they are."""
        lines = []
        for folder in self.folders.values():
            lines += [f"{indent}{folder.name}/", *folder.lines(f"{indent}  ")]
        return [*(f"{indent}{row.badge} {row.model}" for row in self.rows), *lines]


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of each session by its id and name, each by their start; those of no session are left out."""
    sessions: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.started):
        if row.session_id:
            sessions.setdefault((row.session_id, row.session_name), []).append(row)
    return sessions


def tree(rows: Iterable[Row]) -> Folder:
    """Return the tree that Helicone draws of a session's rows: cut at each slash, and nothing tidied."""
    root = Folder("")
    for row in sorted(rows, key=lambda row: row.started):
        if not row.session_path:  # possible by OTLP only
            continue
        folder = root
        for segment in _segments(row.session_path):
            folder = folder.folders.setdefault(segment, Folder(segment))
        folder.rows.append(row)
    return root


def summary(session: tuple[str, str], rows: list[Row], minutes: int = 0) -> dict[str, Json]:
    """Return a session as the list shows it; the rows are in the order of their starts."""
    prompt, completion = sum(row.prompt_tokens for row in rows), sum(row.completion_tokens for row in rows)
    return {
        "created_at": as_date(rows[0].started, minutes),
        "latest_request_created_at": as_date(rows[-1].started, minutes),
        "session_id": session[0],
        "session_name": session[1],
        # The fake knows no prices.
        "total_cost": 0,
        "total_requests": len(rows),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "avg_latency": sum(row.ended - row.started for row in rows) / len(rows),
        "user_ids": sorted({row.user_id for row in rows if row.user_id}),
    }


def as_date(milliseconds: int, minutes: int = 0) -> str:
    """Return a moment as ClickHouse writes it, moved by minutes."""
    moment = datetime.fromtimestamp(milliseconds / 1000 + minutes * 60, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{milliseconds % 1000:03}"


def _segments(path: str) -> list[str]:
    # A slash is put in front where there is none; for the root, that leaves one folder without a name.
    return (path if path.startswith("/") else f"/{path}").split("/")[1:]

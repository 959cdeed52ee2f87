"""The sessions that Helicone makes of rows: a list of them, and each as a tree by path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from ..folders import Folder
from .rows import Row

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | float | int | None"


def grouped(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows of each session by its id and name, each by their start; those of no session are left out."""
    sessions: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.started):
        if row.session_id:
            sessions.setdefault((row.session_id, row.session_name), []).append(row)
    return sessions


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


def session_tree(rows: Iterable[Row]) -> Folder[list[Row]]:
    """Return the tree that Helicone draws of a session's rows: cut at each slash, and nothing tidied.

    Rows and folders are in the order in which they started.
    """
    root = Folder[list[Row]](list)
    for row in sorted(rows, key=lambda row: row.started):
        if row.session_path:  # only OTLP lets it be empty
            root.open(_segments(row.session_path)).content.append(row)
    return root


def tree_lines(root: Folder[list[Row]]) -> list[str]:
    """Return a tree as text: folders with a slash, the rows of each before its folders."""
    lines: list[str] = []
    for folder in root.walk():
        indent = "  " * len(folder.segments)
        if folder.segments:
            lines.append(f"{indent[2:]}{folder.segment}/")
        lines += [f"{indent}{row.badge} {row.model}" for row in folder.content]
    return lines


def _segments(path: str) -> list[str]:
    # A slash is put in front where there is none; for the root, that leaves one folder without a name.
    return (path if path.startswith("/") else f"/{path}").split("/")[1:]

"""The view's file: an older one is brought to the present schema, a newer one is refused and stays as it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from helicone_otel import Settings
from helicone_otel.tools.view import migrations
from helicone_otel.tools.view.colours import HUES, add_colours, keep_colours
from helicone_otel.tools.view.database import SCHEMA, Database, DatabaseError
from helicone_otel.tools.view.server import running_view
from helicone_otel.tools.view.sockets import ListenOptions
from tests.support.viewing import ViewClient, posted_row

FREE = ListenOptions(pages=0, grpc=0, http=0)


def older_database(file: Path) -> None:
    """Write a database of the first version with one session of two requests."""
    with sqlite3.connect(file) as connection:
        connection.executescript(SCHEMA)
        connection.execute(
            "INSERT INTO sessions (id, session_id, name, start, last, requests) VALUES (7, 's', 'Trips', 1, 9, 2)"
        )
        sql = (
            'INSERT INTO requests (id, session, path, kind, name, model, start, "end", badge) '
            "VALUES (?, 7, ?, 'llm', 'm', 'gpt-old', 1, 9, 'LLM')"
        )
        connection.executemany(sql, [("a", "/plan/search"), ("b", "/plan/write")])
    connection.close()


def test_an_older_database_is_migrated_and_works(tmp_path: Path) -> None:
    file = tmp_path / "old.db"
    older_database(file)
    with running_view(file, Settings(), FREE) as running:
        view = ViewClient(running)
        view.log(posted_row("s", "/plan/new", "Trips"))
        paths = {one["path"]: one["colour"] for one in view.session("s")["tree"]}

    assert list(paths) == ["/plan", "/plan/search", "/plan/write", "/plan/new"]
    assert len(set(paths.values())) == 4
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (migrations.VERSION,)
    connection.close()


def test_a_migrated_database_has_the_schema_of_a_new_one(tmp_path: Path) -> None:
    def schema(file: Path) -> set[str]:
        with sqlite3.connect(file) as connection:
            made = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
        connection.close()
        return made

    older_database(tmp_path / "old.db")
    for name in ("old.db", "new.db"):
        Database(tmp_path / name).close()

    assert schema(tmp_path / "old.db") == schema(tmp_path / "new.db")


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "old.db"
    older_database(file)
    before = file.read_bytes()
    steps = {2: (*migrations._STEPS[2], "CREATE TABLE sessions (twice INTEGER)")}
    monkeypatch.setattr(migrations, "_STEPS", {**migrations._STEPS, **steps})

    with pytest.raises(DatabaseError, match=r"old\.db"):
        Database(file)
    with sqlite3.connect(file) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    assert (version, "paths" in tables, file.stat().st_size) == (2, False, len(before))


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        (
            migrations.VERSION + 1,
            r"new\.db was made by a newer version of helicone-otel; update it, or name a new file",
        ),
        (1, r"new\.db was made by a version of helicone-otel that is too old; name a new file"),
    ],
)
def test_a_database_of_another_version_is_refused_and_untouched(tmp_path: Path, version: int, reason: str) -> None:
    file = tmp_path / "new.db"
    older_database(file)
    with sqlite3.connect(file) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    before = file.read_bytes()

    with pytest.raises(DatabaseError, match=reason):
        Database(file)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("new.db", before)]


# --- colours ----------------------------------------------------------------------------------------------------------


def colours_of(paths: list[str]) -> dict[str, int]:
    """Return the colours of paths, which get them in this order."""
    database = Database()
    try:
        database.write(lambda connection: [keep_colours(connection, [path]) for path in paths]).result()
        rows = [{"path": path} for path in paths]
        add_colours(database.reader, rows)
    finally:
        database.close()
    return {str(row["path"]): int(row["colour"]) for row in rows}


def test_a_path_differs_from_the_paths_above_below_and_beside_it() -> None:
    folders = [f"/agent/step_{step}" for step in range(6)]
    for number in range(25):  # whatever hues the names prefer
        paths = [f"/{number}{path}" for path in ("/agent", *folders, *(f"{one}/tool" for one in folders))]
        colours = colours_of(paths)
        beside = [colours[f"/{number}{path}"] for path in folders]
        above = colours[f"/{number}/agent"]

        assert len({above, *beside}) == 7
        assert all(colours[f"/{number}{path}/tool"] != colours[f"/{number}{path}"] for path in folders)
        assert set(colours.values()) <= set(HUES)


def test_a_path_keeps_its_colour_and_of_very_many_paths_the_latest_differ() -> None:
    paths = [f"/agent/step_{number}" for number in range(60)]
    colours = colours_of(paths)

    assert all(len({colours[path] for path in paths[first : first + 4]}) == 4 for first in range(57))
    assert {path: colours_of(paths[:3])[path] for path in paths[:3]} == {path: colours[path] for path in paths[:3]}


def test_a_path_that_nobody_stored_has_a_colour() -> None:
    database = Database()
    rows = [{"path": "/unknown"}, {"path": ""}]
    add_colours(database.reader, rows)
    database.close()

    assert all(row["colour"] in HUES for row in rows)

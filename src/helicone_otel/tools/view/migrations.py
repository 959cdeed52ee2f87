"""Steps from the first schema of the database to the present one. A new database takes all, an older one the rest.

A step is never changed after a release: a database that has taken it does not take it again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from .colours import keep_colours

Step = str | Callable[[sqlite3.Connection], None]


def _colour_all(connection: sqlite3.Connection) -> None:
    sql = "SELECT path FROM requests UNION SELECT path FROM places"
    keep_colours(connection, [row[0] for row in connection.execute(sql)])


# By the version that a database has when it takes the steps.
_STEPS: Final[Mapping[int, Sequence[Step]]] = {
    2: (
        # People's judgement of sessions.
        """CREATE TABLE feedback (
            session_id TEXT NOT NULL, name TEXT NOT NULL, good INTEGER, note TEXT NOT NULL, changed INTEGER NOT NULL,
            PRIMARY KEY (session_id, name)) WITHOUT ROWID""",
        # Scores that spans carry. `request` is the request that is judged; NULL if it is the session or another span.
        """CREATE TABLE scores (trace TEXT NOT NULL, session INTEGER NOT NULL, request TEXT, name TEXT NOT NULL,
            value REAL, label TEXT, reason TEXT, source TEXT NOT NULL, at INTEGER NOT NULL)""",
        "CREATE INDEX scores_of_session ON scores (session)",
        "CREATE INDEX scores_of_trace ON scores (trace)",
        # Another span of the call of a request has the request's id here.
        "ALTER TABLE places ADD COLUMN tells_of TEXT",
        "CREATE INDEX places_of_calls ON places (tells_of) WHERE tells_of IS NOT NULL",
        # `answered` is the model that answered; `cached` to `written_1h` are those of the input tokens that the
        # provider's cache had or kept; `cost` is in US dollars; `said` is what the user said.
        "ALTER TABLE requests ADD COLUMN answered TEXT",
        "ALTER TABLE requests ADD COLUMN cached INTEGER",
        "ALTER TABLE requests ADD COLUMN written INTEGER",
        "ALTER TABLE requests ADD COLUMN written_1h INTEGER",
        "ALTER TABLE requests ADD COLUMN cost REAL",
        "ALTER TABLE requests ADD COLUMN said TEXT",
        # `unpriced` is the number of requests with tokens and without a price; `said` is what the user said first.
        "ALTER TABLE sessions ADD COLUMN cost REAL",
        "ALTER TABLE sessions ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE sessions ADD COLUMN said TEXT NOT NULL DEFAULT ''",
        # What the list of sessions adds up, so that it need not read all of each session.
        """CREATE INDEX sessions_in_numbers
            ON sessions (last, start, requests, errors, input_tokens, output_tokens, cost, unpriced, kinds)""",
        # The list of prices that the costs are made with: one row.
        "CREATE TABLE prices (list TEXT NOT NULL)",
        # The colours of paths, in the order in which they were chosen.
        """CREATE TABLE paths (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, parent TEXT NOT NULL,
            colour INTEGER NOT NULL)""",
        "CREATE INDEX paths_below ON paths (parent)",
        _colour_all,
        # What is new comes from the spans, which are labelled again for it.
        "UPDATE traces SET placed = 0",
    ),
}
OLDEST: Final = min(_STEPS)
VERSION: Final = max(_STEPS) + 1


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a database to the present schema, in one transaction: if it fails, the database stays as it was.

    Args:
        connection: The connection that writes.
        version: The version of its schema, from `OLDEST` to `VERSION`.
    """
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in (step for number in range(version, VERSION) for step in _STEPS[number]):
            if isinstance(step, str):
                connection.execute(step)
            else:
                step(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise

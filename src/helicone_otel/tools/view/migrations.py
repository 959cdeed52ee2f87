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


# The columns of a request by which it is found, or which tell by what else. Prices, which change at any time, are none.
_FOUND_BY: Final = "id, session, path, kind, name, model, provider, error, trace, span, logged"
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
        # The list of prices that the costs are made with: one row.
        "CREATE TABLE prices (list TEXT NOT NULL)",
        # The colours of paths, in the order in which they were chosen.
        """CREATE TABLE paths (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, parent TEXT NOT NULL,
            colour INTEGER NOT NULL)""",
        "CREATE INDEX paths_below ON paths (parent)",
        _colour_all,
        # The full-text index over requests, and its texts, compressed: see `text_index.py`.
        """CREATE VIRTUAL TABLE found USING fts5(text, content='', tokenize="unicode61 remove_diacritics 2")""",
        "CREATE TABLE texts (id INTEGER PRIMARY KEY, request TEXT NOT NULL UNIQUE, data BLOB NOT NULL)",
        # Requests that have changed, or are gone, since they were indexed, with a new number at each change.
        "CREATE TABLE unindexed (request TEXT PRIMARY KEY, change INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO unindexed SELECT id, random() FROM requests",
        *(
            f"CREATE TRIGGER requests_{what.split()[0].lower()} AFTER {what} ON requests BEGIN "
            # `INSERT OR REPLACE` would fail here, if the statement around it is an upsert.
            f"INSERT INTO unindexed VALUES ({row}.id, random()) "
            "ON CONFLICT (request) DO UPDATE SET change = excluded.change; END"
            for what, row in (("INSERT", "new"), (f"UPDATE OF {_FOUND_BY}", "new"), ("DELETE", "old"))
        ),
        # For lists of very many sessions: the latest, those of one name, the sums over all, those that have a value.
        "CREATE INDEX sessions_by_last ON sessions (last)",
        "CREATE INDEX sessions_by_name ON sessions (name, last, errors, cost)",
        """CREATE INDEX sessions_in_numbers
            ON sessions (last, start, requests, errors, input_tokens, output_tokens, cost, unpriced, kinds)""",
        "INSERT OR IGNORE INTO facts SELECT DISTINCT session, 'model', '', model FROM requests WHERE model IS NOT NULL",
        "CREATE INDEX facts_by_value ON facts (what, name, value)",
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

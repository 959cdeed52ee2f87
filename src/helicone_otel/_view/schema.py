"""The tables. What arrives is kept as it came; what follows from it can be made again at any time."""

from __future__ import annotations

from typing import Final

# "hlcv", so that no other database is taken for one of ours: https://www.sqlite.org/pragma.html#pragma_application_id
APPLICATION_ID: Final = 0x686C6376
VERSION: Final = 1

SCHEMA: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
BEGIN;

-- What made the spans: OTLP's Resource, each once.
CREATE TABLE resources (id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE);

-- As they arrived. Times are nanoseconds since the epoch.
CREATE TABLE spans (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL, span TEXT NOT NULL, parent TEXT NOT NULL,
    name TEXT NOT NULL, scope TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, error TEXT,
    resource INTEGER NOT NULL, data BLOB NOT NULL,
    UNIQUE (trace, span)
);

CREATE INDEX spans_at_roots ON spans (resource, start) WHERE parent = '';

-- How many arrivals a trace has had, and how many of them are in sessions by now.
CREATE TABLE traces (trace TEXT PRIMARY KEY, seen INTEGER NOT NULL, placed INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX traces_waiting ON traces (trace) WHERE placed < seen;

-- Where the spans of sessions stand.
CREATE TABLE places (
    id INTEGER PRIMARY KEY,
    trace TEXT NOT NULL, session INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT, request TEXT,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, error TEXT
);
CREATE INDEX places_of_session ON places (session);
CREATE INDEX places_of_trace ON places (trace);

-- Rows of Helicone's log API, as they arrived.
CREATE TABLE logs (id TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;

-- One real call each, from a span, a row, or both.
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    session INTEGER NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, model TEXT, provider TEXT,
    start INTEGER NOT NULL, "end" INTEGER NOT NULL, ttft INTEGER, input_tokens INTEGER, output_tokens INTEGER,
    error TEXT,
    trace TEXT, span INTEGER, logged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX requests_of_session ON requests (session, start);
CREATE INDEX requests_of_trace ON requests (trace);

-- Sums over what a session holds, and what it is found by.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL, name TEXT NOT NULL,
    start INTEGER NOT NULL DEFAULT 0, last INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0, errors INTEGER NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
    kinds TEXT NOT NULL DEFAULT '{{}}', facts TEXT NOT NULL DEFAULT '{{}}', search TEXT NOT NULL DEFAULT '',
    UNIQUE (session_id, name)
);

-- Users, properties, models and services of a session.
CREATE TABLE facts (
    session INTEGER NOT NULL, what TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (session, what, name, value)
) WITHOUT ROWID;
COMMIT;
"""

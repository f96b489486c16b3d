"""The tables of a store in SQLite, and how older ones become newer ones.

1. `MIGRATIONS[n]` leads from version n to n + 1; version 0 is an empty file. One that was released
   is never changed: a new one is added at the end.
2. All steps that a file lacks are one transaction with its new version number.
3. A file of a newer version, or of somebody else, is refused and left as it is.
"""

from __future__ import annotations

import sqlite3

from ._journal_schema import JOURNAL

APPLICATION_ID = 0x61667477
"""`aftw`: what says in a file's head that it is ours."""

VERSION_1 = (
    """
    CREATE TABLE runs (
        namespace TEXT NOT NULL,
        id TEXT NOT NULL,
        job TEXT NOT NULL,
        "trigger" TEXT NOT NULL,
        state TEXT NOT NULL,
        slot INTEGER,
        delivery TEXT,
        attempt INTEGER NOT NULL,
        worker TEXT NOT NULL,
        claimed_at_seconds REAL NOT NULL,
        started_at_seconds REAL,
        ended_at_seconds REAL,
        alive_until_seconds REAL,
        duration_seconds REAL,
        reason TEXT,
        error TEXT,
        claimant TEXT NOT NULL,
        keys_until_seconds REAL NOT NULL,
        PRIMARY KEY (namespace, id)
    ) WITHOUT ROWID
    """,
    # For the pages of `runs`: by job, by state and by both.
    "CREATE INDEX runs_by_job ON runs (namespace, job, id)",
    "CREATE INDEX runs_by_state ON runs (namespace, state, id)",
    "CREATE INDEX runs_by_job_and_state ON runs (namespace, job, state, id)",
    """
    CREATE INDEX runs_alive ON runs (namespace, alive_until_seconds)
    WHERE alive_until_seconds IS NOT NULL
    """,
    """
    CREATE INDEX runs_over ON runs (namespace, ended_at_seconds)
    WHERE alive_until_seconds IS NULL
    """,
    # Its last column is always NULL; without it SQLite would look at each run to see that.
    """
    CREATE INDEX runs_over_by_job ON runs (namespace, job, id, alive_until_seconds)
    WHERE alive_until_seconds IS NULL
    """,
    """
    CREATE TABLE keys (
        namespace TEXT NOT NULL,
        job TEXT NOT NULL,
        key TEXT NOT NULL,
        run TEXT NOT NULL,
        until_seconds REAL NOT NULL,
        PRIMARY KEY (namespace, job, key)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX keys_by_end ON keys (namespace, until_seconds)",
    """
    CREATE TABLE locks (
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        holder TEXT,
        token INTEGER NOT NULL,
        stop TEXT,
        waiting TEXT,
        PRIMARY KEY (namespace, name)
    ) WITHOUT ROWID
    """,
    "CREATE TABLE tokens (namespace TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE jobs (
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        registered_at_seconds REAL NOT NULL,
        last_slot INTEGER,
        last_run TEXT,
        last_success_at_seconds REAL,
        failures_in_a_row INTEGER NOT NULL,
        paused_at_seconds REAL,
        paused_until_seconds REAL,
        pause_note TEXT,
        PRIMARY KEY (namespace, name)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE counts (
        namespace TEXT NOT NULL,
        job TEXT NOT NULL,
        state TEXT NOT NULL,
        number INTEGER NOT NULL,
        PRIMARY KEY (namespace, job, state)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE notes (
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        until_seconds REAL,
        PRIMARY KEY (namespace, key)
    ) WITHOUT ROWID
    """,
    """
    CREATE INDEX notes_by_end ON notes (namespace, until_seconds)
    WHERE until_seconds IS NOT NULL
    """,
)

MIGRATIONS = (VERSION_1, JOURNAL)


def problem_with(connection: sqlite3.Connection) -> tuple[str, str] | None:
    """Why this file cannot be used, and what to do next; or None. Changes nothing."""
    connection.execute("BEGIN")
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    tables = _number(connection, "SELECT count(*) FROM sqlite_master")
    connection.execute("COMMIT")
    if application != APPLICATION_ID and (application or version or tables):
        return (
            "the file is a SQLite database of something else",
            "Give afterwork a file of its own: SQLiteStore('afterwork.db').",
        )
    if version > len(MIGRATIONS):
        return (
            f"the file has version {version}, and this afterwork knows {len(MIGRATIONS)} at most",
            "It was written by a newer one: pip install -U afterwork, or use another file.",
        )
    return None


def migrate(connection: sqlite3.Connection) -> None:
    """Makes the tables, or brings them to the newest version. Several processes may try at once:
    the first does it."""
    connection.execute("BEGIN IMMEDIATE")
    version = _number(connection, "PRAGMA user_version")
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    # Also where nothing is new: a file that cannot be written is to be noticed now.
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")
    connection.execute("COMMIT")


def _number(connection: sqlite3.Connection, question: str) -> int:
    answer: int = connection.execute(question).fetchone()[0]
    return answer

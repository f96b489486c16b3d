"""The tables of the journal: durable calls that are not over, who runs them, and dead letters."""

from __future__ import annotations

JOURNAL = (
    """
    CREATE TABLE calls (
        namespace TEXT NOT NULL,
        id TEXT NOT NULL,
        job TEXT NOT NULL,
        payload TEXT NOT NULL,
        run_at_seconds REAL NOT NULL,
        key TEXT,
        priority INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        crashes INTEGER NOT NULL,
        retry TEXT,
        trace TEXT,
        enqueued_at_seconds REAL NOT NULL,
        state TEXT NOT NULL,
        owner TEXT,
        counted INTEGER NOT NULL DEFAULT 0,
        changed_at_seconds REAL NOT NULL,
        error TEXT,
        PRIMARY KEY (namespace, id)
    ) WITHOUT ROWID
    """,
    # A call that its own process runs at once is in none of these: writing it is one row.
    """
    CREATE INDEX calls_waiting ON calls (namespace, priority DESC, run_at_seconds, id)
    WHERE state = 'waiting'
    """,
    """
    CREATE INDEX calls_failed ON calls (namespace, id) WHERE state = 'failed'
    """,
    """
    CREATE INDEX calls_counted ON calls (namespace, job) WHERE counted = 1 AND state = 'running'
    """,
    """
    CREATE UNIQUE INDEX calls_by_key ON calls (namespace, job, key)
    WHERE key IS NOT NULL AND state != 'failed'
    """,
    """
    CREATE TABLE owners (
        namespace TEXT NOT NULL,
        id TEXT NOT NULL,
        worker TEXT NOT NULL,
        alive_until_seconds REAL NOT NULL,
        PRIMARY KEY (namespace, id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE rates (
        namespace TEXT NOT NULL,
        job TEXT NOT NULL,
        full_at_seconds REAL NOT NULL,
        PRIMARY KEY (namespace, job)
    ) WITHOUT ROWID
    """,
)
"""`run_at_seconds` is when a call is due; `owner` is the process that runs it; `counted` is 1 for
jobs with a limit over all processes; `full_at_seconds` is when a rate's starts are all saved up
again."""

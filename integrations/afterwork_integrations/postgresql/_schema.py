"""The tables, and how they come to be.

Times are seconds since the epoch by the server's clock. Texts that are compared or sorted have the
collation "C": by their characters, on every server alike.

A lease is no lock of the database but a column, `runs.holds`, that counts for as long as its run
lives. So it belongs to the run, not to a connection that a pool may give to somebody else. The two
unique indexes on `holds` and `waits` promise that nobody holds or waits beside another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._connections import Transaction

MIGRATIONS = (
    """
    CREATE TABLE "$schema".runs (
        namespace   text COLLATE "C" NOT NULL,
        id          text COLLATE "C" NOT NULL,
        job         text COLLATE "C" NOT NULL,
        trigger     text NOT NULL,
        state       text COLLATE "C" NOT NULL,
        slot        bigint,
        delivery    text,
        attempt     integer NOT NULL,
        worker      text NOT NULL,
        claimed_at  double precision NOT NULL,
        started_at  double precision,
        ended_at    double precision,
        alive_until double precision,
        duration    double precision,
        reason      text,
        error       text,
        -- Not part of a RunRecord:
        claimed_by  text NOT NULL,
        holds       text COLLATE "C",
        waits       text COLLATE "C",
        token       bigint NOT NULL DEFAULT 0,
        stop        text,
        PRIMARY KEY (namespace, id),
        CHECK ((state IN ('claimed', 'running')) = (alive_until IS NOT NULL)),
        CHECK ((alive_until IS NULL) = (ended_at IS NOT NULL)),
        CHECK (alive_until IS NOT NULL OR (holds IS NULL AND waits IS NULL))
    );
    CREATE UNIQUE INDEX runs_holds ON "$schema".runs (namespace, holds) WHERE holds IS NOT NULL;
    CREATE UNIQUE INDEX runs_waits ON "$schema".runs (namespace, waits) WHERE waits IS NOT NULL;
    CREATE INDEX runs_job ON "$schema".runs (namespace, job, id);
    CREATE INDEX runs_state ON "$schema".runs (namespace, state, id);
    CREATE INDEX runs_ended ON "$schema".runs (namespace, ended_at) WHERE ended_at IS NOT NULL;
    CREATE INDEX runs_alive ON "$schema".runs (namespace, alive_until)
        WHERE alive_until IS NOT NULL;

    CREATE TABLE "$schema".keys (
        namespace text COLLATE "C" NOT NULL,
        job       text COLLATE "C" NOT NULL,
        key       text COLLATE "C" NOT NULL,
        run_id    text COLLATE "C" NOT NULL,
        until     double precision NOT NULL,
        PRIMARY KEY (namespace, job, key)
    );
    CREATE INDEX keys_run ON "$schema".keys (namespace, run_id);
    CREATE INDEX keys_until ON "$schema".keys (namespace, until);

    CREATE TABLE "$schema".jobs (
        namespace         text COLLATE "C" NOT NULL,
        name              text COLLATE "C" NOT NULL,
        registered_at     double precision NOT NULL,
        last_slot         bigint,
        last_run          jsonb,
        last_success_at   double precision,
        failures_in_a_row integer NOT NULL DEFAULT 0,
        counts            jsonb NOT NULL DEFAULT '{}',
        paused_since      double precision,
        paused_until      double precision,
        pause_note        text,
        PRIMARY KEY (namespace, name)
    );

    CREATE TABLE "$schema".notes (
        namespace text COLLATE "C" NOT NULL,
        key       text COLLATE "C" NOT NULL,
        value     text NOT NULL,
        until     double precision,
        PRIMARY KEY (namespace, key)
    );
    CREATE INDEX notes_until ON "$schema".notes (namespace, until) WHERE until IS NOT NULL;

    CREATE SEQUENCE "$schema".tokens;
    """,
)
"""What leads from each version of the schema to the next. Never changed once released, only added
to: the version is how many of them have been done."""

VERSION = len(MIGRATIONS)


def migrations_done(transaction: Transaction) -> int:
    """The version of the schema; 0 where there is none.

    The catalogue is asked as a table: `to_regclass` may answer from a cache that does not know what
    others did before this transaction had the lock.
    """
    meta = "SELECT FROM pg_tables WHERE schemaname = '$schema' AND tablename = 'meta'"
    if not transaction.all(meta):
        return 0
    ((version,),) = transaction.all('SELECT version FROM "$schema".meta')
    return int(version)


def migrate(transaction: Transaction, version: int) -> tuple[str, str] | None:
    """Does what is missing. Returns None, or why nothing was done and what helps."""
    ((encoding,),) = transaction.all("SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        problem = f"the database has the encoding {encoding}, so it cannot keep every text"
        return problem, "Use a database with the encoding UTF8."
    missing = MIGRATIONS[version:]
    if version == 0:
        # Asked first: IF NOT EXISTS needs the right to make one even where there is one.
        if not transaction.all("SELECT FROM pg_namespace WHERE nspname = '$schema'"):
            transaction.script('CREATE SCHEMA "$schema"')
        transaction.script('CREATE TABLE "$schema".meta (version integer NOT NULL)')
        transaction.script('INSERT INTO "$schema".meta VALUES (0)')
    for migration in missing:
        transaction.script(migration)
    if missing:
        transaction.script(f'UPDATE "$schema".meta SET version = {VERSION}')
    return None

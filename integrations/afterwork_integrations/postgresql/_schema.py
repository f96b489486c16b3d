"""The tables, and how they come to be.

Times are seconds since the epoch by the server's clock. Texts that are compared or sorted have the
collation "C": by their characters, on every server alike.

A lease is no lock of the database but a column, `runs.holds`, that counts for as long as its run
lives. So it belongs to the run, not to a connection that a pool may give to somebody else. The two
unique indexes on `holds` and `waits` promise that nobody holds or waits beside another.
"""

from __future__ import annotations

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

"""The store on PostgreSQL. Every method is one transaction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from afterwork.errors import InvalidOptionError, StoreError
from afterwork.stores import LEASE_LOST, Claim, JobState, Lease, RunRecord, kept_error

from .._urls import split_options
from . import _claims, _leases, _notes, _prune
from ._connections import Connections, Transaction
from ._errors import named, store_errors
from ._runs import COLUMNS, abandon, end, job_state, know, record
from ._schema import VERSION, migrate, migrations_done

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._connections import Pool


class PostgreSQLStore:
    """A store for all replicas of an app, on psycopg 3.

    `conninfo_or_pool` is a URL or a libpq connection string, or a `psycopg_pool.ConnectionPool` of
    yours, which is never closed. `namespace` keeps apart the apps that share the tables, `schema`
    is where these are: `open` makes it, and needs the right to do so only where it is missing.
    `timeout` is how many seconds connecting (at least 2), a statement and a lock may take.

    The clock is the server's. Any number of threads may use it, each with a connection of its own,
    and processes forked from one that has it open. A call costs three to eight round trips.
    """

    shared: Literal["process", "machine", "network"] = "network"

    def __init__(
        self,
        conninfo_or_pool: str | Pool,
        *,
        namespace: str = "default",
        schema: str = "afterwork",
        timeout: float = 5.0,
    ) -> None:
        if not namespace or not namespace.isprintable():
            raise InvalidOptionError("namespace", "a text that can be printed", namespace)
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            expected = "a name of small letters, digits and underscores"
            raise InvalidOptionError("schema", expected, schema)
        if not 0 < timeout <= 60:
            raise InvalidOptionError("timeout", "seconds, more than 0 and at most 60", timeout)
        self._name = named(conninfo_or_pool)
        self._namespace = namespace
        self._schema = schema
        self._connections = Connections(conninfo_or_pool, timeout, schema, namespace)

    @classmethod
    def from_url(cls, url: str) -> PostgreSQLStore:
        """A store from a URL alone; `?namespace=`, `?schema=` and `?timeout=` are taken from its
        query, the rest of it is libpq's. `postgres://` and `postgresql+psycopg://` are understood,
        too."""
        url, options = split_options(url, ("namespace", "schema", "timeout"))
        try:
            timeout = float(options.pop("timeout", 5.0))
        except ValueError:
            raise InvalidOptionError("timeout", "a number of seconds", url) from None
        scheme, mark, rest = url.partition("://")
        return cls(f"{scheme.partition('+')[0]}{mark}{rest}", timeout=timeout, **options)

    def __repr__(self) -> str:
        schema, namespace = self._schema, self._namespace
        return f"PostgreSQLStore({self._name!r}, namespace={namespace!r}, schema={schema!r})"

    def open(self) -> None:
        with self._doing("open it") as transaction:
            version = migrations_done(transaction)
        if version < VERSION:
            with self._doing("make its tables", "migrate") as transaction:
                # Somebody else may have done it while this waited for the lock.
                version = migrations_done(transaction)
                problem = migrate(transaction, version)
            if problem:
                raise StoreError(self._name, "make its tables", *problem)
        if version > VERSION:
            raise StoreError(
                self._name,
                "open it",
                f"the schema {self._schema} is of version {version}, and this afterwork knows up "
                f"to {VERSION}",
                "Upgrade afterwork, or use another schema.",
            )

    def close(self) -> None:
        self._connections.close()

    def now(self) -> float:
        with self._doing("tell the time") as transaction:
            return transaction.now

    # -- claims and leases

    def claim(
        self, run: RunRecord, keys: Sequence[str], *, keep: float, ttl: float, reopen: bool = False
    ) -> Claim:
        lock = ("job", self._namespace, run.job) if keys else ()
        with self._doing(f"claim {run.job}", *lock) as transaction:
            return _claims.claim(transaction, run, keys, keep, ttl, reopen)

    def acquire(self, run_id: str, lock: str | None, *, ttl: float) -> Lease:
        if lock is None:
            with self._doing("start a run") as transaction:
                started = _leases.start(transaction, run_id, ttl)
            return Lease(run_id if started else "", started)
        with self._doing("start a run", "lease", self._namespace, lock) as transaction:
            return _leases.acquire(transaction, run_id, lock, ttl)

    def wait(self, run_id: str, lock: str) -> bool:
        with self._doing("let a run wait", "lease", self._namespace, lock) as transaction:
            return _leases.wait(transaction, run_id, lock)

    def stop(self, lock: str, reason: str) -> bool:
        with self._doing("stop a run") as transaction:
            return bool(
                transaction.do(
                    """
                    UPDATE "$schema".runs SET stop = %(reason)s
                    WHERE namespace = %(namespace)s AND holds = %(lock)s
                        AND alive_until > %(now)s
                    """,
                    lock=lock,
                    reason=kept_error(reason),
                )
            )

    def renew(self, run_id: str, *, ttl: float) -> str | None:
        with self._doing("renew a run") as transaction:
            row = transaction.one(
                """
                UPDATE "$schema".runs SET alive_until = %(now)s + %(ttl)s
                WHERE namespace = %(namespace)s AND id = %(id)s AND alive_until IS NOT NULL
                RETURNING stop
                """,
                id=run_id,
                ttl=ttl,
            )
        reason: str | None = LEASE_LOST if row is None else row[0]
        return reason

    def finish(self, run: RunRecord) -> bool:
        with self._doing(f"write the end of {run.job}") as transaction:
            ended = end(
                transaction,
                run.id,
                run.state,
                reason=kept_error(run.reason),
                error=kept_error(run.error),
                duration=run.duration,
                attempt=run.attempt,
            )
        return ended is not None

    def reap(self) -> list[RunRecord]:
        with self._doing("look for dead runs") as transaction:
            dead = transaction.all(
                """
                SELECT job, id FROM "$schema".runs
                WHERE namespace = %(namespace)s AND alive_until <= %(now)s
                FOR UPDATE SKIP LOCKED
                """
            )
            # By job, as everybody locks them; a row that is locked is in other hands just now.
            marked = [abandon(transaction, run_id) for _, run_id in sorted(dead)]
        return [run for run in marked if run is not None]

    # -- runs

    def run(self, run_id: str) -> RunRecord | None:
        with self._doing("read a run") as transaction:
            row = transaction.one(
                f"""
                SELECT {COLUMNS} FROM "$schema".runs
                WHERE namespace = %(namespace)s AND id = %(id)s
                """,
                id=run_id,
            )
        return None if row is None else record(row)

    def runs(
        self,
        *,
        job: str | None = None,
        state: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[RunRecord]:
        wanted = {"job = %(job)s": job, "state = %(state)s": state, "id < %(before)s": before}
        where = [condition for condition, value in wanted.items() if value is not None]
        with self._doing("read runs") as transaction:
            rows = transaction.all(
                f"""
                SELECT {COLUMNS} FROM "$schema".runs
                WHERE {" AND ".join(["namespace = %(namespace)s", *where])}
                ORDER BY id DESC LIMIT %(limit)s
                """,
                job=job,
                state=state,
                before=before,
                limit=max(0, limit),
            )
        return [record(row) for row in rows]

    def prune(self, *, age: float, keep: int) -> int:
        for table in ("keys", "notes"):
            with self._doing("prune") as transaction:
                _prune.expired(transaction, table)
        with self._doing("prune") as transaction:
            return _prune.runs(transaction, age, keep)

    # -- jobs

    def register(self, jobs: Iterable[str]) -> None:
        with self._doing("register jobs") as transaction:
            know(transaction, list(jobs))

    def jobs(self, name: str | None = None) -> dict[str, JobState]:
        which = "" if name is None else "AND name = %(name)s"
        with self._doing("read the jobs") as transaction:
            rows = transaction.all(
                f"""
                SELECT name, registered_at, last_slot, last_run, last_success_at,
                    failures_in_a_row, counts, paused_since, paused_until, pause_note
                FROM "$schema".jobs WHERE namespace = %(namespace)s {which}
                """,
                name=name,
            )
        return {row[0]: job_state(row, transaction.now) for row in rows}

    def pause(self, job: str, *, seconds: float | None = None, note: str | None = None) -> None:
        with self._doing(f"pause {job}") as transaction:
            know(transaction, [job])
            transaction.do(
                """
                UPDATE "$schema".jobs
                SET paused_since = %(now)s, paused_until = %(until)s, pause_note = %(note)s
                WHERE namespace = %(namespace)s AND name = %(job)s
                """,
                job=job,
                until=None if seconds is None else transaction.now + seconds,
                note=note,
            )

    def resume(self, job: str) -> bool:
        with self._doing(f"resume {job}") as transaction:
            return bool(
                transaction.do(
                    """
                    UPDATE "$schema".jobs
                    SET paused_since = NULL, paused_until = NULL, pause_note = NULL
                    WHERE namespace = %(namespace)s AND name = %(job)s AND paused_since IS NOT NULL
                        AND (paused_until IS NULL OR paused_until > %(now)s)
                    """,
                    job=job,
                )
            )

    # -- notes

    def put(self, key: str, value: str, *, ttl: float | None = None) -> None:
        with self._doing("write a note") as transaction:
            _notes.write(transaction, key, value, ttl, replace=True)

    def add(self, key: str, value: str, *, ttl: float | None = None) -> bool:
        with self._doing("write a note") as transaction:
            return _notes.write(transaction, key, value, ttl, replace=False)

    def get(self, key: str) -> str | None:
        with self._doing("read a note") as transaction:
            return _notes.read(transaction, key)

    def delete(self, key: str) -> bool:
        with self._doing("delete a note") as transaction:
            return _notes.delete(transaction, key)

    def notes(self, prefix: str) -> dict[str, str]:
        with self._doing("read notes") as transaction:
            return _notes.beginning_with(transaction, prefix)

    # -- how it talks to PostgreSQL

    @contextmanager
    def _doing(self, doing: str, *lock: str) -> Iterator[Transaction]:
        with (
            store_errors(self._name, doing),
            self._connections.transaction(*lock) as transaction,
        ):
            yield transaction

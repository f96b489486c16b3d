"""The tables of a local store, in SQLite. Whoever uses them is inside a transaction."""

from __future__ import annotations

import json
from dataclasses import asdict

from ._local_tables import Kept, Lock
from ._store import JobState, Pause, RunRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from typing import Any

FORGOTTEN_AT_ONCE = 5000
"""How many keys, and how many notes, one `forget` deletes at most."""

MOST_RUNS = 50
"""Rows in one statement: SQLite takes 999 values at least."""

# In the order of the fields of RunRecord.
RECORD = """id, job, "trigger", state, slot, delivery, attempt, worker, claimed_at_seconds,
    started_at_seconds, ended_at_seconds, alive_until_seconds, duration_seconds, reason, error"""
FIELDS = tuple(RunRecord.__dataclass_fields__)
KEPT = f"{RECORD}, claimant, keys_until_seconds"
JOB = """name, registered_at_seconds, last_slot, last_run, last_success_at_seconds,
    failures_in_a_row, paused_at_seconds, paused_until_seconds, pause_note"""


# SQLite knows no sizes here and would rather walk the whole namespace, so each index is named.
INDEXES = {
    (): "",
    ("job",): "INDEXED BY runs_by_job",
    ("state",): "INDEXED BY runs_by_state",
    ("job", "state"): "INDEXED BY runs_by_job_and_state",
}


class SQLiteTables:
    """The rows of one namespace, at one moment."""

    def __init__(self, connection: sqlite3.Connection, namespace: str, now: float) -> None:
        self._connection = connection
        self._namespace = namespace
        self.now = now

    def _all(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a statement finds. The first of its values is the namespace."""
        return self._connection.execute(statement, (self._namespace, *values)).fetchall()

    def _one(self, statement: str, *values: Any) -> tuple[Any, ...] | None:
        return next(iter(self._all(statement, *values)), None)

    # -- runs

    def run(self, run_id: str) -> Kept | None:
        row = self._one(f"SELECT {KEPT} FROM runs WHERE namespace = ? AND id = ?", run_id)
        return None if row is None else Kept(_record(row[:-2]), *row[-2:])

    def save_run(self, kept: Kept) -> None:
        self.save_runs([kept])

    def save_runs(self, some: list[Kept]) -> None:
        """As `save_run`, for many in few statements."""
        for start in range(0, len(some), MOST_RUNS):
            rows = [
                (self._namespace, *_values(kept.record), kept.claimant, kept.keys_until)
                for kept in some[start : start + MOST_RUNS]
            ]
            marks = ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))
            self._connection.execute(
                f"REPLACE INTO runs (namespace, {KEPT}) VALUES {marks}",
                [value for row in rows for value in row],
            )

    def dead(self) -> list[str]:
        rows = self._all(
            "SELECT id FROM runs INDEXED BY runs_alive WHERE namespace = ? "
            "AND alive_until_seconds <= ? ORDER BY id",
            self.now,
        )
        return [run_id for (run_id,) in rows]

    def runs(
        self, job: str | None, state: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        asked = {"job": job, "state": state}
        given = {name: value for name, value in asked.items() if value is not None}
        conditions = ["namespace = ?", *(f"{name} = ?" for name in given)]
        values: list[object] = [*given.values()]
        if before is not None:
            conditions.append("id < ?")
            values.append(before)
        rows = self._all(
            f"SELECT {RECORD} FROM runs {INDEXES[tuple(given)]} "
            f"WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?",
            *values,
            limit,
        )
        return [_record(row) for row in rows]

    def doomed(self, age: float, keep: int, limit: int) -> list[str]:
        rows = self._all(
            "SELECT id FROM runs INDEXED BY runs_over WHERE namespace = ? "
            "AND alive_until_seconds IS NULL AND ended_at_seconds < ? "
            "AND keys_until_seconds <= ? LIMIT ?",
            *(self.now - age, self.now, limit),
        )
        found = {run_id for (run_id,) in rows}
        for (job,) in self._all("SELECT name FROM jobs WHERE namespace = ?"):
            if len(found) >= limit:
                break
            found.update(self._beyond(job, keep, limit))
        return sorted(found)[:limit]

    def _beyond(self, job: str, keep: int, limit: int) -> list[str]:
        """Runs of a job that are over and that `keep` newer ones are, too."""
        over = (
            "FROM runs INDEXED BY runs_over_by_job WHERE namespace = ? AND job = ? "
            "AND alive_until_seconds IS NULL"
        )
        newest = self._one(f"SELECT id {over} ORDER BY id DESC LIMIT 1 OFFSET ?", job, keep)
        rows = self._all(
            f"SELECT id {over} AND id <= ? AND keys_until_seconds <= ? ORDER BY id LIMIT ?",
            *(job, newest[0] if newest else "", self.now, limit),
        )
        return [run_id for (run_id,) in rows]

    def delete_runs(self, run_ids: Iterable[str]) -> None:
        self._connection.executemany(
            "DELETE FROM runs WHERE namespace = ? AND id = ?",
            [(self._namespace, run_id) for run_id in run_ids],
        )

    # -- keys and locks

    def key(self, job: str, key: str) -> str | None:
        row = self._one(
            "SELECT run FROM keys WHERE namespace = ? AND job = ? AND key = ? "
            "AND until_seconds > ?",
            *(job, key, self.now),
        )
        return None if row is None else row[0]

    def save_key(self, job: str, key: str, run_id: str, until: float) -> None:
        self._all(
            "REPLACE INTO keys (namespace, job, key, run, until_seconds) VALUES (?, ?, ?, ?, ?)",
            *(job, key, run_id, until),
        )

    def lock(self, name: str) -> Lock | None:
        row = self._one(
            "SELECT holder, token, stop, waiting FROM locks WHERE namespace = ? AND name = ?", name
        )
        return None if row is None else Lock(*row)

    def locks_of(self, run_id: str) -> list[tuple[str, Lock]]:
        rows = self._all(
            "SELECT name, holder, token, stop, waiting FROM locks WHERE namespace = ? "
            "AND ? IN (holder, waiting)",
            run_id,
        )
        return [(name, Lock(*row)) for name, *row in rows]

    def save_lock(self, name: str, lock: Lock | None) -> None:
        if lock is None:
            self._all("DELETE FROM locks WHERE namespace = ? AND name = ?", name)
        else:
            self._all(
                "REPLACE INTO locks (namespace, name, holder, token, stop, waiting) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                *(name, lock.holder, lock.token, lock.stop, lock.waiting),
            )

    def next_token(self) -> int:
        self._all(
            "INSERT INTO tokens (namespace, last) VALUES (?, 1) "
            "ON CONFLICT (namespace) DO UPDATE SET last = last + 1"
        )
        ((last,),) = self._all("SELECT last FROM tokens WHERE namespace = ?")
        token: int = last
        return token

    # -- jobs

    def job(self, name: str) -> JobState | None:
        row = self._one(f"SELECT {JOB} FROM jobs WHERE namespace = ? AND name = ?", name)
        return None if row is None else _job(row, {})

    def save_job(self, job: JobState) -> None:
        pause = job.pause or Pause(0.0, None)
        values = (
            *(job.name, job.registered_at, job.last_slot),
            job.last_run and json.dumps(asdict(job.last_run)),
            *(job.last_success_at, job.failures_in_a_row),
            *(job.pause and pause.since, pause.until, pause.note),
        )
        self._all(f"REPLACE INTO jobs (namespace, {JOB}) VALUES ({_marks(values)})", *values)

    def count(self, job: str, state: str, number: int = 1) -> None:
        self._all(
            "INSERT INTO counts (namespace, job, state, number) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (namespace, job, state) DO UPDATE SET number = number + excluded.number",
            *(job, state, number),
        )

    def jobs(self, name: str | None) -> list[JobState]:
        counts: dict[str, dict[str, int]] = {}
        which = () if name is None else (name,)
        one = "" if name is None else "AND job = ?"
        for job, state, number in self._all(
            f"SELECT job, state, number FROM counts WHERE namespace = ? {one}", *which
        ):
            counts.setdefault(job, {})[state] = number
        one = "" if name is None else "AND name = ?"
        rows = self._all(f"SELECT {JOB} FROM jobs WHERE namespace = ? {one}", *which)
        return [_job(row, counts.get(row[0], {})) for row in rows]

    # -- notes

    def note(self, key: str) -> str | None:
        row = self._one(
            "SELECT value FROM notes WHERE namespace = ? AND key = ? "
            "AND coalesce(until_seconds > ?, 1)",
            *(key, self.now),
        )
        return None if row is None else row[0]

    def save_note(self, key: str, value: str, until: float | None) -> None:
        self._all(
            "REPLACE INTO notes (namespace, key, value, until_seconds) VALUES (?, ?, ?, ?)",
            *(key, value, until),
        )

    def delete_note(self, key: str) -> None:
        self._all("DELETE FROM notes WHERE namespace = ? AND key = ?", key)

    def notes(self, prefix: str) -> dict[str, str]:
        # Compared as text and not with LIKE or GLOB, so that each character means itself.
        rows = self._all(
            "SELECT key, value FROM notes WHERE namespace = ? AND key >= ? "
            "AND substr(key, 1, ?) = ? AND coalesce(until_seconds > ?, 1)",
            *(prefix, len(prefix), prefix, self.now),
        )
        return dict(rows)

    def forget(self) -> None:
        for table, key in (("keys", "job, key"), ("notes", "key")):
            self._all(
                f"DELETE FROM {table} WHERE (namespace, {key}) IN (SELECT namespace, {key} "
                f"FROM {table} WHERE namespace = ? AND until_seconds <= ? LIMIT ?)",
                *(self.now, FORGOTTEN_AT_ONCE),
            )


def _marks(values: tuple[object, ...]) -> str:
    """The question marks for a namespace and these values."""
    return ", ".join("?" * (len(values) + 1))


def _record(row: tuple[Any, ...]) -> RunRecord:
    return RunRecord(**dict(zip(FIELDS, row, strict=True)))


def _values(record: RunRecord) -> tuple[Any, ...]:
    return tuple(getattr(record, field) for field in FIELDS)


def _job(row: tuple[Any, ...], counts: dict[str, int]) -> JobState:
    name, registered_at, last_slot, last_run, last_success_at, failures, since, until, note = row
    return JobState(
        name=name,
        registered_at=registered_at,
        last_slot=last_slot,
        last_run=last_run and RunRecord(**json.loads(last_run)),
        last_success_at=last_success_at,
        failures_in_a_row=failures,
        pause=None if since is None else Pause(since, until, note),
        counts=counts,
    )

"""The rows of the journal, in SQLite. Whoever uses them is inside a transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._envelope import MOST_CRASHES, Envelope
from ._journal_schema import JOURNAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from ._rate import Rate
    from ._store import RunRecord

WAITING = "waiting"
RUNNING = "running"
FAILED = "failed"
"""The states of a call that is not over; `failed` is a dead letter, kept until somebody decides."""

GIVEN_UP = f"given up: more than {MOST_CRASHES} of its runs ended with their process"

# In the order of the fields of Envelope.
ENVELOPE = """id, job, payload, run_at_seconds, key, priority, attempt, crashes, retry, trace,
    enqueued_at_seconds"""
ROW = f"{ENVELOPE}, state, owner, changed_at_seconds, error"
ADD = f"""
    INSERT INTO calls (namespace, {ENVELOPE}, state, owner, changed_at_seconds)
    VALUES """
ADD_ROW = f"({', '.join('?' * 15)})"
MOST_ROWS = 60
"""Rows in one statement: SQLite takes 999 values at least."""
MOST_IDS = 900


@dataclass(frozen=True, slots=True)
class Call:
    """A call in the journal."""

    envelope: Envelope
    state: str
    """`waiting`, `running` or `failed`."""
    owner: str | None
    """The id of the process that runs it."""
    changed_at: float
    """When it came into this state, in seconds since the epoch."""
    error: str | None
    """Class and text of what its last attempt raised."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job's calls are held back by, over all processes."""

    concurrency: int | None
    rate: Rate | None


class JournalTables:
    """The calls of one namespace, at one moment."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        namespace: str,
        now: float,
        record: Callable[[list[RunRecord]], None],
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self.now = now
        self.record = record
        """Writes down runs that are over, in the same transaction where there is one."""

    def _all(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, (self._namespace, *values)).fetchall()

    def _change(self, statement: str, *values: Any) -> int:
        return self._connection.execute(statement, (self._namespace, *values)).rowcount

    # -- taking in

    def with_key(self, job: str, key: str) -> str | None:
        """The id of the call of a job that has this key and is not over."""
        found = self._all(
            "SELECT id FROM calls WHERE namespace = ? AND job = ? AND key = ? "
            "AND key IS NOT NULL AND state != 'failed'",
            *(job, key),
        )
        run_id: str | None = found[0][0] if found else None
        return run_id

    def add(self, rows: Sequence[tuple[Envelope, str | None]]) -> None:
        """Takes calls in, each for an owner at once or for whoever comes."""
        for start in range(0, len(rows), MOST_ROWS):
            some = rows[start : start + MOST_ROWS]
            values: list[Any] = []
            for envelope, owner in some:
                run_at = envelope.run_at
                values += (
                    self._namespace,
                    envelope.id,
                    envelope.job,
                    envelope.payload,
                    self.now if run_at is None else run_at,
                    envelope.key,
                    envelope.priority,
                    envelope.attempt,
                    envelope.crashes,
                    envelope.retry,
                    envelope.trace,
                    envelope.enqueued_at,
                    WAITING if owner is None else RUNNING,
                    owner,
                    self.now,
                )
            self._connection.execute(ADD + ", ".join([ADD_ROW] * len(some)), values)

    # -- taking out

    def due_at(self, jobs: Iterable[str]) -> float | None:
        """When the next call of these jobs is due; None if none waits."""
        names = list(jobs)
        rows = self._all(
            "SELECT min(run_at_seconds) FROM calls INDEXED BY calls_waiting "
            f"WHERE namespace = ? AND state = 'waiting' AND job IN ({_marks(names)})",
            *names,
        )
        moment: float | None = rows[0][0]
        return moment

    def take(
        self, owner: str, jobs: Iterable[str], limits: Mapping[str, Limits], most: int
    ) -> list[Envelope]:
        """Makes calls that are due this owner's, the most important first, at most so many, and no
        more of a job than its limits let."""
        names = [name for name in jobs if self._room(name, limits.get(name)) > 0]
        taken: list[Envelope] = []
        while names and len(taken) < most:
            rows = self._all(
                f"SELECT {ENVELOPE} FROM calls INDEXED BY calls_waiting WHERE namespace = ? "
                f"AND state = 'waiting' AND run_at_seconds <= ? AND job IN ({_marks(names)}) "
                "ORDER BY priority DESC, run_at_seconds, id LIMIT ?",
                *(self.now, *names, most - len(taken)),
            )
            if not rows:
                break
            for row in rows:
                envelope = Envelope(**dict(zip(_FIELDS, row, strict=True)))
                limit = limits.get(envelope.job)
                if limit is not None and self._room(envelope.job, limit) <= 0:
                    if envelope.job in names:
                        names.remove(envelope.job)
                    continue
                self._own(envelope, owner, limit)
                taken.append(envelope)
        return taken

    def _own(self, envelope: Envelope, owner: str, limit: Limits | None) -> None:
        self._change(
            "UPDATE calls SET state = 'running', owner = ?2, changed_at_seconds = ?3, counted = ?4 "
            "WHERE namespace = ?1 AND id = ?5",
            *(owner, self.now, int(limit is not None), envelope.id),
        )
        if limit is not None and limit.rate is not None:
            self._change(
                "REPLACE INTO rates (namespace, job, full_at_seconds) VALUES (?, ?, ?)",
                envelope.job,
                max(self._full_at(envelope.job), self.now) + limit.rate.interval,
            )

    def _room(self, job: str, limits: Limits | None) -> float:
        """How many calls of a job may start now."""
        if limits is None:
            return 1
        room = float("inf")
        if limits.concurrency is not None:
            ((running,),) = self._all(
                "SELECT count(*) FROM calls INDEXED BY calls_counted WHERE namespace = ? "
                "AND job = ? AND counted = 1 AND state = 'running'",
                job,
            )
            room = limits.concurrency - running
        if limits.rate is not None:
            used = max(self._full_at(job) - self.now, 0.0) / limits.rate.interval
            room = min(room, int(limits.rate.count - used + 1e-9))
        return room

    def _full_at(self, job: str) -> float:
        rows = self._all("SELECT full_at_seconds FROM rates WHERE namespace = ? AND job = ?", job)
        return rows[0][0] if rows else 0.0

    # -- giving back and ending: each says whether the call was still this owner's

    def own(self, run_ids: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Who runs these calls, and in which attempt; those that run."""
        rows = self._in("SELECT id, owner, attempt FROM calls", "AND state = 'running'", run_ids)
        return {run_id: (owner, attempt) for run_id, owner, attempt in rows}

    def delete(self, run_ids: Sequence[str]) -> None:
        """These calls are over."""
        self._in("DELETE FROM calls", "", run_ids)

    def _in(self, statement: str, and_that: str, run_ids: Sequence[str]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(run_ids), MOST_IDS):
            some = run_ids[start : start + MOST_IDS]
            where = f"WHERE namespace = ? AND id IN ({_marks(some)}) {and_that}"
            rows += self._all(f"{statement} {where}", *some)
        return rows

    def fail(self, envelope: Envelope, owner: str, error: str | None) -> bool:
        """A call is over without success, and is kept as a dead letter."""
        return bool(
            self._change(
                "UPDATE calls SET state = 'failed', owner = NULL, key = NULL, error = ?5, "
                "changed_at_seconds = ?6 WHERE namespace = ?1 AND id = ?2 AND owner = ?3 "
                "AND attempt = ?4 AND state = 'running'",
                *(envelope.id, owner, envelope.attempt, error, self.now),
            )
        )

    def give_back(
        self, envelope: Envelope, owner: str, following: Envelope, error: str | None
    ) -> bool:
        """A call waits for its next attempt."""
        return bool(
            self._change(
                "UPDATE calls SET state = 'waiting', owner = NULL, error = ?5, attempt = ?6, "
                "crashes = ?7, run_at_seconds = ?8, changed_at_seconds = ?9 "
                "WHERE namespace = ?1 AND id = ?2 AND owner = ?3 AND attempt = ?4 "
                "AND state = 'running'",
                *(envelope.id, owner, envelope.attempt, error, following.attempt),
                *(following.crashes, following.run_at or self.now, self.now),
            )
        )

    # -- owners

    def beat(self, owner: str, worker: str, ttl: float) -> list[str]:
        """An owner is alive for so long. Returns the ids of the calls that are its own."""
        self._change(
            "REPLACE INTO owners (namespace, id, worker, alive_until_seconds) VALUES (?, ?, ?, ?)",
            *(owner, worker, self.now + ttl),
        )
        rows = self._all(
            "SELECT id FROM calls WHERE namespace = ? AND state = 'running' AND owner = ?", owner
        )
        return [run_id for (run_id,) in rows]

    def dead_owners(self) -> list[str]:
        """Those whose time has passed."""
        rows = self._all(
            "SELECT id FROM owners WHERE namespace = ? AND alive_until_seconds <= ?", self.now
        )
        return [owner for (owner,) in rows]

    def take_over(self, owner: str) -> list[Call]:
        """Lets others have what a dead owner left. Returns it; what was lost too often is a dead
        letter then."""
        rows = self._all(
            f"SELECT {ROW} FROM calls WHERE namespace = ? AND state = 'running' AND owner = ?",
            owner,
        )
        calls = [_call(row) for row in rows]
        self._change(
            "UPDATE calls SET state = CASE WHEN crashes >= ?3 THEN 'failed' ELSE 'waiting' END, "
            "error = CASE WHEN crashes >= ?3 THEN ?5 ELSE error END, "
            "key = CASE WHEN crashes >= ?3 THEN NULL ELSE key END, "
            "owner = NULL, attempt = attempt + 1, crashes = crashes + 1, "
            "changed_at_seconds = ?4, run_at_seconds = ?4 "
            "WHERE namespace = ?1 AND state = 'running' AND owner = ?2",
            *(owner, MOST_CRASHES, self.now, GIVEN_UP),
        )
        self.forget_owner(owner)
        return calls

    def forget_owner(self, owner: str) -> None:
        """An owner is gone, and has nothing left."""
        self._change("DELETE FROM owners WHERE namespace = ? AND id = ?", owner)

    # -- looking and deciding

    def find(self, run_id: str) -> Call | None:
        """One call that is not over."""
        rows = self._all(f"SELECT {ROW} FROM calls WHERE namespace = ? AND id = ?", run_id)
        return _call(rows[0]) if rows else None

    def calls(
        self, state: str | None, job: str | None, before: str | None, limit: int
    ) -> list[Call]:
        """Calls that are not over, the newest first."""
        asked = {"state = ?": state, "job = ?": job, "id < ?": before}
        given = {text: value for text, value in asked.items() if value is not None}
        conditions = " AND ".join(("namespace = ?", *given))
        rows = self._all(
            f"SELECT {ROW} FROM calls WHERE {conditions} ORDER BY id DESC LIMIT ?",
            *(*given.values(), limit),
        )
        return [_call(row) for row in rows]

    def jobs_waiting(self) -> list[str]:
        """The names of the jobs that have calls waiting."""
        rows = self._all(
            "SELECT DISTINCT job FROM calls INDEXED BY calls_waiting WHERE namespace = ? "
            "AND state = 'waiting'"
        )
        return [job for (job,) in rows]

    def withdraw(self, run_id: str) -> Call | None:
        """Takes back a call that waits. Returns it."""
        call = self.find(run_id)
        if call is None or call.state != WAITING:
            return None
        self._change("DELETE FROM calls WHERE namespace = ? AND id = ?", run_id)
        return call

    def revive(self, run_ids: Sequence[str], new_id: Callable[[], str]) -> list[str]:
        """Makes new calls of dead letters. Returns their ids."""
        revived: list[str] = []
        for run_id in run_ids:
            call = self.find(run_id)
            if call is not None and call.state == FAILED:
                self.bury([run_id])
                fresh = replace(call.envelope, id=new_id(), attempt=1, crashes=0, run_at=None)
                self.add([(fresh, None)])
                revived.append(fresh.id)
        return revived

    def bury(self, run_ids: Sequence[str]) -> int:
        """Deletes dead letters. Returns how many."""
        return sum(
            self._change(
                "DELETE FROM calls WHERE namespace = ? AND id = ? AND state = 'failed'", run_id
            )
            for run_id in run_ids
        )


def journal_in_memory() -> sqlite3.Connection:
    """A journal that ends with its process."""
    import sqlite3

    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for statement in JOURNAL:
        connection.execute(statement)
    return connection


_FIELDS = tuple(Envelope.__dataclass_fields__)


def _call(row: tuple[Any, ...]) -> Call:
    envelope = Envelope(**dict(zip(_FIELDS, row[: len(_FIELDS)], strict=True)))
    return Call(envelope, *row[len(_FIELDS) :])


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))

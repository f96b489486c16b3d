"""A store in the memory of one process: for tests, and for apps that run as one process."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace

from ._clock import SYSTEM_CLOCK
from ._journal_tables import JournalTables, journal_in_memory
from ._local_store import LocalStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from typing import Literal

    from ._clock import Clock
    from ._local_tables import Kept, Lock
    from ._store import JobState, RunRecord

MAX_ENDED = 10_000
"""How many records of runs that are over are kept without anybody asking to prune."""
SWEEP_EVERY = 1000
"""After so many steps that write it looks for what need not be kept."""


class MemoryStore(LocalStore):
    """A store that ends with its process, and that no other process sees.

    With several processes each has its own, so each runs every slot. Use it in tests, and where the
    app is one process and what happened before a restart need not be known after it.

    It does not grow without bound: of the runs that are over it keeps the newest 10,000 or a few
    more, and those that a key stands for which still counts. `close` forgets nothing.
    """

    shared: Literal["process", "machine", "network"] = "process"

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.blocks = type(self) is not MemoryStore  # what a subclass does is not known
        self._clock = clock
        self._guard = threading.Lock()
        self._tables = MemoryTables()
        self._writes = 0
        self._journal: sqlite3.Connection | None = None
        self._journal_guard = threading.Lock()

    def open(self) -> None:
        """Does nothing: there is nothing to connect to."""

    def close(self) -> None:
        """Does nothing, and keeps everything."""

    def now(self) -> float:
        """The clock that was given."""
        return self._clock.now()

    @contextmanager
    def journal(self, doing: str, *, writes: bool = True) -> Iterator[JournalTables]:
        """The journal's rows, for one transaction."""
        ended: list[RunRecord] = []
        with self._journal_guard:
            if self._journal is None:
                self._journal = journal_in_memory()
            connection = self._journal
            connection.execute("BEGIN")
            try:
                yield JournalTables(connection, "", self.now(), ended.extend)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        for record in ended:
            self.claim(record, (), keep=0, ttl=0)

    @contextmanager
    def _step(self, doing: str, *, writes: bool = True) -> Iterator[MemoryTables]:
        with self._guard:
            tables = self._tables
            tables.now = self.now()
            self._writes += writes
            if self._writes >= SWEEP_EVERY:
                self._writes = 0
                tables.forget()
                tables.delete_runs(tables.spare_runs()[MAX_ENDED:])
            yield tables


class MemoryTables:
    """Tables that are dicts."""

    def __init__(self) -> None:
        self.now = 0.0
        self._runs: dict[str, Kept] = {}
        self._live: set[str] = set()
        self._keys: dict[tuple[str, str], tuple[str, float]] = {}
        self._locks: dict[str, Lock] = {}
        self._token = 0
        self._jobs: dict[str, JobState] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._notes: dict[str, tuple[str, float]] = {}

    def run(self, run_id: str) -> Kept | None:
        return self._runs.get(run_id)

    def save_run(self, kept: Kept) -> None:
        self._runs[kept.record.id] = kept
        if kept.record.live:
            self._live.add(kept.record.id)
        else:
            self._live.discard(kept.record.id)

    def dead(self) -> list[str]:
        alive_until = ((self._runs[run_id].record.alive_until, run_id) for run_id in self._live)
        return sorted(run_id for until, run_id in alive_until if until and until <= self.now)

    def runs(
        self, job: str | None, state: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        found = [
            run_id
            for run_id, kept in self._runs.items()
            if (job is None or kept.record.job == job)
            and (state is None or kept.record.state == state)
            and (before is None or run_id < before)
        ]
        return [self._runs[run_id].record for run_id in sorted(found, reverse=True)[:limit]]

    def doomed(self, age: float, keep: int, limit: int) -> list[str]:
        over: dict[str, int] = {}
        found = []
        for run_id in sorted(self._runs, reverse=True):
            kept = self._runs[run_id]
            if kept.record.live:
                continue
            over[kept.record.job] = over.get(kept.record.job, 0) + 1
            old = (kept.record.ended_at or 0.0) < self.now - age
            if kept.keys_until <= self.now and (old or over[kept.record.job] > keep):
                found.append(run_id)
        return found[-limit:]

    def spare_runs(self) -> list[str]:
        """The runs that are over and that no key stands for, the newest first."""
        spare = (i for i, kept in self._runs.items() if not kept.record.live)
        return sorted((i for i in spare if self._runs[i].keys_until <= self.now), reverse=True)

    def delete_runs(self, run_ids: Iterable[str]) -> None:
        for run_id in run_ids:
            del self._runs[run_id]

    def key(self, job: str, key: str) -> str | None:
        run_id, until = self._keys.get((job, key), ("", self.now))
        return run_id if until > self.now else None

    def save_key(self, job: str, key: str, run_id: str, until: float) -> None:
        self._keys[job, key] = run_id, until

    def lock(self, name: str) -> Lock | None:
        return self._locks.get(name)

    def locks_of(self, run_id: str) -> list[tuple[str, Lock]]:
        return [
            (name, lock)
            for name, lock in self._locks.items()
            if run_id in (lock.holder, lock.waiting)
        ]

    def save_lock(self, name: str, lock: Lock | None) -> None:
        if lock is None:
            del self._locks[name]
        else:
            self._locks[name] = lock

    def next_token(self) -> int:
        self._token += 1
        return self._token

    def job(self, name: str) -> JobState | None:
        return self._jobs.get(name)

    def save_job(self, job: JobState) -> None:
        self._jobs[job.name] = job

    def count(self, job: str, state: str) -> None:
        counts = self._counts.setdefault(job, {})
        counts[state] = counts.get(state, 0) + 1

    def jobs(self, name: str | None) -> list[JobState]:
        names = self._jobs if name is None else self._jobs.keys() & {name}
        return [replace(self._jobs[n], counts={**self._counts.get(n, {})}) for n in names]

    def note(self, key: str) -> str | None:
        value, until = self._notes.get(key, ("", self.now))
        return value if until > self.now else None

    def save_note(self, key: str, value: str, until: float | None) -> None:
        self._notes[key] = value, float("inf") if until is None else until

    def delete_note(self, key: str) -> None:
        self._notes.pop(key, None)

    def notes(self, prefix: str) -> dict[str, str]:
        return {
            key: value
            for key, (value, until) in self._notes.items()
            if until > self.now and key.startswith(prefix)
        }

    def forget(self) -> None:
        self._keys = {name: key for name, key in self._keys.items() if key[1] > self.now}
        self._notes = {name: note for name, note in self._notes.items() if note[1] > self.now}

"""The rules of the stores on this machine, once for all of them.

1. A step takes the tables, and is alone with them until it is done. If it fails, nothing was done.
2. Whoever finds a dead run in its way marks it as abandoned.
3. A lock that nobody holds and nobody waits for is not kept; tokens go on growing all the same,
   because all locks share one count.
4. This file knows neither how tables are kept nor what a clock is.
"""

from __future__ import annotations

from dataclasses import replace

from ._local_steps import begun, buried, end, is_newer, known_job, pause_of, place_of, reopened
from ._local_tables import Kept, Lock
from ._store import (
    CLAIMED,
    LEASE_LOST,
    NEWER_WAITS,
    REOPENABLE,
    RUNNING,
    Claim,
    JobState,
    Lease,
    Pause,
    kept_error,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from ._local_tables import Tables
    from ._store import RunRecord

PRUNED_AT_ONCE = 1000
"""How many records one call of `prune` deletes at most."""


class LocalStore:
    """All of `Store` but opening and time; a subclass gives the tables, in `_step`."""

    if TYPE_CHECKING:

        def _step(self, doing: str, *, writes: bool = True) -> AbstractContextManager[Tables]:
            """The tables for one step; `doing` is for the error if it fails."""
            ...

    # -- claims and leases

    def claim(
        self, run: RunRecord, keys: Sequence[str], *, keep: float, ttl: float, reopen: bool = False
    ) -> Claim:
        """See `Store`."""
        with self._step("claim a run") as tables:
            taken = (tables.key(run.job, key) for key in keys)
            kept = tables.run(next((run_id for run_id in taken if run_id is not None), run.id))
            if kept is None:
                kept = begun(tables, run, ttl)
            elif kept.claimant == run.id:
                return Claim(kept.record, mine=True)
            else:
                kept = buried(tables, kept)
                if not reopen or kept.record.state not in REOPENABLE:
                    return Claim(kept.record, mine=False)
                kept = Kept(reopened(kept.record, run, tables.now + ttl), run.id, kept.keys_until)
            if keys:
                kept = replace(kept, keys_until=max(kept.keys_until, tables.now + keep))
            tables.save_run(kept)
            for key in keys:
                if tables.key(run.job, key) in (None, kept.record.id):
                    tables.save_key(run.job, key, kept.record.id, tables.now + keep)
            return Claim(kept.record, mine=True)

    def acquire(self, run_id: str, lock: str | None, *, ttl: float) -> Lease:
        """See `Store`."""
        with self._step("start a run") as tables:
            kept = tables.run(run_id)
            if kept is None or not kept.record.live:
                return Lease("", mine=False)
            place = Lock()
            if lock is not None:
                place = place_of(tables, lock, run_id)
                first = place.holder or place.waiting or run_id
                if first != run_id:
                    return Lease(first, mine=False)
                if place.holder is None:
                    place = Lock(run_id, tables.next_token())
                    tables.save_lock(lock, place)
            record = replace(kept.record, alive_until=tables.now + ttl)
            if record.state == CLAIMED:
                record = replace(record, state=RUNNING, started_at=tables.now)
            tables.save_run(replace(kept, record=record))
            return Lease(run_id, mine=True, token=place.token)

    def wait(self, run_id: str, lock: str) -> bool:
        """See `Store`."""
        with self._step("let a run wait") as tables:
            kept = tables.run(run_id)
            if kept is None or buried(tables, kept).record.state != CLAIMED:
                return False
            before = tables.run(place_of(tables, lock, run_id).waiting or "")
            if before is not None and before != kept:
                loser = kept if is_newer(before.record.slot, kept.record.slot) else before
                end(tables, loser, replace(loser.record, state="skipped", reason=NEWER_WAITS))
                if loser is kept:
                    return False
            tables.save_lock(lock, replace(tables.lock(lock) or Lock(), waiting=run_id))
            return True

    def stop(self, lock: str, reason: str) -> bool:
        """See `Store`."""
        with self._step("ask a run to end") as tables:
            place = tables.lock(lock)
            if place is None or place.holder is None:
                return False
            tables.save_lock(lock, replace(place, stop=reason))
            return True

    def renew(self, run_id: str, *, ttl: float) -> str | None:
        """See `Store`."""
        with self._step("renew a run") as tables:
            kept = tables.run(run_id)
            if kept is None or not kept.record.live:
                return LEASE_LOST
            tables.save_run(
                replace(kept, record=replace(kept.record, alive_until=tables.now + ttl))
            )
            locks = [lock for _, lock in tables.locks_of(run_id) if lock.holder == run_id]
            return next((lock.stop for lock in locks if lock.stop is not None), None)

    def finish(self, run: RunRecord) -> bool:
        """See `Store`."""
        with self._step("write the end of a run") as tables:
            kept = tables.run(run.id)
            if kept is None or not kept.record.live or kept.record.attempt > run.attempt:
                return False
            ended = replace(
                kept.record,
                state=run.state,
                attempt=run.attempt,
                duration=run.duration,
                reason=run.reason,
                error=kept_error(run.error),
            )
            end(tables, kept, ended)
            return True

    def reap(self) -> list[RunRecord]:
        """See `Store`."""
        with self._step("look for dead runs", writes=False) as tables:
            if not tables.dead():
                return []  # as nearly always; a step that only reads holds nobody up
        with self._step("take down dead runs") as tables:
            found = [tables.run(run_id) for run_id in tables.dead()]
            return [buried(tables, kept).record for kept in found if kept is not None]

    # -- runs

    def run(self, run_id: str) -> RunRecord | None:
        """See `Store`."""
        with self._step("read a run", writes=False) as tables:
            kept = tables.run(run_id)
            return None if kept is None else kept.record

    def runs(
        self,
        *,
        job: str | None = None,
        state: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[RunRecord]:
        """See `Store`."""
        with self._step("read runs", writes=False) as tables:
            return tables.runs(job, state, before, max(limit, 0))

    def prune(self, *, age: float, keep: int) -> int:
        """See `Store`."""
        with self._step("prune") as tables:
            tables.forget()
            doomed = tables.doomed(age, keep, PRUNED_AT_ONCE)
            tables.delete_runs(doomed)
            return len(doomed)

    # -- jobs

    def register(self, jobs: Iterable[str]) -> None:
        """See `Store`."""
        with self._step("register jobs") as tables:
            for name in jobs:
                tables.save_job(known_job(tables, name))

    def jobs(self, name: str | None = None) -> dict[str, JobState]:
        """See `Store`."""
        with self._step("read jobs", writes=False) as tables:
            found = tables.jobs(name)
            return {job.name: replace(job, pause=pause_of(tables, job)) for job in found}

    def pause(self, job: str, *, seconds: float | None = None, note: str | None = None) -> None:
        """See `Store`."""
        with self._step("pause a job") as tables:
            until = None if seconds is None else tables.now + seconds
            tables.save_job(replace(known_job(tables, job), pause=Pause(tables.now, until, note)))

    def resume(self, job: str) -> bool:
        """See `Store`."""
        with self._step("resume a job") as tables:
            known = tables.job(job)
            if known is None or pause_of(tables, known) is None:
                return False
            tables.save_job(replace(known, pause=None))
            return True

    # -- notes

    def put(self, key: str, value: str, *, ttl: float | None = None) -> None:
        """See `Store`."""
        with self._step("keep a note") as tables:
            tables.save_note(key, value, None if ttl is None else tables.now + ttl)

    def add(self, key: str, value: str, *, ttl: float | None = None) -> bool:
        """See `Store`."""
        with self._step("keep a note") as tables:
            if tables.note(key) is not None:
                return False
            tables.save_note(key, value, None if ttl is None else tables.now + ttl)
            return True

    def get(self, key: str) -> str | None:
        """See `Store`."""
        with self._step("read a note", writes=False) as tables:
            return tables.note(key)

    def delete(self, key: str) -> bool:
        """See `Store`."""
        with self._step("delete a note") as tables:
            known = tables.note(key) is not None
            tables.delete_note(key)
            return known

    def notes(self, prefix: str) -> dict[str, str]:
        """See `Store`."""
        with self._step("read notes", writes=False) as tables:
            return tables.notes(prefix)

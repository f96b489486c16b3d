"""The small steps that the rules of local stores are made of."""

from __future__ import annotations

from dataclasses import replace

from ._local_tables import Kept, Lock
from ._store import CLAIMED, DIED, FAILURES, LIVE, JobState, kept_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._local_tables import Tables
    from ._store import Pause, RunRecord


def begun(tables: Tables, run: RunRecord, ttl: float) -> Kept:
    """A new run, as its claim stores it. Its job and counts are written, it is not."""
    over = run.state not in LIVE
    record = replace(
        run,
        claimed_at=tables.now,
        ended_at=tables.now if over else run.ended_at,
        alive_until=None if over else tables.now + ttl,
        error=kept_error(run.error),
    )
    job = known_job(tables, run.job)
    slots = [slot for slot in (job.last_slot, run.slot) if slot is not None]
    tables.save_job(replace(job, last_slot=max(slots, default=None)))
    if over:
        _count(tables, record)
    return Kept(record, claimant=run.id)


def reopened(record: RunRecord, run: RunRecord, alive_until: float) -> RunRecord:
    """The next attempt of a run, as `run` asks for it."""
    return replace(
        record,
        state=CLAIMED,
        attempt=max(record.attempt + 1, run.attempt),
        worker=run.worker,
        trigger=run.trigger,
        started_at=None,
        ended_at=None,
        alive_until=alive_until,
        duration=None,
        reason=None,
        error=None,
    )


def end(tables: Tables, kept: Kept, record: RunRecord) -> Kept:
    """Writes the end of a live run; `record` says which."""
    record = replace(record, ended_at=tables.now, alive_until=None)
    kept = replace(kept, record=record)
    tables.save_run(kept)
    _count(tables, record)
    for name, lock in tables.locks_of(record.id):
        if lock.holder == record.id:
            lock = Lock(waiting=lock.waiting)
        if lock.waiting == record.id:
            lock = replace(lock, waiting=None)
        tables.save_lock(name, lock if lock.holder or lock.waiting else None)
    return kept


def buried(tables: Tables, kept: Kept) -> Kept:
    """Marks a run as abandoned if it is live and its time has passed. Returns how it is now."""
    until = kept.record.alive_until
    if until is None or until > tables.now:
        return kept
    return end(tables, kept, replace(kept.record, state="abandoned", reason=DIED))


def place_of(tables: Tables, name: str, run_id: str) -> Lock:
    """The lock as it is once all others who hold it or wait for it and are dead are gone."""
    lock = tables.lock(name) or Lock()
    for other in (lock.holder, lock.waiting):
        kept = None if other in (None, run_id) else tables.run(other or "")
        if kept is not None:
            buried(tables, kept)
    return tables.lock(name) or Lock()


def is_newer(slot: int | None, than: int | None) -> bool:
    """Whether what came before has a newer slot than what comes now."""
    return slot is not None and than is not None and slot > than


def known_job(tables: Tables, name: str) -> JobState:
    """The state of a job, which is seen now if it was not before."""
    return tables.job(name) or JobState(name=name, registered_at=tables.now)


def pause_of(tables: Tables, job: JobState) -> Pause | None:
    """The pause of a job, if it is not over."""
    pause = job.pause
    if pause is None or pause.until is None or pause.until > tables.now:
        return pause
    return None


def _count(tables: Tables, record: RunRecord) -> None:
    tables.count(record.job, record.state)
    tables.save_job(counted(known_job(tables, record.job), record))


def counted(job: JobState, record: RunRecord) -> JobState:
    """The state of a job once that run is over, but for its counts."""
    if record.state not in ("skipped", "missed"):
        job = replace(job, last_run=record)
    if record.state == "succeeded":
        job = replace(job, last_success_at=record.ended_at, failures_in_a_row=0)
    elif record.state in FAILURES:
        job = replace(job, failures_in_a_row=job.failures_in_a_row + 1)
    return job

"""What is due now: the sweep behind `/tick`, the scheduler and the command line.

It reads the store's ledger, so it finds what nobody ran while everything was down. Slots from
before a job's first registration were never due.
"""

from __future__ import annotations

from . import _events, _slots
from ._ids import run_id
from ._outcome import Outcome
from ._store import RunRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._job import Job
    from ._schedule import Schedule
    from ._store import JobState, Store


def sweep(dispatch: Dispatch, now: float) -> list[tuple[Job[..., Any], int]]:
    """The jobs that are due, with their slots, the oldest first. Records what was missed. Blocks;
    raises `StoreError`."""
    store = dispatch.store()
    states = store.jobs()
    due: list[tuple[Job[..., Any], int]] = []
    for job in dispatch.jobs:
        schedule, state = job.schedule, states.get(job.name)
        if schedule is not None and state is not None:
            due += [(job, slot) for slot in _slots_of(dispatch, store, job, schedule, state, now)]
    return due


def grace_of(job: Job[..., Any], schedule: Schedule, now: float) -> float:
    """How late a slot of this job may be: its own setting, else the schedule's default."""
    own = job.policy.grace
    return _slots.grace(schedule, now) if own is None else own


def since(state: JobState) -> float:
    """From when on a job's slots are looked at: after its newest claimed slot, and never before its
    first registration."""
    return max(state.registered_at, -1 if state.last_slot is None else state.last_slot)


def _slots_of(
    dispatch: Dispatch,
    store: Store,
    job: Job[..., Any],
    schedule: Schedule,
    state: JobState,
    now: float,
) -> list[int]:
    plan = _slots.plan(
        schedule,
        since=since(state),
        now=now,
        misfire=job.policy.misfire,
        grace=grace_of(job, schedule, now) + job.policy.jitter,
    )
    for slot in plan.missed:
        _miss(dispatch, store, job, slot)
    if plan.dropped:
        _events.emit(
            _events.WARNING, "schedule.dropped", job=job.name, slots=plan.dropped, note="too many"
        )
    jitter = job.policy.jitter
    return [slot for slot in plan.run if _slots.jittered(job.name, slot, jitter) <= now]


def _miss(dispatch: Dispatch, store: Store, job: Job[..., Any], slot: int) -> None:
    """Takes down that a slot passed; says so if nobody else has."""
    record = RunRecord(
        id=run_id(),
        job=job.name,
        trigger="schedule",
        state=str(Outcome.MISSED),
        slot=slot,
        worker=dispatch.worker,
    )
    if store.claim(record, (f"slot:{slot}",), keep=dispatch.keep_seconds(job), ttl=0).mine:
        text = _slots.text(slot)
        _events.emit(_events.WARNING, "run.missed", job=job.name, slot=text, run_id=record.id)

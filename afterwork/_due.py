"""What is due now: the sweep behind `/tick`, the scheduler and the command line.

It reads the store's ledger, so it finds what nobody ran while everything was down. Slots from
before a job's first registration were never due.
"""

from __future__ import annotations

from . import _catch_up, _events, _slots
from ._ids import run_id
from ._outcome import Outcome
from ._store import RunRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._job import Job
    from ._schedule import Schedule
    from ._slots import Plan
    from ._store import JobState, Store


def sweep(dispatch: Dispatch, now: float) -> list[tuple[Job[..., Any], list[int]]]:
    """The jobs that are due, each with its slots, the oldest first. Records what was missed.
    Blocks; raises `StoreError`."""
    store = dispatch.store()
    states = store.jobs()
    due: list[tuple[Job[..., Any], list[int]]] = []
    for job in dispatch.jobs:
        schedule, state = job.schedule, states.get(job.name)
        if schedule is not None and state is not None:
            slots = plan(job, schedule, since(state), now)
            run = settle(dispatch, job, slots)
            if run:
                due.append((job, run))
    return due


def plan(job: Job[..., Any], schedule: Schedule, since: float, now: float) -> Plan:
    """What to do about the slots of a job after `since`. One whose jitter is not over is left out,
    and with it the later ones."""
    jitter = job.policy.jitter
    found = _slots.plan(
        schedule,
        since=since,
        now=now,
        misfire=job.policy.misfire,
        grace=grace_of(job, schedule, now) + jitter,
    )
    found.run = [slot for slot in found.run if _slots.jittered(job.name, slot, jitter) <= now]
    return found


def settle(dispatch: Dispatch, job: Job[..., Any], plan: Plan) -> list[int]:
    """Records what was missed, and says so. Returns what is to run here, the oldest first. Blocks;
    raises `StoreError`."""
    for slot in plan.missed:
        _miss(dispatch, dispatch.store(), job, slot)
    if plan.dropped:
        _events.emit(
            _events.WARNING,
            "schedule.dropped",
            None,
            job=job.name,
            slots=plan.dropped,
            note="these passed before those that are recorded as missed, and have no record",
        )
    if job.policy.misfire != "all":
        return plan.run
    ttl = dispatch.lease_seconds
    return _catch_up.take(dispatch.store(), job.name, plan.run, dispatch.worker, ttl)


def grace_of(job: Job[..., Any], schedule: Schedule, now: float) -> float:
    """How late a slot of this job may be: its own setting, else the schedule's default."""
    own = job.policy.grace
    return _slots.grace(schedule, now) if own is None else own


def since(state: JobState) -> float:
    """From when on a job's slots are looked at: after its newest claimed slot, and never before its
    first registration."""
    return max(state.registered_at, -1 if state.last_slot is None else state.last_slot)


def ahead(job: Job[..., Any], state: JobState, now: float) -> float:
    """From when on a scheduler that begins now looks for a job's next slot: one that has passed may
    have its start, which is moved by the jitter, still to come."""
    return min(max(state.registered_at, now - job.policy.jitter), now)


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
        dispatch.tell(job, record, Outcome.MISSED)

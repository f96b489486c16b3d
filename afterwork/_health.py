"""Whether every job is on time, as the store knows it."""

from __future__ import annotations

from . import _housekeeping, _slots
from ._due import grace_of, since

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._job import Job
    from ._store import JobState

OK = "ok"
LATE = "late"
STALLED = "stalled"
"""There is a scheduler, and it does not turn."""


def check(dispatch: Dispatch, now: float) -> tuple[str, list[dict[str, Any]]]:
    """The verdict and one entry per job. Blocks; raises `StoreError`."""
    states = dispatch.store().jobs()
    entries = [entry(job, states.get(job.name), now) for job in dispatch.jobs]
    for job, each in zip(dispatch.jobs, entries, strict=True):
        if job.policy.environments and dispatch.environment not in job.policy.environments:
            each.pop("late", None)  # it is not to run here, so nobody misses it
    store = dispatch.store()
    if _housekeeping.is_stalled(store.notes(_housekeeping.BEAT_PREFIX), store.now()):
        return STALLED, entries
    return LATE if any(each.get("late") for each in entries) else OK, entries


def entry(job: Job[..., Any], state: JobState | None, now: float) -> dict[str, Any]:
    """What people want to know of a job. Times are RFC 3339."""
    schedule = job.schedule
    last = None if state is None else state.last_run
    pause = None if state is None else state.pause
    found: dict[str, Any] = {
        "job": job.name,
        "description": job.description.partition("\n")[0] or None,
        "tags": list(job.tags) or None,
        "schedule": None if schedule is None else str(schedule),
        "timezone": None if schedule is None else getattr(schedule, "timezone", "UTC"),
        "words": None if schedule is None else schedule.words(),
        "next": None,
        "late": None,
        "paused": pause is not None,
        "last_run": None if last is None else last.id,
        "last_outcome": None if last is None else last.state,
        "last_ended": None if last is None else _text(last.ended_at),
        "last_success": None if state is None else _text(state.last_success_at),
        "failures_in_a_row": 0 if state is None else state.failures_in_a_row,
    }
    if schedule is not None:
        following = _slots.after(schedule, now)
        found["next"] = _text(following)
        if state is not None:
            due = _slots.after(schedule, since(state))
            allowed = grace_of(job, schedule, now) + job.policy.jitter
            found["late"] = pause is None and due is not None and now > due + allowed
    return {name: value for name, value in found.items() if value is not None}


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else _slots.text(seconds)

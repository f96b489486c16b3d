"""The doctor's look at the jobs: is there something to run, does it ever fire, and what do changes
of the clock do to it?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .. import _slots
from .._cron import Cron
from ._changes import marks
from ._point import Point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._job import Job
    from ._app import Found

LOOK_AHEAD = timedelta(days=366)
MOST_TIMES = 1000
"""How many coming times of a job are looked at."""
SOONEST_SECONDS = 60
"""Outside schedulers call once a minute at most."""


def points(found: Found) -> list[Point]:
    """One for all jobs together, and one for each that is worth it."""
    jobs = found.work.jobs
    if not jobs:
        return [
            Point(
                "jobs",
                "note",
                "none are registered",
                'register one: @work.cron("0 3 * * *") over a function. Modules with jobs have to '
                "be imported by the app",
            )
        ]
    scheduled = [job for job in jobs if job.schedule is not None]
    problems = [point for job in scheduled for point in _of(job, found.dispatch.clock.now())]
    zones = sorted({getattr(job.schedule, "timezone", "UTC") for job in scheduled})
    text = f"{len(jobs)} registered, {len(scheduled)} with a schedule"
    if zones:
        text += f", in {', '.join(zones)}"
    return [Point("jobs", "ok", text), *problems]


def _of(job: Job[..., Any], now: float) -> list[Point]:
    """What is odd about the schedule of a job."""
    schedule = job.schedule
    assert schedule is not None, "asked only of such"
    what = f"job {job.name}"
    if _slots.after(schedule, now) is None:
        return [
            Point(
                what,
                "problem",
                f"{schedule} never fires again",
                "the time lies in an hour that the clock skips each year: choose another, or leave "
                "out dst=",
            )
        ]
    if not isinstance(schedule, Cron):
        return []
    after = datetime.fromtimestamp(now, UTC)
    times = schedule.upcoming(MOST_TIMES, after)
    odd = [
        mark
        for mark in marks(schedule, times, after)
        if mark.kind in ("moved", "skipped") and mark.at - after < LOOK_AHEAD
    ]
    if not odd or schedule._fields.follows_clock:
        return []
    first = odd[0]
    return [
        Point(
            what,
            "note",
            f"on {first.at:%Y-%m-%d} it is {first.kind}: {first.text} "
            f"(see `afterwork next {job.name} --after {first.at - timedelta(days=1):%Y-%m-%d}`)",
        )
    ]

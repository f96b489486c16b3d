"""What is to be exported: the jobs with a schedule, or the tick for all of them."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._afterwork import Afterwork
    from .._cron import Cron
    from .._every import Every
    from .._job import Job
    from ._options import Settings

TICK_NAME = "tick"


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be run: a job, or the tick for all of them."""

    name: str
    schedule: Cron | Every
    timeout: float | None = None
    grace: float | None = None
    jitter: float = 0
    overlap: str = "skip"
    misfire: str = "once"
    mode: str | None = None

    @property
    def command(self) -> str:
        """The command line that does it. Skipping is no failure; a failed job exits non-zero."""
        return "due" if self.name == TICK_NAME else f"run {self.name} --ok-if-skipped"


def items(work: Afterwork, settings: Settings) -> list[Item]:
    """What is to be exported: the jobs with a schedule, or the tick."""
    if settings.tick is not None:
        longest = [_timeout(work, job) for job in work.jobs if job.schedule is not None]
        timeout = None if None in longest or not longest else max(each or 0 for each in longest)
        return [Item(TICK_NAME, settings.tick, timeout)]
    found: list[Item] = []
    for job in work.jobs:
        schedule: Any = job.schedule
        if schedule is not None and (not settings.only or job.name in settings.only):
            policy = job.policy
            found.append(
                Item(
                    job.name,
                    schedule,
                    _timeout(work, job),
                    policy.grace,
                    policy.jitter,
                    policy.overlap,
                    policy.misfire,
                    policy.mode,
                )
            )
    return found


def _timeout(work: Afterwork, job: Job[..., Any]) -> float | None:
    """The job's own, else the app's."""
    own: Any = job.options.given.get("timeout", work.pipeline.settings.timeout)
    return None if own is None else float(own)

"""What every kind of schedule answers."""

from __future__ import annotations

from . import _check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Protocol
else:
    Protocol = object


class Schedule(Protocol):
    """When a job is due. `Cron` and `Every` are schedules.

    The answers are aware, in whole seconds, and depend on the schedule and the moment asked alone:
    on no clock, and on no earlier call.
    """

    def next(self, after: datetime) -> datetime | None:
        """The first time that is strictly later than `after`; None where there is none."""
        ...

    def prev(self, before: datetime) -> datetime | None:
        """The last time that is strictly earlier than `before`; None where there is none."""
        ...

    def upcoming(self, n: int, after: datetime) -> list[datetime]:
        """The next `n` times; fewer where `next` gives None."""
        ...

    def words(self) -> str:
        """The schedule in plain words."""
        ...


def upcoming(schedule: Schedule, n: int, after: datetime) -> list[datetime]:
    """The next `n` times of any schedule, from 1 on."""
    times: list[datetime] = []
    for _ in range(_check.count("n", n)):
        time = schedule.next(after)
        if time is None:
            break
        times.append(time)
        after = time
    return times

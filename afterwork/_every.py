"""Intervals: schedules that fire again and again after the same time."""

from __future__ import annotations

from datetime import datetime, timedelta

from . import _durations, _schedule
from ._instants import EPOCH, FIRST, LAST, second_after, second_before
from .errors import InvalidOptionError


class Every:
    """A schedule with an interval. It is a value: build it once, ask it often.

    `interval`
        A text such as `"10m"` or `"1h30m"`, a number of seconds, or a timedelta. At least one
        second, in whole seconds. Example: `Every("10m")`.

    The times are the multiples of the interval since 1970-01-01T00:00Z: `Every("10m")` fires at
    minutes 0, 10, 20 and so on of each hour. So all replicas agree, and a restart moves nothing.
    The times of an interval that is no even part of a day wander through the day: `Every("7h")`.
    Time zones play no part, and all answers are in UTC. For "each day at 3" use a `Cron`.

    Raises `DurationSyntaxError` with the position, or `InvalidOptionError`.
    """

    __slots__ = ("seconds",)

    def __init__(self, interval: str | float | timedelta) -> None:
        self.seconds = _whole_seconds(interval)

    def next(self, after: datetime) -> datetime | None:
        """The first time that is strictly later than `after`. None where the calendar of `datetime`
        ends first. Raises `NaiveDatetimeError`."""
        instant = max(second_after("after", after), FIRST)
        return _moment(-(-instant // self.seconds) * self.seconds)

    def prev(self, before: datetime) -> datetime | None:
        """The last time that is strictly earlier than `before`; otherwise as `next`."""
        instant = min(second_before("before", before), LAST)
        return _moment(instant // self.seconds * self.seconds)

    def upcoming(self, n: int, after: datetime) -> list[datetime]:
        """The next `n` times, from 1 on; fewer where `next` gives None."""
        return _schedule.upcoming(self, n, after)

    def words(self) -> str:
        """The schedule in plain words, for people. The wording may change between versions."""
        words = _durations.words(self.seconds)
        # "every hour" and not "every 1 hour"; but "every 1 hour 30 minutes"
        return f"every {words.removeprefix('1 ') if words.count(' ') == 1 else words}"

    def __str__(self) -> str:
        return _durations.compact(self.seconds)

    def __repr__(self) -> str:
        return f"Every({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Every) and self.seconds == other.seconds

    def __hash__(self) -> int:
        return hash((Every, self.seconds))


def _whole_seconds(interval: object) -> int:
    expected = "an interval of whole seconds, from 1 on, such as '10m', 90 or a timedelta"
    seconds: float
    if isinstance(interval, str):
        seconds = _durations.parse(interval)
    elif isinstance(interval, timedelta):
        seconds = interval.total_seconds()
    elif isinstance(interval, (int, float)) and not isinstance(interval, bool):
        seconds = interval
    else:
        raise InvalidOptionError("interval", expected, interval)
    # In this order, infinity and NaN are refused too.
    if not 1 <= seconds <= LAST - FIRST or seconds != int(seconds):
        raise InvalidOptionError("interval", expected, interval)
    return int(seconds)


def _moment(instant: int) -> datetime | None:
    """The instant as a datetime, or None beyond what schedules answer."""
    return EPOCH + timedelta(seconds=instant) if FIRST <= instant <= LAST else None

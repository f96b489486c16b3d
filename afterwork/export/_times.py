"""The common model: which minutes of which days, as sets, without a zone.

1. `Cron` and `Every` become `Times`. Every target prints from `Times`, never from the text that the
   user wrote, so that no dialect reads something of its own into it.
2. `rule` says how the two day fields go together. It is settled here once, with Debian's rule of
   the star: `every` day, `days` or `weekdays` alone, `either` of the two, or `both`.
3. `follows` is true where minute or hour was written with a star: such a job follows the real
   minutes where the clock changes. Only the dialects of Vixie's family know the difference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from .._cron_field import values
from .._cron_fields import ALL_DAYS, ALL_WEEKDAYS
from .._instants import DAY, MINUTE
from ._refusals import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._cron import Cron
    from .._every import Every

HOUR = 3600
WEEK = 7 * DAY
ALL_MINUTES = (1 << 60) - 1
ALL_HOURS = (1 << 24) - 1
ALL_MONTHS = (1 << 13) - 2
THURSDAY = 4
"""The weekday of 1970-01-01, where intervals are counted from."""


@dataclass(frozen=True, slots=True)
class Times:
    """Sets of values as bit masks. Weekdays are 0 to 6 from Sunday on; seconds are for intervals
    below a minute."""

    minutes: int
    hours: int
    days: int = ALL_DAYS
    months: int = ALL_MONTHS
    weekdays: int = ALL_WEEKDAYS
    rule: str = "every"
    follows: bool = True
    seconds: int = 1

    @property
    def of_day(self) -> list[int]:
        """The minutes of a day, rising."""
        return [
            60 * hour + minute for hour in values(self.hours) for minute in values(self.minutes)
        ]

    def halves(self) -> list[Times]:
        """Two schedules with one day field each that together are this one, if either day will do.
        Where both fire at once, they name the same slot, and it runs once."""
        if self.rule != "either":
            return [self]
        return [
            replace(self, weekdays=ALL_WEEKDAYS, rule="days"),
            replace(self, days=ALL_DAYS, rule="weekdays"),
        ]

    def gap(self) -> int:
        """The least seconds between two occurrences, clock changes aside. Days count as adjacent
        unless there is one time a day."""
        if self.seconds != 1:
            return _least(values(self.seconds), MINUTE)
        if self.rule == "weekdays" and len(self.of_day) == 1:
            return _least(values(self.weekdays), 7) * DAY
        return _least(self.of_day, 24 * 60) * MINUTE

    def shifted(self, by: int) -> list[Times]:
        """The same moments on a clock that is `by` minutes ahead, as schedules that do not overlap.
        Raises `Refused` where dates would have to move."""
        groups: dict[int, dict[int, int]] = {}
        for minute in self.of_day:
            day, rest = divmod(minute + by, 24 * 60)
            hours = groups.setdefault(day, {})
            hours[rest // 60] = hours.get(rest // 60, 0) | 1 << rest % 60
        merged: dict[Times, int] = {}
        for day, hours in sorted(groups.items()):
            moved = self._on_day(day)
            for hour, minutes in hours.items():
                # Schedules that differ in their hours alone are one.
                key = replace(moved, minutes=minutes, hours=0)
                merged[key] = merged.get(key, 0) | 1 << hour
        return [replace(key, hours=mask) for key, mask in merged.items()]

    def _on_day(self, by: int) -> Times:
        if by == 0 or (self.rule == "every" and self.months == ALL_MONTHS):
            return self
        if self.rule != "weekdays" or self.months != ALL_MONTHS:
            raise Refused(
                "its dates would have to move to another day in the target's time zone",
                "choose a time of day that is on the same date in both zones",
            )
        weekdays = sum(1 << (day + by) % 7 for day in values(self.weekdays))
        return replace(self, weekdays=weekdays)


def of_cron(cron: Cron) -> Times:
    """What a cron expression says."""
    fields = cron.fields
    days, weekdays = fields.days, fields.weekdays
    if fields.every_day:
        rule, days, weekdays = "every", ALL_DAYS, ALL_WEEKDAYS
    elif fields.either_day:
        rule = "either"
    elif weekdays == ALL_WEEKDAYS:
        rule = "days"
    else:
        rule = "weekdays" if days == ALL_DAYS else "both"
    return Times(
        fields.minutes, fields.hours, days, fields.months, weekdays, rule, fields.follows_clock
    )


def of_every(every: Every) -> Times:
    """What an interval says, in UTC. Raises `Refused` where its times wander through the day."""
    seconds = every.seconds
    if MINUTE % seconds == 0 and seconds < MINUTE:
        mask = sum(1 << second for second in range(0, 60, seconds))
        return Times(ALL_MINUTES, ALL_HOURS, seconds=mask)
    if HOUR % seconds == 0 and seconds % MINUTE == 0:
        return Times(sum(1 << minute for minute in range(0, 60, seconds // MINUTE)), ALL_HOURS)
    if DAY % seconds == 0 and seconds % MINUTE == 0:
        return _within_a_day(range(0, 24 * 60, seconds // MINUTE), every)
    if seconds == WEEK:
        return Times(1, 1, weekdays=1 << THURSDAY, rule="weekdays")
    raise _wanders(every)


def _within_a_day(minutes: range, every: Every) -> Times:
    of_hours = {hour: sum(1 << m % 60 for m in minutes if m // 60 == hour) for hour in range(24)}
    masks = {mask for mask in of_hours.values() if mask}
    if len(masks) > 1:
        raise _wanders(every)
    return Times(masks.pop(), sum(1 << hour for hour, mask in of_hours.items() if mask))


def _wanders(every: Every) -> Refused:
    return Refused(
        f"an interval of {every} is at other minutes in each hour or day, which no cron fields say",
        "choose an interval that divides an hour or a day, such as 15m, 2h or 1d",
    )


def _least(rising: list[int], around: int) -> int:
    """The least distance of neighbours on a circle."""
    return min(later - earlier for earlier, later in pairwise([*rising, rising[0] + around]))

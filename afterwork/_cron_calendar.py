"""Finds the local times that the fields of a cron expression name. It knows no time zones.

Local time is counted in minutes since 1970-01-01 00:00 on the wall clock. Two bit masks hold all
matches: 1,440 bits for the minutes of a day, and 366 bits for the days of a year. There are only
fourteen kinds of year: the weekday of its first day, and whether it is a leap year."""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, date
from functools import lru_cache

from ._cron_field import LONGEST, values
from ._cron_fields import ALL_WEEKDAYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._cron_fields import Fields

DAY_MINUTES = 1440
EVERY_WEEK = sum(1 << 7 * week for week in range(53))
ALL_MONTHS = 0b1111111111110
EPOCH_DAY = date(1970, 1, 1).toordinal()


class Calendar:
    """The local minutes at which the fields match."""

    __slots__ = ("_edges", "_every_day", "_fields", "_minutes", "_years")

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        self._minutes = sum(fields.minutes << 60 * hour for hour in values(fields.hours))
        # the last and the first minute of a day that matches; indexed by `forward`
        self._edges = (
            _nearest(self._minutes, DAY_MINUTES, False),
            _nearest(self._minutes, 0, True),
        )
        # by kind of year
        self._years: dict[tuple[int, int], int] = {}
        self._every_day = fields.every_day and fields.months == ALL_MONTHS

    def seek(self, minute: int, forward: bool) -> int | None:
        """The match nearest to the minute, itself included, later or (`forward=False`) earlier.
        None where the calendar of `datetime` ends first."""
        number, of_day = minute // DAY_MINUTES, minute % DAY_MINUTES
        day = number if self._every_day else self._day(number, forward)
        if day == number:
            found = _nearest(self._minutes, of_day, forward)
            if found >= 0:
                return number * DAY_MINUTES + found
            day = number + 1 if forward else number - 1
            if not self._every_day:
                day = self._day(day, forward)
        return None if day is None else day * DAY_MINUTES + self._edges[forward]

    def _day(self, number: int, forward: bool) -> int | None:
        """The matching day nearest to day `number` since 1970."""
        year = date.fromordinal(number + EPOCH_DAY).year
        while MINYEAR <= year <= MAXYEAR:
            first, kind = _year(year)
            matches = self._years.get(kind)
            if matches is None:
                matches = self._years[kind] = self._match_year(*kind)
            found = _nearest(matches, number - first, forward)
            if found >= 0:
                return first + found
            year, number = (year + 1, first + kind[1]) if forward else (year - 1, first - 1)
        return None

    def _match_year(self, weekday: int, length: int) -> int:
        """The matching days of a year whose first day is that weekday, Sunday being 0."""
        fields = self._fields
        from_first = (fields.weekdays >> weekday | fields.weekdays << 7 - weekday) & ALL_WEEKDAYS
        on_weekday = from_first * EVERY_WEEK
        in_month = on_day = start = 0
        for month, days in enumerate(LONGEST, 1):
            if month == 2 and length == 365:
                days -= 1
            if fields.months >> month & 1:
                whole = (1 << days) - 1
                in_month |= whole << start
                on_day |= (fields.days >> 1 & whole) << start
            start += days
        if fields.either_day:
            return on_day | on_weekday & in_month
        return on_day & on_weekday


@lru_cache(maxsize=256)
def _year(year: int) -> tuple[int, tuple[int, int]]:
    """The number of the year's first day, and the year's kind: the weekday of that day, and the
    year's length in days."""
    first = date(year, 1, 1).toordinal()
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return first - EPOCH_DAY, (first % 7, 365 + leap)


def _nearest(mask: int, index: int, forward: bool) -> int:
    """The nearest bit that is set, at the index or beyond it; -1 where there is none."""
    if forward:
        rest = mask >> index
        return index + (rest & -rest).bit_length() - 1 if rest else -1
    return (mask & ((2 << index) - 1)).bit_length() - 1

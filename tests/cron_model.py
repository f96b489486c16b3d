"""A slow and plain model of cron in a time zone: it looks at every minute of real time.

It shares nothing with the engine: it has its own parser, it asks the zone for the local time of
each minute, and it reads the rules of `dst` word by word. It covers zones whose offsets are whole
minutes.
"""

from __future__ import annotations

import bisect
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = 60
DAY = 86_400
ONE_MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1)
ALL = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def members(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            first, last = str(low), str(high)
        found |= set(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


class Model:
    """The days and minutes of an expression made of digits."""

    def __init__(self, expression: str) -> None:
        texts = expression.split()
        self.minutes, self.hours, self.days, self.months, weekdays = (
            members(text, *limits) for text, limits in zip(texts, ALL, strict=True)
        )
        self.weekdays = {day % 7 for day in weekdays}
        self.follows_clock = "*" in (texts[0][0], texts[1][0])
        self.both_days = "*" in (texts[2][0], texts[4][0])

    def on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        fits = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return all(fits) if self.both_days else any(fits)

    def local_minutes(self, first: int, last: int) -> set[int]:
        """The local minutes since 1970-01-01 00:00 that match, from the first to the last day."""
        return {
            number * 1440 + hour * 60 + minute
            for number in range(first // 1440, last // 1440 + 1)
            if self.on((EPOCH + timedelta(days=number)).date())
            for hour in self.hours
            for minute in self.minutes
        }


class Window:
    """A few days of a zone, walked minute by minute."""

    def __init__(self, zone: str, start: int, end: int) -> None:
        self.start, self.end = start, end
        info = ZoneInfo(zone)
        # Two datetimes of one zone differ by what their clocks show.
        epoch = datetime(1970, 1, 1, tzinfo=info)
        # The walk begins earlier, because a clock that was put back has shown later times before.
        self.shown: dict[int, list[int]] = {}
        self.passed: dict[int, int] = {}
        highest: int | None = None
        for instant in range(start - 2 * DAY, end + 1, MINUTE):
            minute = (datetime.fromtimestamp(instant, info) - epoch) // ONE_MINUTE
            self.shown.setdefault(minute, []).append(instant)
            if highest is None:
                highest = minute - 1
            for newly in range(highest + 1, minute + 1):
                self.passed[newly] = instant
            highest = max(highest, minute)
        self.limits = min(self.shown), max(self.shown)

    def fires(self, expression: str, dst: str = "once") -> list[int]:
        """All instants in the window, its ends included, at which the expression fires."""
        model = Model(expression)
        matches = model.local_minutes(*self.limits)
        if model.follows_clock or dst == "both":
            found = {instant for minute in matches for instant in self.shown.get(minute, ())}
        elif dst == "once":
            found = {self.passed[minute] for minute in matches if minute in self.passed}
        else:
            found = {self.shown[minute][0] for minute in matches if minute in self.shown}
        return sorted(instant for instant in found if self.start <= instant <= self.end)


def after(fires: list[int], moment: float) -> int | None:
    index = bisect.bisect_right(fires, moment)
    return fires[index] if index < len(fires) else None


def before(fires: list[int], moment: float) -> int | None:
    index = bisect.bisect_left(fires, moment)
    return fires[index - 1] if index else None


def changes(zone: str, year: int) -> list[int]:
    """The days of a year, as instants, on which the zone changes its offset."""
    info: Any = ZoneInfo(zone)
    noons = [datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(366)]
    offsets = [noon.astimezone(info).utcoffset() for noon in noons]
    return [
        int(noon.timestamp())
        for noon, here, there in zip(noons, offsets, offsets[1:], strict=False)
        if here != there
    ]

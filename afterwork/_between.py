"""A part of the day in which a job may run."""

from __future__ import annotations

from datetime import UTC, datetime

from . import _zones
from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXPECTED = "two times of day such as ('08:00', '18:30')"
MINUTES_PER_DAY = 1440


class Between:
    """From one time of day to another, in a time zone; the end is not included. An end before the
    start is on the next day: `("22:00", "06:00")` is the night."""

    __slots__ = ("end", "start", "timezone", "zone")

    def __init__(self, value: Any, timezone: str) -> None:
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise InvalidOptionError("between", EXPECTED, value)
        self.start, self.end = (_minute(each, value) for each in value)
        if self.start == self.end:
            raise InvalidOptionError("between", EXPECTED + ", which differ", value)
        self.timezone = timezone
        self.zone = _zones.load(timezone)

    def holds(self, instant: float) -> bool:
        """Whether it is that part of the day then."""
        local = datetime.fromtimestamp(instant, UTC).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def __str__(self) -> str:
        times = (f"{minute // 60:02}:{minute % 60:02}" for minute in (self.start, self.end))
        return f"{'-'.join(times)} {self.timezone}"


def _minute(text: Any, value: Any) -> int:
    if isinstance(text, str) and len(text) == 5 and text[2] == ":" and text.isascii():
        hours, minutes = text[:2], text[3:]
        if hours.isdigit() and minutes.isdigit() and int(minutes) < 60:
            minute = int(hours) * 60 + int(minutes)
            if minute < MINUTES_PER_DAY:
                return minute
    raise InvalidOptionError("between", EXPECTED, value)

"""Cron schedules in real time zones.

1. `next` and `prev` are pure: they depend on expression, zone, policy and the moment asked, and on
   no clock and no earlier call. So all replicas agree.
2. A schedule is a set of instants. `next` is the first of the set after a moment, `prev` the last
   before it.
3. Where minute or hour starts with `*`, the job follows the clock: it fires at every real minute
   whose local time matches, twice in an hour that the clock repeats, never in one that it skips.
4. Any other job has fixed times. A fixed time fires when the clock first shows it or a later time.
   So it fires once where the clock is put back; and once, at the end of the gap, where it is put
   forward over it. Several fixed times in one gap are one run.
5. `dst="skip"` drops what lies in a gap. `dst="both"` treats fixed times as in rule 3.
6. These rules hold for every change of a zone's offset, be it half an hour or the day that Samoa
   left out in 2011. Debian's cron takes changes of three hours and more for corrections of the
   clock; here no day is lost.
"""

from __future__ import annotations

from datetime import timedelta

from . import _check, _schedule, _zones
from ._cron_calendar import Calendar
from ._cron_fields import Fields
from ._instants import DAY, EPOCH, FIRST, LAST, MINUTE, second_after, second_before
from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Literal

    from ._zones import Segment

# Every date and weekday comes back within forty years. What has not fired in a hundred years lies
# in a gap each time, and the search for it ends.
HORIZON = 100 * 366 * DAY

POLICIES = ("once", "skip", "both")


class Cron:
    """A schedule in cron's language, in a time zone. It is a value: build it once, ask it often.

    `expression`
        Five fields as in Debian's cron, such as `"30 2 * * *"`, or `@daily` and the like. Where
        both day fields are restricted, a day has to match one of them: `0 0 13 * 5` is every 13th
        and every Friday. But where one of the two starts with `*`, a day has to match both:
        `0 0 */2 * 5` is every Friday with an odd date. `words()` says which.
    `timezone`
        A name such as `"America/New_York"`. Default `"UTC"`.
    `dst`
        What happens to a fixed time where the clock is put forward over it or shows it twice.
        `"once"` (default), as Debian's cron: it runs once, in a gap at its end. `"skip"`, as
        EventBridge: not at all in a gap, once in an overlap. `"both"`, as Kubernetes: not at all in
        a gap, twice in an overlap. Jobs with `*` at the start of minute or hour follow the real
        minutes under each policy.

    All answers are aware and in the schedule's zone. Python compares two datetimes of one zone by
    what their clocks show; where a clock was put back, compare `time.timestamp()`.

    Raises `CronSyntaxError`, with the position, for an expression that cannot be read or that names
    only dates which do not exist; `UnknownTimezoneError`; `InvalidOptionError`.
    """

    __slots__ = (
        "_calendar",
        "_catches_up",
        "_epoch",
        "_fields",
        "_repeats",
        "_zone",
        "dst",
        "timezone",
    )

    def __init__(
        self,
        expression: str,
        *,
        timezone: str = "UTC",
        dst: Literal["once", "skip", "both"] = "once",
    ) -> None:
        if not isinstance(expression, str):
            raise InvalidOptionError("expression", "a text such as '0 3 * * *'", expression)
        if not isinstance(timezone, str):
            raise InvalidOptionError("timezone", "a name such as 'Europe/Paris'", timezone)
        self._fields = Fields(expression)
        self._calendar = Calendar(self._fields)
        self._zone = _zones.load(timezone)
        self._epoch = EPOCH.replace(tzinfo=self._zone)
        self.timezone = timezone
        self.dst = _check.choice("dst", dst, POLICIES)
        self._repeats = self._fields.follows_clock or dst == "both"
        self._catches_up = not self._repeats and dst == "once"

    def next(self, after: datetime) -> datetime | None:
        """The first time that is strictly later than `after`.

        None where there is none in the next hundred years: in year 9999, and with `dst="skip"` or
        `"both"` for a time that lies in the gap every year. Raises `NaiveDatetimeError`.
        """
        return self._local(self._search(max(second_after("after", after), FIRST), True))

    def prev(self, before: datetime) -> datetime | None:
        """The last time that is strictly earlier than `before`; otherwise as `next`."""
        return self._local(self._search(min(second_before("before", before), LAST), False))

    def upcoming(self, n: int, after: datetime) -> list[datetime]:
        """The next `n` times, from 1 on; fewer where `next` gives None."""
        return _schedule.upcoming(self, n, after)

    def words(self) -> str:
        """The schedule in plain words, for people. The wording may change between versions."""
        from ._cron_words import words

        return f"{words(self._fields)}, {self.timezone} time"

    @property
    def fields(self) -> Fields:
        """What the expression says, as sets of values; for those that write it in other dialects.
        Its parts may change between versions."""
        return self._fields

    def __str__(self) -> str:
        return self._fields.text

    def __repr__(self) -> str:
        dst = "" if self.dst == "once" else f", dst={self.dst!r}"
        return f"Cron({str(self)!r}, timezone={self.timezone!r}{dst})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cron) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, str]:
        return str(self), self.timezone, self.dst

    def _local(self, instant: int | None) -> datetime | None:
        if instant is None:
            return None
        return self._zone.fromutc(self._epoch + timedelta(0, instant))

    def _search(self, instant: int, forward: bool) -> int | None:
        """The member of the set nearest to the instant, itself included."""
        asked = instant
        while FIRST <= instant <= LAST and abs(instant - asked) <= HORIZON:
            segment = _zones.segment_at(self._zone, instant)
            found = self._within(segment, instant, forward)
            if found is not None:
                return found if FIRST <= found <= LAST else None
            instant = self._leap(segment[1] if forward else segment[0] - 1, forward)
        return None

    def _within(self, segment: Segment, instant: int, forward: bool) -> int | None:
        """As `_search`, for the part of the set that lies in the segment of the instant."""
        start, end, offset, floor = segment
        local, opens = instant + offset, start + offset
        low = opens if self._repeats or floor < opens else floor
        if forward:
            found = self._calendar.seek(-(-(local if local > low else low) // MINUTE), True)
        else:
            found = self._calendar.seek(local // MINUTE, False)
        if found is not None and low <= found * MINUTE < end + offset:
            found = found * MINUTE
        else:
            found = None
        if self._catches_up and floor < opens and (forward or found is None):
            # The run at the end of a gap is the first of its segment.
            late = -(-opens // MINUTE) * MINUTE
            if (local <= late if forward else late <= local) and self._lost(floor, opens):
                found = late
        return None if found is None else found - offset

    def _lost(self, floor: int, opens: int) -> bool:
        """Whether a fixed time lies in the gap between two local times."""
        first = self._calendar.seek(-(-floor // MINUTE), True)
        return first is not None and first * MINUTE < opens

    def _leap(self, instant: int, forward: bool) -> int:
        """The nearest instant, this one included, at which something may fire. It spares the search
        the empty segments of rare schedules."""
        instant = min(max(instant, FIRST - 1), LAST + 1)
        # Local time is less than a day from UTC. So a local time fires less than a day from the
        # instant at which UTC shows it, in either direction.
        margin = DAY if forward else -DAY
        minute = self._calendar.seek((instant - margin) // MINUTE, forward)
        if minute is None:
            return LAST + 1 if forward else FIRST - 1
        near = minute * MINUTE - margin
        return max(instant, near) if forward else min(instant, near)

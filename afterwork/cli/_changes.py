"""What the changes of a zone's clock do to the times of a schedule: for people who wonder why a
job runs at 03:00 on one day of the year.

`moved`
    The clock was put forward over a fixed time, which fires at the end of the gap.
`skipped`
    The clock was put forward over times that do not fire at all.
`repeated`
    The clock was put back: it shows this time twice. The text says which of the two fires.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .._cron import Cron
from .._instants import EPOCH, MINUTE, ONE_SECOND
from .._zones import segment_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._schedule import Schedule

LONGEST_SEARCH = 3 * 366 * 86_400
"""Seconds between two times in which the changes of the clock are looked at."""
MOST_NAMED = 3
"""How many times of a gap are named."""


class Mark:
    """One time of a schedule, or one gap that it lost times in, and what is odd about it."""

    __slots__ = ("at", "kind", "text")

    def __init__(self, at: datetime, kind: str = "", text: str = "") -> None:
        self.at = at
        self.kind = kind
        """Empty for an ordinary time."""
        self.text = text


def marks(schedule: Schedule, times: list[datetime], after: datetime) -> list[Mark]:
    """These times of the schedule, the first ones after `after`, with what is odd about them and
    the gaps between them."""
    if not isinstance(schedule, Cron):
        return [Mark(time) for time in times]
    found: list[Mark] = []
    last = _instant(after)
    for time in times:
        instant = _instant(time)
        found += _skipped(schedule, last, instant)
        found.append(_mark(schedule, time, instant))
        last = instant
    return found


def _mark(cron: Cron, time: datetime, instant: int) -> Mark:
    start, _, change, floor = segment_at(cron._zone, instant)
    local, opens = instant + change, start + change
    lost = _lost(cron, floor, opens) if opens > floor else []
    if lost and cron._catches_up and local == -(-opens // MINUTE) * MINUTE:
        if cron._calendar.seek(local // MINUTE, True) != local // MINUTE:
            return Mark(time, "moved", f"{_named(lost)}, which {_forward(floor, opens)}")
        return Mark(time, "moved", f"here with {_named(lost)}, which {_forward(floor, opens)}")
    if local < floor:
        return Mark(
            time, "repeated", f"the second {_clock(local)} of the day, {_back(floor, opens)}"
        )
    _, end, here, _ = segment_at(cron._zone, instant)
    following = segment_at(cron._zone, end)
    again = local - following[2]
    if following[2] < here and end <= again < end + here - following[2]:
        twice = "the second fires too" if cron._repeats else "the second does not fire"
        floor, opens = end + here, end + following[2]
        text = f"the first {_clock(local)} of the day, {twice}; {_back(floor, opens)}"
        return Mark(time, "repeated", text)
    return Mark(time)


def _skipped(cron: Cron, after: int, before: int) -> list[Mark]:
    """The gaps between two instants in which times were lost for good."""
    found: list[Mark] = []
    if cron._catches_up:
        return found
    instant = max(after, before - LONGEST_SEARCH)
    while True:
        instant = segment_at(cron._zone, instant)[1]
        if instant > before:
            return found
        start, _, change, floor = segment_at(cron._zone, instant)
        opens = start + change
        if opens > floor and (lost := _lost(cron, floor, opens)):
            at = cron._zone.fromutc(cron._epoch + timedelta(0, instant))
            found.append(Mark(at, "skipped", f"{_named(lost)}, which {_forward(floor, opens)}"))


def _lost(cron: Cron, floor: int, opens: int) -> list[int]:
    """The local times of the schedule in a gap."""
    times: list[int] = []
    minute = -(-floor // MINUTE)
    while (found := cron._calendar.seek(minute, True)) is not None and found * MINUTE < opens:
        times.append(found * MINUTE)
        minute = found + 1
    return times


def _named(times: list[int]) -> str:
    names = [_clock(time) for time in times[:MOST_NAMED]]
    more = len(times) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _forward(floor: int, opens: int) -> str:
    return f"the clock leaves out: it goes from {_clock(floor)} to {_clock(opens)}"


def _back(floor: int, opens: int) -> str:
    return f"the clock goes back from {_clock(floor)} to {_clock(opens)}"


def _clock(local: int) -> str:
    """What a clock shows, by local seconds since 1970."""
    return f"{EPOCH + timedelta(0, local):%H:%M}"


def _instant(moment: datetime) -> int:
    return (moment.astimezone(UTC) - EPOCH) // ONE_SECOND

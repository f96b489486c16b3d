"""Slots: the occurrences of a schedule, as whole seconds since the epoch.

1. A slot comes from the schedule alone, never from "now": so all replicas name it alike.
2. `most_recent` is where a call without a slot of its own belongs, if it is not too late.
3. `plan` decides which slots of a schedule are to run now, and which were missed. It knows no store
   and no clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from ._instants import EPOCH, ONE_SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._schedule import Schedule

MIN_GRACE_SECONDS = 60
MAX_GRACE_SECONDS = 3600
MAX_EARLY_SECONDS = 5
MOST_CAUGHT_UP = 100
"""How many missed slots `misfire="all"` runs at most."""


SAMPLES = 50
MAX_GAP_SECONDS = 366 * 86_400


class Plan:
    """What is to be done about a schedule now."""

    __slots__ = ("dropped", "missed", "run")

    def __init__(self, run: list[int], missed: list[int], dropped: int) -> None:
        self.run = run
        """Slots to run, the oldest first."""
        self.missed = missed
        """Slots that passed and will not run, the oldest first; the newest `MOST_CAUGHT_UP`."""
        self.dropped = dropped
        """How many more slots passed before those in `missed`; at most ten times as many are
        counted."""


def after(schedule: Schedule, instant: float) -> int | None:
    """The first slot strictly after an instant."""
    return _seconds(schedule.next(_moment(instant)))


def at_or_before(schedule: Schedule, instant: float) -> int | None:
    """The last slot not later than an instant."""
    return _seconds(schedule.prev(_moment(int(instant // 1) + 1)))


def interval(schedule: Schedule, instant: float) -> float:
    """Seconds between the slots around an instant; infinite where one of them is missing."""
    last = at_or_before(schedule, instant)
    following = after(schedule, instant)
    return float("inf") if last is None or following is None else float(following - last)


def shortest(schedule: Schedule) -> int:
    """The shortest time between two slots, as far as some that lie ahead tell."""
    times = [_seconds(time) for time in schedule.upcoming(SAMPLES, datetime.now(UTC))]
    gaps = [b - a for a, b in pairwise(times) if a is not None and b is not None]
    return min(gaps, default=MAX_GAP_SECONDS)


def grace(schedule: Schedule, instant: float) -> float:
    """How late a slot may be and still counts as on time, by default: half the interval, at least a
    minute, at most an hour."""
    return min(max(interval(schedule, instant) / 2, MIN_GRACE_SECONDS), MAX_GRACE_SECONDS)


def most_recent(schedule: Schedule, instant: float, tolerance: float) -> int | None:
    """The slot to which a call at that instant belongs, or None if it is too late for any.

    A call may come a moment early, since no two clocks agree: a sixtieth of the interval, at most
    `MAX_EARLY_SECONDS`.
    """
    early = min(interval(schedule, instant) / 60, MAX_EARLY_SECONDS)
    slot = at_or_before(schedule, instant + early)
    return None if slot is None or instant - slot > tolerance else slot


def plan(
    schedule: Schedule,
    *,
    since: float,
    now: float,
    misfire: str,
    grace: float,
    most: int = MOST_CAUGHT_UP,
) -> Plan:
    """What to do about the slots after `since` and up to `now`.

    A slot that is at most `grace` seconds old is on time. Of older ones, `misfire="once"` runs the
    newest if no newer slot is on time, `"all"` runs them all in order, at most `most`, and `"skip"`
    none. Every slot that is older than one which runs is missed, since two runs at once would only
    stand in each other's way; but with `"all"` none is.
    """
    past: list[int] = []
    before = now
    while (slot := at_or_before(schedule, before)) is not None and slot > since:
        past.append(slot)
        before = slot - 1
        if len(past) > most:
            break
    dropped = 0
    if len(past) > most:
        past.pop()
        while slot is not None and slot > since and dropped < 10 * most:
            dropped += 1
            slot = at_or_before(schedule, slot - 1)
    past.reverse()
    if misfire == "all":
        return Plan(past, [], dropped)
    runs = past[-1:] if past and (misfire == "once" or now - past[-1] <= grace) else []
    return Plan(runs, past[: len(past) - len(runs)], dropped)


def jittered(job: str, slot: int, jitter: float) -> float:
    """When a slot starts: up to `jitter` seconds later, by a hash, so that all replicas agree."""
    if not jitter:
        return float(slot)
    from zlib import crc32

    return slot + crc32(f"{job} {slot}".encode()) / 2**32 * jitter


def text(slot: float) -> str:
    """A slot as people and callers read it: RFC 3339, in UTC."""
    return _moment(slot).isoformat(timespec="seconds").replace("+00:00", "Z")


def _moment(instant: float) -> datetime:
    return datetime.fromtimestamp(instant, UTC)


def _seconds(moment: datetime | None) -> int | None:
    # Not by comparing datetimes of one zone, which would compare what their clocks show.
    return None if moment is None else (moment - EPOCH) // ONE_SECOND

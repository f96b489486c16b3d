"""Clock changes: how a schedule moves between zones, and where a target runs a job at other moments
than we do.

1. A schedule can be written in another zone only if the two zones keep their distance for years, or
   if the distance makes no difference: `*/15 * * * *` is the same in all whole-hour zones.
2. What a target does where a clock changes is one of a few behaviours, each of which `Cron` knows.
   So the difference is worked out and not guessed: both schedules are asked for their occurrences
   around the next changes of the zones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from .. import _zones
from .._cron import Cron
from .._instants import DAY, EPOCH, ONE_SECOND
from . import _print
from ._refusals import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from .._schedule import Schedule
    from ._times import Times

    Clock = Literal["vixie", "repeat", "skip", "wall", "late", "unknown"]

AHEAD = 10 * 366 * DAY
"""For how long two zones have to keep their distance."""
YEAR = 366 * DAY
BEHIND = 31 * DAY
MINUTE = 60


@dataclass(frozen=True, slots=True)
class Difference:
    """What is different around one clock change: instants at which only one of the two runs."""

    at: int
    zone: str
    forward: bool
    ours: tuple[int, ...]
    theirs: tuple[int, ...]

    def words(self, title: str) -> str:
        info = _zones.load(self.zone)
        day = datetime.fromtimestamp(self.at, info).date()
        put = "forward" if self.forward else "back"
        parts = []
        if self.ours:
            parts.append(f"{title} leaves out {_list(self.ours, self.zone)}")
        if self.theirs:
            parts.append(f"{title} also runs it at {_list(self.theirs, self.zone)}")
        return f"on {day} the clock of {self.zone} is put {put}, and {' and '.join(parts)}"


def moved(times: Times, source: str, target: str, now: float) -> list[Times]:
    """The schedules in the target's zone that are this one in its own. Raises `Refused`."""
    found: list[list[Times]] = []
    for seconds in sorted(_distances(source, target, now)):
        shifted = times.shifted(seconds // MINUTE)
        if seconds % MINUTE or (found and shifted != found[0]):
            raise Refused(
                f"the target runs on {target} time, and {source} is not always as far from it",
                f"give the job timezone={target!r}",
            )
        found.append(shifted)
    return found[0]


def crons(pieces: list[Times], zone: str, clock: Clock) -> list[Cron]:
    """What a target with that behaviour does with these schedules.

    `vixie`
        As Debian's cron, and as `dst="once"`.
    `repeat`
        Reads the wall clock at every minute: nothing in a gap, twice in an overlap.
    `skip`
        Nothing in a gap, once in an overlap; jobs with a star follow the clock.
    `wall`
        The same for all jobs: the repeated hour is lost for those with a star too.
    `late`
        What lies in a gap runs at its end, as ours; an overlap is not documented.
    `unknown`
        Not documented. This and `late` are taken as `repeat`, which differs from ours wherever any
        would.
    """
    if clock == "vixie":
        return [Cron(_print.vixie(times), timezone=zone) for times in pieces]
    if clock in ("repeat", "late", "unknown"):
        return [Cron(plain(times), timezone=zone, dst="both") for times in pieces]
    if clock == "skip":
        return [Cron(plain(times), timezone=zone, dst="skip") for times in pieces]
    return [Cron(_without_stars(times), timezone=zone, dst="skip") for times in pieces]


def plain(times: Times) -> str:
    """In our own dialect."""
    return _print.vixie(times)


def differences(
    ours: Schedule, theirs: list[Cron], zones: set[str], now: float
) -> list[Difference]:
    """Where the two differ around the clock changes of the next year."""
    found: list[Difference] = []
    for zone in sorted(zones):
        for at, forward in _changes(zone, int(now), int(now) + YEAR):
            mine = _between(ours, at - DAY, at + DAY)
            other = set[int]().union(*(_between(cron, at - DAY, at + DAY) for cron in theirs))
            if mine != other:
                lost, extra = tuple(sorted(mine - other)), tuple(sorted(other - mine))
                found.append(Difference(at, zone, forward, lost, extra))
    return found


def _distances(source: str, target: str, now: float) -> set[int]:
    start, end = int(now) - BEHIND, int(now) + AHEAD
    marks = {start} | {at for zone in (source, target) for at, _ in _changes(zone, start, end)}
    return {_offset(target, at) - _offset(source, at) for at in marks}


def _offset(zone: str, instant: int) -> int:
    return _zones.segment_at(_zones.load(zone), instant)[2]


def _changes(zone: str, start: int, end: int) -> list[tuple[int, bool]]:
    """The instants at which the zone's clock changes, and whether it is put forward."""
    info = _zones.load(zone)
    found: list[tuple[int, bool]] = []
    segment = _zones.segment_at(info, start)
    while segment[1] < end:
        following = _zones.segment_at(info, segment[1])
        if following[2] != segment[2]:
            found.append((segment[1], following[2] > segment[2]))
        segment = following
    return found


def _between(schedule: Schedule, start: int, end: int) -> set[int]:
    moments: set[int] = set()
    moment = schedule.next(datetime.fromtimestamp(start - 1, UTC))
    while moment is not None and (instant := (moment - EPOCH) // ONE_SECOND) < end:
        moments.add(instant)
        moment = schedule.next(moment)
    return moments


def _without_stars(times: Times) -> str:
    from dataclasses import replace

    return plain(replace(times, follows=False))


def _list(instants: tuple[int, ...], zone: str) -> str:
    info = _zones.load(zone)
    words = [
        datetime.fromtimestamp(each, info).isoformat(" ", "minutes")[11:] for each in instants[:3]
    ]
    more = f" and {len(instants) - 3} more" if len(instants) > 3 else ""
    return ", ".join(words) + more

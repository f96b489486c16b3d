"""Time zones as segments: stretches of time in which a zone's offset from UTC stays the same.

1. A segment is `(start, end, offset, floor)`, all in seconds. `start` and `end` are instants, end
   excluded. Inside, local time is instant + offset.
2. `floor` is the local time at which the segment before it ended. Where the segment begins at a
   later local time, the clock was put forward over a gap; where it begins at an earlier one, the
   clock was put back, and local times below the floor are there for the second time.
3. Segments are found by asking the zone for its offset, so they follow whatever zone data the
   machine has. They may be cut where the offset does not change; such a cut has no gap and no
   overlap, and so no effect.
4. They depend on the zone alone. The cache only saves time.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from functools import lru_cache

from ._instants import DAY, EPOCH, FIRST, LAST
from .errors import UnknownTimezoneError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import TypeAlias

    Segment: TypeAlias = tuple[int, int, int, int]

# The segments are worked out and kept in blocks of this length, a month or so.
BLOCK = 32 * DAY
# A zone is asked every other day. The shortest segment of any zone since 1900 lasts four days.
PROBE = 2 * DAY
# A clock that was put back by as much as a day has passed its floor after a day.
LOOK_BACK = 2 * DAY
# 2,048 blocks are 180 years of one zone, about 1 MB.
BLOCKS_KEPT = 2048


def load(name: str) -> tzinfo:
    """The zone of that name. "UTC" needs no zone data. Raises `UnknownTimezoneError`."""
    if name == "UTC":
        return UTC
    import zoneinfo

    # OSError: some versions of Python let it through for a name that is a directory, "Europe".
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise UnknownTimezoneError(name, zoneinfo.available_timezones()) from None


def segment_at(zone: tzinfo, instant: int) -> Segment:
    """The segment that holds the instant."""
    segments = _block(zone, instant // BLOCK)
    index = 0
    while segments[index][1] <= instant:
        index += 1
    return segments[index]


@lru_cache(maxsize=BLOCKS_KEPT)
def _block(zone: tzinfo, number: int) -> tuple[Segment, ...]:
    """The segments that reach into the block, from the one that holds its first instant to the one
    that is cut at its end."""
    begin, end = number * BLOCK, (number + 1) * BLOCK
    start = begin - LOOK_BACK
    offset = _offset(zone, start)
    floor = start + offset
    segments: list[Segment] = []
    for probe in range(start + PROBE, end + 1, PROBE):
        later = _offset(zone, probe)
        if later != offset:
            change = _change(zone, probe - PROBE, probe)
            segments.append((start, change, offset, floor))
            start, floor, offset = change, change + offset, later
    segments.append((start, end, offset, floor))
    return tuple(segment for segment in segments if segment[1] > begin)


def _change(zone: tzinfo, low: int, high: int) -> int:
    """The instant between two probes at which the offset changes."""
    before = _offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high


def _offset(zone: tzinfo, instant: int) -> int:
    """Seconds that the zone is ahead of UTC at the instant."""
    utc = (EPOCH + timedelta(seconds=min(max(instant, FIRST), LAST))).replace(tzinfo=zone)
    # Between two datetimes of one zone this is the difference of what their clocks show.
    ahead = zone.fromutc(utc) - utc
    return ahead.days * DAY + ahead.seconds

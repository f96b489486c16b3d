"""Time zones as segments of one offset."""

from __future__ import annotations

import random
import sys
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest

from afterwork import _zones
from afterwork._cron import Cron
from afterwork._zones import BLOCK
from afterwork.errors import UnknownTimezoneError

HOUR = 3600


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


class Jump(tzinfo):
    """A zone whose clock is put forward or back once."""

    def __init__(self, change: int, by: int) -> None:
        self.change = datetime(1970, 1, 1, tzinfo=self) + timedelta(seconds=change)
        self.by = timedelta(seconds=by)

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        return None

    dst = utcoffset

    def fromutc(self, moment: datetime) -> datetime:
        return moment + self.by if moment >= self.change else moment


def test_a_segment_reaches_to_the_next_change() -> None:
    zone = _zones.load("America/New_York")
    spring, autumn = instant("2026-03-08T07:00Z"), instant("2026-11-01T06:00Z")

    _, end, offset, _ = _zones.segment_at(zone, spring - 1)
    assert (end, offset) == (spring, -5 * HOUR)
    start, _, offset, floor = _zones.segment_at(zone, spring)
    assert (start, offset) == (spring, -4 * HOUR)
    assert start + offset - floor == HOUR
    start, _, offset, floor = _zones.segment_at(zone, autumn)
    assert (start, offset) == (autumn, -5 * HOUR)
    assert start + offset - floor == -HOUR


@pytest.mark.parametrize("by", [HOUR, -HOUR, 86_399, -86_399])
@pytest.mark.parametrize("place", [-HOUR, -1, 0, 1, HOUR, BLOCK // 2])
def test_a_change_near_the_edge_of_a_block_is_seen_from_both_sides(place: int, by: int) -> None:
    change = 600 * BLOCK + place
    zone = Jump(change, by)
    _, end, offset, _ = _zones.segment_at(zone, change - 1)
    assert (end, offset) == (change, 0)
    start, end, offset, floor = _zones.segment_at(zone, change)
    assert (start, offset, floor) == (change, by, change)
    # As long as the clock shows times for the second time, the floor is known, in any block.
    later = max(change, change - by - 1)
    assert _zones.segment_at(zone, later)[2:] == (by, change)


def test_segments_have_the_offsets_of_every_zone() -> None:
    rng = random.Random(1)
    low, high = instant("1900-01-01T00:00Z"), instant("2100-01-01T00:00Z")
    for name in sorted(zoneinfo.available_timezones()):
        zone = ZoneInfo(name)
        for _ in range(10):
            moment = rng.randint(low, high)
            start, end, offset, _ = _zones.segment_at(zone, moment)
            assert start <= moment < end
            local = datetime.fromtimestamp(moment, UTC).astimezone(zone)
            assert local.utcoffset() == timedelta(seconds=offset)


def test_utc_needs_no_zone_data() -> None:
    assert _zones.load("UTC") is UTC


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Amerca/New_York", "Did you mean 'America/New_York'?"),
        ("Qqqqqq", "Write a name such as 'Europe/Paris'."),
        ("", "Write a name such as"),
        ("Europe", ""),
        ("../../etc/passwd", ""),
        ("/etc/passwd", ""),
        ("Europe/\N{LATIN SMALL LETTER E WITH ACUTE}", ""),
        ("a\0b", ""),
        ("x" * 5000, ""),
    ],
)
def test_d15_an_unknown_zone_is_an_error_that_names_tzdata(name: str, hint: str) -> None:
    """D15"""
    with pytest.raises(UnknownTimezoneError, match="pip install -U tzdata") as caught:
        Cron("@daily", timezone=name)
    assert caught.value.name == name
    assert hint in str(caught.value)


@pytest.fixture
def no_zone_data(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "tzdata", None)
    ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath([])
    yield
    zoneinfo.reset_tzpath()
    ZoneInfo.clear_cache()


@pytest.mark.usefixtures("no_zone_data")
def test_d15_a_machine_without_zone_data_is_told_to_install_tzdata() -> None:
    """D15"""
    with pytest.raises(UnknownTimezoneError, match=r"no zone data at all: pip install tzdata$"):
        Cron("@daily", timezone="America/New_York")
    assert Cron("@daily").next(datetime(2026, 1, 1, tzinfo=UTC)) is not None

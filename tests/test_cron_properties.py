"""Cron schedules against a plain model that looks at every minute of real time."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterwork._cron import Cron
from afterwork.errors import CronSyntaxError
from tests.cron_model import ALL, DAY, Model, Window, after, before, changes

ZONES = (
    *("UTC", "Africa/Cairo", "Africa/Casablanca", "Africa/Johannesburg", "America/Adak"),
    *("America/Asuncion", "America/Caracas", "America/Havana", "America/Los_Angeles"),
    *("America/Mexico_City", "America/New_York", "America/Nuuk", "America/Santiago"),
    *("America/Sao_Paulo", "America/St_Johns", "Antarctica/Casey", "Antarctica/Troll"),
    *("Asia/Amman", "Asia/Beirut", "Asia/Colombo", "Asia/Gaza", "Asia/Kathmandu"),
    *("Asia/Kolkata", "Asia/Pyongyang", "Asia/Tehran", "Asia/Tokyo", "Atlantic/Azores"),
    *("Australia/Eucla", "Australia/Lord_Howe", "Australia/Sydney", "Europe/Dublin"),
    *("Europe/Istanbul", "Europe/London", "Europe/Moscow", "Pacific/Apia", "Pacific/Chatham"),
    *("Pacific/Easter", "Pacific/Fakaofo", "Pacific/Kiritimati", "Pacific/Kwajalein"),
)
# What the date line left out or moved, and changes by 30, 45 and 120 minutes or several hours.
ODD_YEARS = (
    *(("Pacific/Apia", 2011), ("Pacific/Fakaofo", 2011), ("Pacific/Kiritimati", 1994)),
    *(("Pacific/Kwajalein", 1993), ("Asia/Kathmandu", 1985), ("America/Caracas", 2007)),
    *(("America/Caracas", 2016), ("Asia/Pyongyang", 2015), ("Asia/Pyongyang", 2018)),
    *(("Asia/Colombo", 1996), ("Asia/Colombo", 2006), ("America/St_Johns", 1988)),
    *(("Australia/Lord_Howe", 1981), ("Antarctica/Casey", 2018), ("Antarctica/Troll", 2026)),
    *(("Asia/Gaza", 2011), ("Africa/Casablanca", 2030), ("America/Adak", 1983)),
)
NEVER = float("inf")
SPAN = 2 * DAY
EXAMPLES = 280
ASKED = 25  # each; together 7,000

Policy = Literal["once", "skip", "both"]


def field(rng: random.Random, low: int, high: int) -> str:
    """One field; small values are likely, because clocks change at night."""
    items: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        first = rng.randint(low, rng.choice((high, min(low + 4, high))))
        last = rng.randint(first, high)
        step = rng.choice(("", f"/{rng.randint(1, high + 2)}"))
        value, span, star = str(first), f"{first}-{last}{step}", f"*{step}"
        items.append(rng.choice((value, value, span, star)))
    return ",".join(items)


def expression(rng: random.Random) -> str:
    texts = [field(rng, *limits) for limits in ALL]
    # Most jobs restrict the time of day only; the others would rarely fire in two days.
    for index in rng.choice(((2, 3, 4), (2, 3, 4), (3,), (3, 4), (2, 3), ())):
        texts[index] = "*"
    return " ".join(texts)


@lru_cache(maxsize=512)
def change_days(zone: str, year: int) -> list[int]:
    return changes(zone, year)


@st.composite
def windows(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and the start of a window in it, mostly near a change of the clock."""
    odd = draw(st.booleans())
    zone, year = (
        draw(st.sampled_from(ODD_YEARS))
        if odd
        else (draw(st.sampled_from(ZONES)), draw(st.integers(1970, 2100)))
    )
    days = change_days(zone, year)
    near_change = draw(st.integers(0, 3)) > 0
    if days and near_change:
        middle = draw(st.sampled_from(days)) + 12 * 3600
    else:
        first = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
        middle = first + draw(st.integers(0, 364)) * DAY
    shift = draw(st.integers(-20, 20)) * 3600
    return zone, middle + shift - SPAN // 2


def moment(seconds: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def second(time: datetime | None) -> float:
    """For comparisons: two datetimes of one zone compare by what their clocks show."""
    return NEVER if time is None else (time - moment(0)).total_seconds()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(windows(), st.integers(0, 2**32), st.sampled_from(("once", "once", "skip", "both")))
def test_d8_next_and_prev_equal_a_walk_over_every_minute(
    where: tuple[str, int], seed: int, dst: Policy
) -> None:
    """D8: 7,000 questions. Each answer is what the minute walk finds: later than asked, on matching
    local time or at the end of a gap, and with nothing in between."""
    zone, start = where
    window = Window(zone, start, start + SPAN)
    rng = random.Random(seed)
    for _ in range(ASKED):
        text = expression(rng)
        try:
            cron = Cron(text, timezone=zone, dst=dst)
        except CronSyntaxError:  # a day that none of its months has
            continue
        fires = window.fires(text, dst)
        asked = start + rng.randint(0, SPAN) + rng.choice((0.0, 0.25))
        time, back = second(cron.next(moment(asked))), second(cron.prev(moment(asked)))

        due, past = after(fires, asked), before(fires, asked)
        assert time == due if due is not None else time > start + SPAN
        assert back == past if past is not None else back < start or back == NEVER
        if time != NEVER:
            assert asked < time
            assert second(cron.prev(moment(time))) <= asked or back == NEVER
            # Later moments never have earlier answers, and up to the answer it stays the same.
            between = asked + (time - asked) * rng.random() * 0.999
            assert second(cron.next(moment(between))) == time
            assert second(cron.next(moment(time))) > time


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 130 * 365))
def test_d8_rare_dates_equal_a_walk_over_every_day(seed: int, start: int) -> None:
    """D8"""
    rng = random.Random(seed)
    text = "30 12 " + " ".join(
        rng.choice((field(rng, *limits), str(limits[1] - rng.randint(0, 2)), "*"))
        for limits in ALL[2:]
    )
    try:
        cron = Cron(text)
    except CronSyntaxError:
        return
    model = Model(text)
    day = datetime(1970, 1, 1, 12, 30, tzinfo=UTC) + timedelta(days=start)
    later = day + timedelta(days=1)
    while not model.on(later.date()):
        later += timedelta(days=1)
    assert cron.next(day) == later
    earlier = later - timedelta(days=1)
    while not model.on(earlier.date()):
        earlier -= timedelta(days=1)
    assert cron.prev(later) == earlier

"""Intervals that all replicas agree on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterwork._every import Every
from afterwork.errors import DurationSyntaxError, InvalidOptionError, NaiveDatetimeError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HAIR = timedelta(microseconds=1)


@pytest.mark.parametrize("interval", ["10m", 600, 600.0, timedelta(minutes=10)])
def test_an_interval_may_be_given_as_text_seconds_or_timedelta(interval: Any) -> None:
    assert Every(interval) == Every("10m")
    assert Every(interval).seconds == 600


def test_the_times_are_multiples_of_the_interval_since_1970() -> None:
    assert Every("10m").upcoming(3, NOON + timedelta(minutes=3)) == [
        NOON + timedelta(minutes=minutes) for minutes in (10, 20, 30)
    ]
    # seven hours are no part of a day, so the time of day wanders
    assert [time.hour for time in Every("7h").upcoming(5, NOON)] == [19, 2, 9, 16, 23]


@given(
    st.integers(1, 10**7),
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_next_and_prev_are_the_nearest_multiples(seconds: int, moment: datetime) -> None:
    every = Every(seconds)
    after, before = every.next(moment), every.prev(moment)
    assert after is not None
    assert before is not None
    assert before < moment < after
    assert int(after.timestamp()) % seconds == int(before.timestamp()) % seconds == 0
    on_time = every.prev(after) == moment
    assert (after - before).total_seconds() == seconds * (2 if on_time else 1)


def test_next_is_strictly_later_and_prev_strictly_earlier() -> None:
    every = Every("1h")
    hour = timedelta(hours=1)
    assert every.next(NOON - HAIR) == NOON
    assert every.next(NOON) == every.next(NOON + HAIR) == NOON + hour
    assert every.prev(NOON + HAIR) == NOON
    assert every.prev(NOON) == every.prev(NOON - HAIR) == NOON - hour


def test_answers_are_in_utc_whatever_the_zone_of_the_question() -> None:
    time = Every("1h").next(NOON.astimezone(timezone(timedelta(hours=5, minutes=45))))
    assert time == NOON + timedelta(hours=1)
    assert time is not None
    assert time.tzinfo is UTC


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(NaiveDatetimeError, match="after must be an aware datetime"):
        Every("1h").next(datetime(2026, 1, 1))
    with pytest.raises(NaiveDatetimeError, match="before must be an aware datetime"):
        Every("1h").prev(datetime(2026, 1, 1))


def test_time_ends_with_the_calendar() -> None:
    every = Every("1h")
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert every.next(last) is None
    assert every.prev(first) is None
    latest = every.prev(last)
    assert latest is not None
    assert latest.year == 9999
    assert every.upcoming(3, latest - HAIR) == [latest]
    earliest = every.next(first)
    assert earliest is not None
    assert earliest.year == 1
    assert Every(10**11).next(NOON) == datetime.fromtimestamp(10**11, UTC)


@pytest.mark.parametrize(
    "interval",
    [
        *(0, -1, 0.5, 1.5, "0s", timedelta(0), timedelta(milliseconds=1500), 10**12),
        *(float("inf"), float("nan"), True, None, b"10m", [1]),
    ],
)
def test_an_impossible_interval_is_refused(interval: Any) -> None:
    with pytest.raises(InvalidOptionError, match="interval must be"):
        Every(interval)


def test_an_interval_that_cannot_be_read_is_refused_with_its_place() -> None:
    with pytest.raises(DurationSyntaxError, match=r"'x' is no unit(.|\n)*\^$"):
        Every("10x")


@pytest.mark.parametrize(
    ("interval", "text", "words"),
    [
        ("10m", "10m", "every 10 minutes"),
        (3600, "1h", "every hour"),
        (90, "1m30s", "every 1 minute 30 seconds"),
        ("48h", "2d", "every 2 days"),
        (1, "1s", "every second"),
    ],
)
def test_it_prints_short_and_in_words(interval: Any, text: str, words: str) -> None:
    every = Every(interval)
    assert (str(every), repr(every), every.words()) == (text, f"Every({text!r})", words)


def test_equal_intervals_are_equal() -> None:
    assert len({Every("60s"), Every("1m")}) == 1
    assert Every("1m") != Every("2m")
    assert Every("1m") != 60

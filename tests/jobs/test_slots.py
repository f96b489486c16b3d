"""Slots: pure functions of a schedule and a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from afterwork import Cron, Every, _slots
from tests.jobs.support import NOON, at

HOUR = Every("1h")
NOW = at("2026-03-10 12:00").timestamp()


class Once:
    """A schedule with the times that it is given."""

    def __init__(self, *seconds: int) -> None:
        self.times = [datetime.fromtimestamp(each, UTC) for each in sorted(seconds)]

    def next(self, after: datetime) -> datetime | None:
        return next((each for each in self.times if each > after), None)

    def prev(self, before: datetime) -> datetime | None:
        return next((each for each in reversed(self.times) if each < before), None)

    def upcoming(self, n: int, after: datetime) -> list[datetime]:
        return [each for each in self.times if each > after][:n]

    def words(self) -> str:
        return "now and then"


def model(
    slots: list[int], since: float, now: float, misfire: str, grace: float, most: int
) -> tuple[list[int], list[int], int]:
    """What to run, what was missed and how many were dropped, in the words of the rules."""
    passed = [slot for slot in sorted(slots) if since < slot <= now]
    kept, dropped = passed[-most:], min(len(passed[:-most]), 10 * most)
    if misfire == "all":
        return kept, [], dropped
    newest = kept[-1:]
    if misfire == "skip":
        newest = [slot for slot in newest if now - slot <= grace]
    return newest, [slot for slot in kept if slot not in newest], dropped


@given(
    slots=st.sets(st.integers(0, 400), max_size=60),
    since=st.integers(-10, 400),
    now=st.floats(0, 450, allow_nan=False),
    misfire=st.sampled_from(["once", "skip", "all"]),
    grace=st.integers(0, 100),
    most=st.integers(1, 5),
)
def test_the_plan_is_that_of_the_rules(
    slots: set[int], since: int, now: float, misfire: str, grace: int, most: int
) -> None:
    """F2, F3, F4: compared with a model that looks at every slot."""
    plan = _slots.plan(Once(*slots), since=since, now=now, misfire=misfire, grace=grace, most=most)

    assert (plan.run, plan.missed, plan.dropped) == model(
        [*slots], since, now, misfire, grace, most
    )


def plan(misfire: str, hours: float, **options: Any) -> _slots.Plan:
    """After so many hours without anybody who runs anything."""
    since = NOW - hours * 3600
    return _slots.plan(HOUR, since=since, now=NOW + 5, misfire=misfire, grace=1800, **options)


def test_after_three_hours_each_policy_does_its_own() -> None:
    """F2"""
    three = [int(NOW) - 7200, int(NOW) - 3600, int(NOW)]
    assert (plan("once", 3).run, plan("once", 3).missed) == (three[-1:], three[:-1])
    assert (plan("all", 3).run, plan("all", 3).missed) == (three, [])
    late = _slots.plan(HOUR, since=NOW - 10800, now=NOW + 2700, misfire="skip", grace=1800)
    assert (late.run, late.missed) == ([], three)


def test_all_is_capped_and_says_what_it_drops() -> None:
    """F3: the newest hundred."""
    found = plan("all", 150)
    assert (len(found.run), found.run[-1], found.dropped) == (100, int(NOW), 50)
    assert plan("once", 5000).dropped == 1000


def test_slots_before_the_first_registration_were_never_due() -> None:
    """F4"""
    assert plan("all", 0).run == []
    assert plan("all", -1).run == []


def test_the_default_of_grace_is_half_the_interval_within_bounds() -> None:
    """F1: at least a minute, at most an hour, also where a schedule has no neighbour."""
    assert _slots.grace(Every("10s"), NOW) == 60
    assert _slots.grace(Every("10m"), NOW) == 300
    assert _slots.grace(Every("1d"), NOW) == 3600
    assert _slots.grace(Once(5), NOW) == 3600
    assert _slots.interval(Once(5), NOW) == float("inf")


@given(st.integers(1, 100_000), st.floats(0, 1e9), st.floats(0, 10_000))
def test_a_call_belongs_to_the_last_slot_if_that_is_recent(
    seconds: int, instant: float, tolerance: float
) -> None:
    """T15: or to the next one, a moment before it."""
    slot = _slots.most_recent(Every(seconds), instant, tolerance)

    if slot is None:
        assert instant % seconds > tolerance
    else:
        assert slot % seconds == 0
        assert -min(seconds / 60, 5) <= instant - slot <= tolerance


def test_without_any_slot_a_call_belongs_to_none() -> None:
    assert _slots.most_recent(Once(), NOW, 60) is None
    assert _slots.after(Once(), NOW) is None


@given(st.integers(0, 10**9), st.floats(0.001, 3600))
def test_a_jitter_is_the_same_everywhere(slot: int, jitter: float) -> None:
    """It never makes a slot earlier, and differs between jobs."""
    moment = _slots.jittered("job", slot, jitter)

    assert slot <= moment <= slot + jitter
    assert moment == _slots.jittered("job", slot, jitter)
    assert _slots.jittered("job", slot, 0) == slot


def test_slots_are_instants_and_no_wall_clock_times() -> None:
    """D3: where an hour comes twice, it has two slots."""
    cron = Cron("30 * * * *", timezone="America/New_York")
    first = _slots.after(cron, at("2026-11-01 05:00").timestamp())
    assert first is not None
    second = _slots.after(cron, first)

    assert second is not None
    assert second == first + 3600
    assert _slots.at_or_before(cron, second) == second
    assert _slots.at_or_before(cron, second - 0.5) == first


def test_a_slot_is_written_in_utc() -> None:
    assert _slots.text(NOON.timestamp()) == "2026-03-10T12:00:05Z"
    assert NOON + timedelta(0) == NOON

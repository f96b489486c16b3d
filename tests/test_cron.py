"""Cron schedules in real time zones. The case numbers are those of group D."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zoneinfo
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from afterwork._cron import Cron
from afterwork.errors import CronSyntaxError, InvalidOptionError, NaiveDatetimeError

NEW_YORK = "America/New_York"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def fires(cron: Cron, start: str, end: str) -> list[str]:
    """All times after the start up to the end, in short; asked forwards and backwards."""
    forward: list[datetime] = []
    time = cron.next(at(start))
    while time is not None and time <= at(end):
        forward.append(time)
        time = cron.next(time)
    backward: list[datetime] = []
    time = cron.prev(at(end) + timedelta(seconds=1))
    while time is not None and time > at(start):
        backward.append(time)
        time = cron.prev(time)
    assert backward[::-1] == forward
    return [time.isoformat(timespec="minutes") for time in forward]


class TestGapsAndOverlaps:
    def test_d1_a_fixed_time_in_a_gap_runs_once_at_its_end(self) -> None:
        """D1"""
        cron = Cron("30 2 * * *", timezone=NEW_YORK)
        assert fires(cron, "2026-03-07T12:00-05:00", "2026-03-09T12:00-04:00") == [
            "2026-03-08T03:00-04:00",
            "2026-03-09T02:30-04:00",
        ]

    def test_d2_a_fixed_time_in_an_overlap_runs_once_at_its_first_showing(self) -> None:
        """D2"""
        cron = Cron("30 1 * * *", timezone=NEW_YORK)
        assert fires(cron, "2026-10-31T12:00-04:00", "2026-11-02T12:00-05:00") == [
            "2026-11-01T01:30-04:00",
            "2026-11-02T01:30-05:00",
        ]
        assert cron.next(at("2026-11-01T01:10-05:00")) == at("2026-11-02T01:30-05:00")

    def test_d3_an_hourly_job_follows_real_hours(self) -> None:
        """D3"""
        cron = Cron("0 * * * *", timezone=NEW_YORK)
        autumn = fires(cron, "2026-10-31T23:59-04:00", "2026-11-01T23:59-05:00")
        assert {"2026-11-01T01:00-04:00", "2026-11-01T01:00-05:00"} < set(autumn)
        assert len(autumn) == 25
        spring = fires(cron, "2026-03-07T23:59-05:00", "2026-03-08T23:59-04:00")
        assert len(spring) == 23

    def test_d4_a_wildcard_job_is_not_caught_up_after_a_gap(self) -> None:
        """D4"""
        cron = Cron("48 */2 * * *", timezone=NEW_YORK)
        assert fires(cron, "2026-03-08T00:00-05:00", "2026-03-08T05:00-04:00") == [
            "2026-03-08T00:48-05:00",
            "2026-03-08T04:48-04:00",
        ]

    def test_d5_a_gap_of_half_an_hour(self) -> None:
        """D5"""
        cron = Cron("0 2 * * *", timezone="Australia/Lord_Howe")
        assert fires(cron, "2026-10-04T00:00+10:30", "2026-10-04T23:00+11:00") == [
            "2026-10-04T02:30+11:00"
        ]

    def test_d6_a_change_earlier_in_the_day_moves_nothing(self) -> None:
        """D6"""
        cron = Cron("*/30 5 * * *", timezone="Australia/Lord_Howe")
        assert fires(cron, "2026-10-04T00:00+10:30", "2026-10-04T23:00+11:00") == [
            "2026-10-04T05:00+11:00",
            "2026-10-04T05:30+11:00",
        ]

    @pytest.mark.parametrize(
        ("zone", "before", "expected"),
        [
            ("America/Santiago", "2026-09-05T12:00-04:00", "2026-09-06T01:00-03:00"),
            ("Africa/Cairo", "2026-04-23T12:00+02:00", "2026-04-24T01:00+03:00"),
        ],
    )
    def test_d7_a_gap_at_midnight_does_not_lose_the_day(
        self, zone: str, before: str, expected: str
    ) -> None:
        """D7"""
        cron = Cron("30 0 * * *", timezone=zone)
        end = (at(expected) + timedelta(hours=20)).isoformat()
        assert fires(cron, before, end) == [expected]

    def test_several_fixed_times_in_one_gap_are_one_run(self) -> None:
        cron = Cron("0,20,40 2,3 * * *", timezone=NEW_YORK)
        assert fires(cron, "2026-03-08T00:00-05:00", "2026-03-08T12:00-04:00") == [
            "2026-03-08T03:00-04:00",
            "2026-03-08T03:20-04:00",
            "2026-03-08T03:40-04:00",
        ]

    @pytest.mark.parametrize(
        ("zone", "day", "start", "expected"),
        [
            ("Pacific/Apia", 30, "2011-12-29T13:00-10:00", "2011-12-31T00:00+14:00"),
            ("Pacific/Kwajalein", 21, "1993-08-20T13:00-12:00", "1993-08-22T00:00+12:00"),
            ("Pacific/Kiritimati", 31, "1994-12-30T13:00-10:00", "1995-01-01T00:00+14:00"),
        ],
    )
    def test_a_day_that_a_move_of_the_date_line_left_out_is_caught_up(
        self, zone: str, day: int, start: str, expected: str
    ) -> None:
        end = (at(expected) + timedelta(hours=11)).isoformat()
        assert fires(Cron("0 12 * * *", timezone=zone), start, end) == [expected]
        assert fires(Cron(f"0 12 {day} * *", timezone=zone), start, end) == [expected]
        assert fires(Cron("0 12 * * *", timezone=zone, dst="skip"), start, end) == []

    def test_a_day_that_a_move_of_the_date_line_showed_twice_runs_once(self) -> None:
        """Kwajalein went from UTC+11 to UTC-12 in 1969."""
        cron = Cron("0 12 * * *", timezone="Pacific/Kwajalein")
        assert fires(cron, "1969-09-29T00:00+11:00", "1969-10-02T00:00-12:00") == [
            "1969-09-29T12:00+11:00",
            "1969-09-30T12:00+11:00",
            "1969-10-01T12:00-12:00",
        ]
        both = Cron("0 12 * * *", timezone="Pacific/Kwajalein", dst="both")
        assert len(fires(both, "1969-09-29T00:00+11:00", "1969-10-02T00:00-12:00")) == 4

    def test_a_gap_that_ends_within_a_minute_runs_at_the_next_full_minute(self) -> None:
        """Monrovia's clock went from 23:59:59 to 00:44:30 in 1972."""
        cron = Cron("20 0 * * *", timezone="Africa/Monrovia")
        before = datetime(1972, 1, 6, 12, tzinfo=UTC)
        assert [time.isoformat() for time in cron.upcoming(2, before)] == [
            "1972-01-07T00:45:00+00:00",
            "1972-01-08T00:20:00+00:00",
        ]
        assert cron.prev(at("1972-01-07T12:00+00:00")) == at("1972-01-07T00:45+00:00")
        assert cron.prev(at("1972-01-07T00:45+00:00")) == at("1972-01-06T00:20-00:44:30")
        # the days before it, when local minutes did not begin with those of UTC
        assert cron.next(at("1972-01-05T00:00+00:00")) == at("1972-01-05T01:04:30+00:00")

    @pytest.mark.parametrize(
        ("dst", "gap", "overlap"),
        [
            ("once", ["2026-03-08T03:00-04:00"], ["2026-11-01T01:30-04:00"]),
            ("skip", [], ["2026-11-01T01:30-04:00"]),
            ("both", [], ["2026-11-01T01:30-04:00", "2026-11-01T01:30-05:00"]),
        ],
    )
    def test_d17_the_policies_do_what_debian_eventbridge_and_kubernetes_do(
        self, dst: Any, gap: list[str], overlap: list[str]
    ) -> None:
        """D17"""
        in_gap = Cron("30 2 * * *", timezone=NEW_YORK, dst=dst)
        assert fires(in_gap, "2026-03-08T00:00-05:00", "2026-03-08T23:00-04:00") == gap
        in_overlap = Cron("30 1 * * *", timezone=NEW_YORK, dst=dst)
        assert fires(in_overlap, "2026-11-01T00:00-04:00", "2026-11-01T23:00-05:00") == overlap
        hourly = Cron("0 * * * *", timezone=NEW_YORK, dst=dst)
        assert len(fires(hourly, "2026-10-31T23:59-04:00", "2026-11-01T23:59-05:00")) == 25

    @pytest.mark.parametrize("dst", ["skip", "both"])
    def test_d17_a_time_that_lies_in_every_gap_never_fires_again(self, dst: Any) -> None:
        """D17: The second Sunday of March, 02:30; the rule is from 2007."""
        cron = Cron("30 2 8-14 3 */7", timezone=NEW_YORK, dst=dst)
        assert cron.next(at("2026-01-01T00:00+00:00")) is None
        assert cron.upcoming(3, at("2026-01-01T00:00+00:00")) == []
        assert cron.prev(at("2026-01-01T00:00+00:00")) == at("2006-03-12T02:30-05:00")


class TestCalendar:
    def test_d11_two_restricted_day_fields_are_or_and_a_star_field_makes_them_and(self) -> None:
        """D11"""
        either = Cron("0 0 13 * 5").upcoming(6, at("2026-03-01T00:00+00:00"))
        assert [time.day for time in either] == [6, 13, 20, 27, 3, 10]
        either = Cron("0 0 14 * 5").upcoming(5, at("2026-03-01T00:00+00:00"))
        assert [time.day for time in either] == [6, 13, 14, 20, 27]
        both = Cron("0 0 */2 * 5").upcoming(4, at("2026-03-01T00:00+00:00"))
        assert [(time.month, time.day) for time in both] == [(3, 13), (3, 27), (4, 3), (4, 17)]
        both = Cron("0 0 13 * */5").upcoming(2, at("2026-01-01T00:00+00:00"))
        assert [time.date() for time in both] == [date(2026, 2, 13), date(2026, 3, 13)]

    def test_d12_sunday_is_0_and_7_and_names_stand_for_numbers(self) -> None:
        """D12"""
        now = at("2026-03-01T12:00+00:00")
        sundays = [Cron(f"0 0 * * {day}").upcoming(3, now) for day in ("0", "7", "sun", "SUN")]
        assert all(times == sundays[0] for times in sundays)
        assert all(time.isoweekday() == 7 for time in sundays[0])
        mondays = [Cron(f"0 9 * * {day}").upcoming(3, now) for day in ("1", "MON", "mon")]
        assert all(times == mondays[0] for times in mondays)
        assert all(time.isoweekday() == 1 for time in mondays[0])
        assert Cron("0 0 1 JAN *").next(now) == Cron("0 0 1 1 *").next(now)

    def test_d13_a_leap_day_is_found_over_the_year_2100(self) -> None:
        """D13"""
        assert Cron("0 0 29 2 *").next(at("2097-01-01T00:00+00:00")) == at("2104-02-29T00:00Z")
        assert Cron("0 0 29 2 *").prev(at("2104-02-29T00:00Z")) == at("2096-02-29T00:00Z")
        assert Cron("0 0 29 2 */7").next(at("2088-03-01T00:00Z")) == at("2128-02-29T00:00Z")

    def test_d13_a_date_that_does_not_exist_is_refused_when_the_schedule_is_made(self) -> None:
        """D13"""
        with pytest.raises(CronSyntaxError, match="there is no day 31 in Feb"):
            Cron("0 0 31 2 *")

    def test_d16_the_year_ends_in_every_zone(self) -> None:
        """D16"""
        zones = zoneinfo.available_timezones()
        assert len(zones) > 400
        for zone in zones:
            info = ZoneInfo(zone)
            newyear = datetime(2027, 1, 1, tzinfo=info)
            for expression in ("* * * * *", "0 0 1 1 *"):
                cron = Cron(expression, timezone=zone)
                assert cron.next(datetime(2026, 12, 31, 23, 59, tzinfo=info)) == newyear
                assert cron.prev(newyear + timedelta(seconds=1)) == newyear
            leap = Cron("0 12 29 2 *", timezone=zone)
            assert leap.next(newyear) == datetime(2028, 2, 29, 12, tzinfo=info)
            assert leap.prev(newyear) == datetime(2024, 2, 29, 12, tzinfo=info)


class TestAnswers:
    def test_they_are_aware_in_the_schedules_zone_and_tell_the_two_showings_apart(self) -> None:
        first, second = Cron("30 1 1 11 *", timezone=NEW_YORK, dst="both").upcoming(
            2, at("2026-10-01T00:00+00:00")
        )
        assert first.tzinfo is second.tzinfo is ZoneInfo(NEW_YORK)
        assert (first.fold, second.fold) == (0, 1)
        utc = Cron("0 0 * * *").next(at("2026-10-01T00:00+05:00"))
        assert utc is not None
        assert utc.tzinfo is UTC

    def test_next_is_strictly_later_and_prev_strictly_earlier(self) -> None:
        cron = Cron("0 12 * * *")
        noon = at("2026-03-01T12:00:00+00:00")
        hair = timedelta(microseconds=1)
        assert cron.next(noon - hair) == noon
        assert cron.next(noon) == cron.next(noon + hair) == noon + timedelta(days=1)
        assert cron.prev(noon + hair) == noon
        assert cron.prev(noon) == cron.prev(noon - hair) == noon - timedelta(days=1)

    def test_the_moment_may_be_given_in_any_zone(self) -> None:
        cron = Cron("0 12 * * *", timezone="Asia/Tokyo")
        moment = datetime(2026, 3, 1, 4, tzinfo=UTC)
        elsewhere = moment.astimezone(timezone(timedelta(hours=-7, minutes=-13)))
        assert cron.next(moment) == cron.next(elsewhere) == at("2026-03-02T12:00+09:00")

    @pytest.mark.parametrize("moment", [datetime(2026, 1, 1), date(2026, 1, 1), 0, None, "now"])
    def test_a_moment_without_a_zone_is_refused(self, moment: Any) -> None:
        cron = Cron("@daily")
        with pytest.raises(NaiveDatetimeError, match="after must be an aware datetime"):
            cron.next(moment)
        with pytest.raises(NaiveDatetimeError, match="before must be an aware datetime"):
            cron.prev(moment)
        with pytest.raises(NaiveDatetimeError, match="after must be an aware datetime"):
            cron.upcoming(1, moment)

    @pytest.mark.parametrize("n", [0, -1, True, 1.5])
    def test_upcoming_gives_at_least_one(self, n: Any) -> None:
        with pytest.raises(InvalidOptionError, match="n must be a whole number from 1 on"):
            Cron("@daily").upcoming(n, at("2026-01-01T00:00Z"))

    @pytest.mark.parametrize("zone", ["UTC", NEW_YORK, "Pacific/Kiritimati", "Pacific/Midway"])
    @pytest.mark.parametrize("expression", ["* * * * *", "0 0 * * *", "0 0 1 1 *", "0 0 29 2 *"])
    def test_time_ends_with_the_calendar(self, expression: str, zone: str) -> None:
        cron = Cron(expression, timezone=zone)
        first = datetime.min.replace(tzinfo=UTC)
        last = datetime.max.replace(tzinfo=UTC)
        assert cron.next(last) is None
        assert cron.prev(first) is None
        earliest, latest = cron.next(first), cron.prev(last)
        assert earliest is not None
        assert earliest.year <= 4
        assert latest is not None
        assert latest.year >= 9996
        assert cron.next(latest) is None
        assert cron.prev(earliest) is None
        assert len(cron.upcoming(3, latest - timedelta(seconds=1))) == 1

    def test_d9_another_process_gives_the_same_answers(self) -> None:
        """D9"""
        asked = {
            expression: (zone, f"{year}-{month:02}-07T05:59:59+00:00")
            for expression, zone, year, month in [
                ("30 2 * * *", NEW_YORK, 2026, 3),
                ("30 1 * * *", NEW_YORK, 2026, 11),
                ("*/7 1-5/2 * * *", "Australia/Lord_Howe", 2027, 4),
                ("0 0 13 * 5", "Asia/Kathmandu", 1985, 12),
                ("0 0 */2 * 5", "Europe/Dublin", 2099, 10),
            ]
        }
        here = {
            expression: [str(time) for time in Cron(expression, timezone=zone).upcoming(50, at(t))]
            for expression, (zone, t) in asked.items()
        }
        # asked one by one, from the last on, by a process that starts in the middle
        script = """
import json, sys
from datetime import datetime
from afterwork._cron import Cron
asked, here = json.load(sys.stdin)
for expression, (zone, start) in asked.items():
    cron = Cron(expression, timezone=zone)
    for index in reversed(range(50)):
        after = here[expression][index - 1] if index else start
        here[expression][index] = str(cron.next(datetime.fromisoformat(after)))
print(json.dumps(here))
"""
        done = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps([asked, here]),
            env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == here

    def test_a_tzinfo_that_knows_no_offset_is_naive(self) -> None:
        class Silent(tzinfo):
            def utcoffset(self, moment: object) -> None:
                return None

            tzname = dst = utcoffset

        with pytest.raises(NaiveDatetimeError):
            Cron("@daily").next(datetime(2026, 1, 1, tzinfo=Silent()))


class TestTheValue:
    def test_it_prints_as_it_was_written_with_single_spaces(self) -> None:
        cron = Cron("  0\t9 * *   MON ", timezone="Europe/Paris", dst="skip")
        assert str(cron) == "0 9 * * MON"
        assert repr(cron) == "Cron('0 9 * * MON', timezone='Europe/Paris', dst='skip')"
        assert repr(Cron("@daily")) == "Cron('@daily', timezone='UTC')"
        assert (cron.timezone, cron.dst) == ("Europe/Paris", "skip")

    def test_equal_ones_are_written_alike(self) -> None:
        cron = Cron("0 9 * * 1", timezone=NEW_YORK)
        same = Cron(" 0 9 * * 1", timezone=NEW_YORK)
        assert cron == same
        assert len({cron, same}) == 1
        assert cron != Cron("0 9 * * 1", timezone=NEW_YORK, dst="skip")
        assert cron != Cron("0 9 * * 1")
        assert cron != Cron("0 9 * * 2", timezone=NEW_YORK)
        assert cron != "0 9 * * 1"

    def test_it_can_be_pickled(self) -> None:
        cron = Cron("0 9 * * 1", timezone=NEW_YORK)
        again = pickle.loads(pickle.dumps(cron))
        assert again == cron
        assert again.next(at("2026-01-01T00:00Z")) == cron.next(at("2026-01-01T00:00Z"))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"expression": None}, "expression must be a text such as"),
            ({"timezone": None}, "timezone must be a name such as 'Europe/Paris'"),
            ({"timezone": UTC}, "timezone must be a name"),
            ({"dst": "twice"}, "dst must be one of 'once', 'skip', 'both'"),
        ],
    )
    def test_impossible_arguments_are_refused(self, arguments: Any, message: str) -> None:
        with pytest.raises(InvalidOptionError, match=message):
            Cron(**{"expression": "@daily", **arguments})

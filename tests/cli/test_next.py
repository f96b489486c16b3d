"""`next`: coming times, and what changes of the clock do to them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import Cron
from afterwork.cli._changes import marks

if TYPE_CHECKING:
    from tests.cli.support import Shell

NEW_YORK = ("--tz", "America/New_York")


def lines(shell: Shell, *argv: str) -> list[str]:
    done = shell("next", *argv)
    assert done.code == 0
    return done.out.splitlines()


def test_an_expression_needs_no_app(empty: Shell) -> None:
    out = lines(empty, "30 2 * * *", "--after", "2026-03-01", "-n", "2")
    assert [line[:33] for line in out] == [
        "2026-03-01 Sun 02:30:00 +00:00  2",
        "2026-03-02 Mon 02:30:00 +00:00  2",
    ]
    assert len(lines(empty, "@daily")) == 5
    assert lines(empty, "90s", "--after", "2026-03-01T00:00Z", "-n", "1")[0].startswith(
        "2026-03-01 Sun 00:01:30 +00:00"
    )


def test_a_fixed_time_in_a_gap_is_marked_as_moved(empty: Shell) -> None:
    """New York, 2026-03-08: from 02:00 to 03:00."""
    out = lines(empty, "30 2 * * *", *NEW_YORK, "--after", "2026-03-07T12:00", "-n", "2")
    assert out[0] == (
        "2026-03-08 Sun 03:00:00 -04:00  moved: 02:30, which the clock leaves out: it goes from "
        "02:00 to 03:00"
    )
    assert "moved" not in out[1]
    both = lines(empty, "0 2,3 * * *", *NEW_YORK, "--after", "2026-03-07T12:00", "-n", "1")
    assert "03:00:00 -04:00  moved: here with 02:00" in both[0]


def test_what_follows_the_clock_skips_the_gap(empty: Shell) -> None:
    out = lines(empty, "*/10 * * * *", *NEW_YORK, "--after", "2026-03-08T01:45", "-n", "2")
    assert out[0].startswith("2026-03-08 Sun 01:50:00 -05:00")
    assert "--:--:--" in out[1]
    assert "skipped: 02:00, 02:10, 02:20 and 3 more" in out[1]
    assert out[2].startswith("2026-03-08 Sun 03:00:00 -04:00")


def test_an_hour_that_comes_twice_is_marked(empty: Shell) -> None:
    """New York, 2026-11-01: 01:00 to 02:00 twice."""
    after = ("--after", "2026-11-01T00:30")
    out = lines(empty, "0 * * * *", *NEW_YORK, *after, "-n", "3")
    assert "01:00:00 -04:00  repeated: the first 01:00 of the day, the second fires too" in out[0]
    assert "01:00:00 -05:00  repeated: the second 01:00 of the day" in out[1]
    assert "repeated" not in out[2]
    once = lines(empty, "30 1 * * *", *NEW_YORK, *after, "-n", "2")
    assert "01:30:00 -04:00  repeated: the first 01:30 of the day, the second does not" in once[0]
    assert once[1].startswith("2026-11-02 Mon 01:30:00 -05:00")


def test_other_policies_and_years_without_times() -> None:
    skip = Cron("30 2 8 3 *", timezone="America/New_York", dst="skip")
    after = datetime(2026, 1, 1, tzinfo=UTC)
    found = marks(skip, skip.upcoming(1, after), after)
    assert [mark.kind for mark in found] == ["skipped", ""]
    assert found[1].at.year == 2027


def test_a_job_and_its_document(shop: Shell) -> None:
    document = shop("next", "nightly", "--json", "-n", "1", "--after", "2026-03-07T23:00Z").document
    assert document["job"] == "nightly"
    assert document["timezone"] == "America/New_York"
    assert document["times"] == [
        {
            "at": "2026-03-08T03:00:00-04:00",
            "utc": "2026-03-08T07:00:00Z",
            "mark": None,
            "detail": None,
        }
    ]
    assert document["skipped"] == []
    out = lines(shop, "nightly", "--tz", "Europe/Paris", "-n", "1")
    assert out[0][15:23] in ("09:00:00", "08:00:00")
    assert " in " in out[0]


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (["60 * * * *"], 2, "minute 60 does not exist"),
        (["bad"], 2, "has no schedule"),
        (["nobody"], 3, "there is no job 'nobody'"),
        (["5x"], 2, "this duration is refused"),
        (["@daily", "-n", "0"], 2, "no whole number from 1 on"),
        (["@daily", "--tz", "Mars"], 2, "there is no time zone 'Mars'"),
        (["@daily", "--after", "soon"], 2, "--after is a duration such as 2h, or a time"),
        (["@daily", "--after", "0001-01-01"], 0, ""),
    ],
)
def test_what_cannot_be_answered(shop: Shell, argv: list[str], code: int, problem: str) -> None:
    done = shop("next", *argv)
    assert done.code == code
    assert problem in done.err


def test_the_end_of_all_times(empty: Shell) -> None:
    done = empty("next", "@daily", "--after", "9999-12-30T23:00Z")
    assert (done.code, done.out) == (0, "")
    assert "does not fire any more" in done.err


def test_a_schedule_of_another_kind_has_no_marks() -> None:
    class Fixed:
        def upcoming(self, n: int, after: datetime) -> list[datetime]:
            return [after] * n

    schedule: Any = Fixed()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [mark.kind for mark in marks(schedule, schedule.upcoming(2, now), now)] == ["", ""]

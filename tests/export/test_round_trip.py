"""What was printed, read back as the platform reads it, fires when the job does."""

from __future__ import annotations

import random
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterwork import Cron, Every
from afterwork.errors import CronSyntaxError
from tests.export.dialects import EXTRA, READERS
from tests.export.support import NOW, App

DAY = 86_400
WINTER = int(NOW.timestamp())
ZONED = ("vercel-schedules", "kubernetes", "eventbridge", "crontab", "systemd", "github")
DST_ZONES = ("America/New_York", "Australia/Lord_Howe", "Europe/London", "America/Santiago")
SYSTEMD = shutil.which("systemd-analyze")


def field(rng: random.Random, low: int, high: int) -> str:
    first, last = sorted((rng.randint(low, high), rng.randint(low, high)))
    kinds = ["*", "*", str(first), f"{first}-{last}", f"*/{rng.randint(1, high)}"]
    kinds.append(f"{first}-{last}/{rng.randint(1, 9)},{last}")
    return rng.choice(kinds)


def expression(rng: random.Random) -> str:
    days = rng.choice(("* *", "* *", f"{rng.randint(1, 28)} *", "* 1-5", f"* {rng.randint(0, 7)}"))
    days = rng.choice((days, f"{rng.randint(1, 28)} {rng.randint(0, 6)}", "*/2 5", "13 */2"))
    day, weekday = days.split()
    month = rng.choice(("*", "*", "*", "1-6", "*/3"))
    return f"{field(rng, 0, 59)} {field(rng, 0, 23)} {day} {month} {weekday}"


def instants(schedule: Any, start: int, end: int, most: int = 10**6) -> list[int]:
    found: list[int] = []
    moment = schedule.next(datetime.fromtimestamp(start - 1, UTC))
    while moment is not None and moment.timestamp() <= end and len(found) < most:
        found.append(int(moment.timestamp()))
        moment = schedule.next(moment)
    return found


def same(target: str, app: App, schedule: Any, start: int, end: int) -> bool:
    """Compares the next 50 occurrences; False where the target refused."""
    result = app.export(target, *EXTRA.get(target, ()))
    if result.code == 1:
        assert "Either" in result.err
        assert " or let the target call /tick" in result.err
        return False
    ours = instants(schedule, start, end, 50)
    end = ours[-1] if len(ours) == 50 else end
    assert READERS[target].fires(result.out, "job", start, end) == ours, result.out
    return True


@pytest.mark.parametrize("target", READERS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_e12_parsed_back_it_has_the_same_next_fifty_fires(target: str, seed: int) -> None:
    """E12"""
    rng = random.Random(seed)
    text = expression(rng)
    zone = rng.choice(("UTC", "Asia/Kolkata", "Asia/Tokyo", *DST_ZONES))
    try:
        schedule = Cron(text, timezone=zone)
    except CronSyntaxError:
        return
    # January and February have no clock change in these zones.
    same(target, App().cron("job", text, timezone=zone), schedule, WINTER, WINTER + 50 * DAY)


@pytest.mark.parametrize("target", READERS)
def test_e12_fifty_plain_schedules_are_not_refused(target: str) -> None:
    """E12: The round trip is worth nothing if most are refused."""
    rng = random.Random(7)
    for _ in range(8):
        hour, minute = rng.randint(0, 23), rng.randint(0, 59)
        days = rng.choice(("* * *", "* * 1-5", "* * 0", "15 * *", "* 3-5 *"))
        text = f"{minute} {hour} {days}"
        app = App().cron("job", text)
        assert same(target, app, Cron(text), WINTER, WINTER + 20 * DAY)
    for interval in ("5m", "20m", "1h", "6h", "1d", "7d"):
        app = App().every("job", interval)
        assert same(target, app, Every(interval), WINTER, WINTER + 15 * DAY)


@pytest.mark.parametrize("target", ["vercel", "cloudflare", "pg-cron", "azure", "netlify"])
@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0 3 * * *", "Asia/Kolkata"),
        ("*/15 2-8 * * MON-FRI", "Asia/Kolkata"),
        ("0 1,20 * * SUN", "Asia/Tokyo"),
        ("10,40 * * * *", "America/New_York"),
        ("0 12 1 * *", "Asia/Tokyo"),
    ],
)
def test_e12_a_zone_at_a_fixed_distance_is_moved_to_utc(target: str, text: str, zone: str) -> None:
    """E12"""
    app = App().cron("job", text, timezone=zone)
    assert same(target, app, Cron(text, timezone=zone), WINTER, WINTER + 20 * DAY)


@pytest.mark.parametrize("target", ["vercel", "cloudflare", "railway", "netlify"])
@pytest.mark.parametrize(
    ("text", "zone"),
    [("0 3 * * *", "America/New_York"), ("0 3 1 * *", "Asia/Tokyo"), ("30 * * * *", "Asia/Tehran")],
)
def test_an_hour_is_never_shifted_silently(target: str, text: str, zone: str) -> None:
    """A zone with clock changes, or a date that would move, is refused where the target has one
    zone. (Tehran has kept its clock since 2022: it is at a fixed distance.)"""
    result = App().cron("job", text, timezone=zone).export(target)
    if zone == "Asia/Tehran":
        assert result.code == 0
    else:
        assert result.code == 1
        assert "Either" in result.err
        assert "--tick 5m" in result.err


@pytest.mark.parametrize("target", [each for each in ZONED if each != "github"])
@pytest.mark.parametrize("zone", DST_ZONES)
def test_e12_on_days_with_clock_changes_the_difference_is_what_the_warning_says(
    target: str, zone: str
) -> None:
    """E12"""
    texts = ("30 2 * * *", "30 1 * * *", "0 * * * *", "*/20 1-3 * * *", "30 0 * * *", "0 2,5 * * *")
    for text in texts:
        app = App().cron("job", text, timezone=zone)
        words = (target, *EXTRA.get(target, ()))
        result = app.export(*words)
        plan = app.plan(*words)
        assert result.code == 0
        told = {
            instant
            for difference in plan.differences["job"]
            for instant in (*difference.ours, *difference.theirs)
        }
        found: set[int] = set()
        year = instants(Cron("0 12 * * *"), WINTER, WINTER + 365 * DAY)
        info = Cron("0 0 * * *", timezone=zone)
        for noon in year:
            here, there = info.upcoming(2, datetime.fromtimestamp(noon - DAY, UTC))
            if here.utcoffset() != there.utcoffset():
                start, end = noon - 2 * DAY, noon + DAY
                ours = set(instants(Cron(text, timezone=zone), start, end))
                found |= ours ^ set(READERS[target].fires(result.out, "job", start, end))
        assert told == found, (target, zone, text)
        assert bool(told) == ("is put" in result.err)


@pytest.mark.parametrize("text", ["15 0-23 * * *", "15 * * * *"])
def test_e12_fixed_times_in_every_hour_are_moved_and_the_changes_told(text: str) -> None:
    """E12: Both are `15 * * * *` in UTC. But fixed times run once in a repeated hour, and those
    with a star twice, as UTC does."""
    zone = "America/New_York"
    app = App().cron("job", text, timezone=zone)
    result = app.export("vercel")
    assert READERS["vercel"].read(result.out)["job"] == [("15 * * * *", "UTC")]
    if "-" not in text:
        assert result.err == ""
        return
    schedule = Cron(text, timezone=zone)
    found = set(instants(schedule, WINTER, WINTER + 366 * DAY))
    found ^= set(instants(Cron("15 * * * *"), WINTER, WINTER + 366 * DAY))
    told = {
        instant
        for difference in app.plan("vercel").differences["job"]
        for instant in (*difference.ours, *difference.theirs)
    }
    assert told == found
    assert "the clock of America/New_York is put back, and Vercel Cron also runs it" in result.err


@pytest.mark.parametrize("target", ["kubernetes", "eventbridge", "crontab"])
def test_d17_the_policy_of_the_platform_makes_the_warning_go(target: str) -> None:
    """`dst="both"` is what Kubernetes does, `"skip"` EventBridge, `"once"` Debian."""
    policy: Any = {"kubernetes": "both", "eventbridge": "skip", "crontab": "once"}[target]
    extra = EXTRA.get(target, ())
    for text in ("30 2 * * *", "30 1 * * *", "0 * * * *"):
        app = App().cron("job", text, timezone="America/New_York", dst=policy)
        assert "warning" not in app.export(target, *extra).err


@pytest.mark.skipif(SYSTEMD is None, reason="systemd-analyze is not installed")
def test_e11_systemd_itself_finds_the_same_next_fifty_fires() -> None:
    """E11: 120 expressions, each read by `systemd-analyze calendar`."""
    assert SYSTEMD is not None
    rng = random.Random(11)
    done = 0
    while done < 120:
        text, zone = expression(rng), rng.choice(("UTC", "Asia/Kolkata", "America/New_York"))
        try:
            schedule = Cron(text, timezone=zone)
        except CronSyntaxError:
            continue
        done += 1
        plan = App().cron("job", text, timezone=zone).plan("systemd")
        events = [f"{line} {zone}" for line in plan.entries[0].text.splitlines()]
        # Until March, when the clock of New York changes.
        end = WINTER + 55 * DAY
        ours = instants(schedule, WINTER, end, 50)
        base = (NOW - timedelta(seconds=1)).strftime("%Y-%m-%d %H:%M:%S UTC")
        command = [SYSTEMD, "calendar", f"--base-time={base}", "--iterations=50", *events]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        theirs = {
            int(datetime.strptime(f"{day} {time} +0000", "%Y-%m-%d %H:%M:%S %z").timestamp())
            for day, time in utc_times(answer.stdout)
        }
        end = ours[-1] if len(ours) == 50 else end
        assert sorted(each for each in theirs if each <= end) == ours, (text, zone, events)


def utc_times(text: str) -> list[tuple[str, str]]:
    import re

    found = re.findall(r"\(in UTC\): \w+ (\S+) (\S+) UTC", text)
    return found or re.findall(r"(?:elapse|Iter\. #\d+|Iteration #\d+): \w+ (\S+) (\S+) UTC", text)

"""What does the next time of a cron schedule cost, and is it the right one?

Beside cronsim and croniter, which have to be installed: pip install cronsim croniter
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from afterwork import _zones
from afterwork._cron import Cron
from benchmarks.rounds import Measured, table

ROUNDS = 15
ORACLE = Path(__file__).parents[1] / "tests" / "data" / "cron_oracle.json"
NEW_YORK = "America/New_York"
START = datetime(2026, 1, 1, tzinfo=UTC)
# label, expression, zone, how many times one round asks for
JOBS = (
    ("daily", "30 2 * * *", NEW_YORK, 400),
    ("daily", "30 2 * * *", "UTC", 400),
    ("twice a day", "15 6,18 * * *", "Europe/London", 400),
    ("working days", "0 9 * * 1-5", NEW_YORK, 200),
    ("every 10 minutes", "*/10 * * * *", NEW_YORK, 400),
    ("every minute", "* * * * *", NEW_YORK, 400),
    ("hourly", "0 * * * *", "Australia/Lord_Howe", 400),
    ("monthly", "0 0 1 * *", NEW_YORK, 60),
    ("yearly", "0 0 1 1 *", NEW_YORK, 20),
    ("leap days", "0 0 29 2 *", NEW_YORK, 10),
    ("13th or Friday", "0 0 13 * 5", NEW_YORK, 100),
)

# Each way gives the times of an expression after a moment, one by one, in the peer's best manner.
Way = Callable[[str, str, datetime], Iterator[datetime]]


def ours(expression: str, zone: str, moment: datetime) -> Iterator[datetime]:
    cron = Cron(expression, timezone=zone)
    time: datetime | None = moment
    while (time := cron.next(time)) is not None:
        yield time


def ours_cold(expression: str, zone: str, moment: datetime) -> Iterator[datetime]:
    _zones._block.cache_clear()
    return ours(expression, zone, moment)


def by_cronsim(expression: str, zone: str, moment: datetime) -> Iterator[datetime]:
    return CronSim(expression, moment.astimezone(ZoneInfo(zone)))


def by_croniter(expression: str, zone: str, moment: datetime) -> Iterator[datetime]:
    # with the day rule of Vixie's cron, which it calls a bug
    times = croniter(expression, moment.astimezone(ZoneInfo(zone)), implement_cron_bug=True)
    while True:
        yield times.get_next(datetime)


WAYS: dict[str, Way] = {
    "afterwork": ours,
    "afterwork, cold": ours_cold,
    "cronsim": by_cronsim,
    "croniter": by_croniter,
}


def walk(way: Way, expression: str, zone: str, count: int) -> float:
    """Seconds per time, asked one after the other; building the schedule is part of it."""
    began = time.perf_counter()
    times = way(expression, zone, START)
    for _ in range(count):
        next(times)
    return (time.perf_counter() - began) / count


def jump(way: Way, expression: str, zone: str, count: int) -> float:
    """Seconds per question about a moment that nobody asked about before. afterwork keeps its
    schedule; the others have an iterator, which starts anew."""
    moments = [datetime.fromtimestamp(1_767_225_600 + 7919 * n, UTC) for n in range(count)]
    cron = Cron(expression, timezone=zone)
    began = time.perf_counter()
    if way is ours:
        for moment in moments:
            cron.next(moment)
    else:
        for moment in moments:
            next(way(expression, zone, moment))
    return (time.perf_counter() - began) / count


def compare(title: str, measure: Callable[..., float], ways: dict[str, Way]) -> None:
    rows: list[list[str]] = []
    for label, expression, zone, count in JOBS:
        measured = {name: Measured() for name in ways}
        for number in range(ROUNDS + 1):
            for name, way in ways.items():
                seconds = measure(way, expression, zone, count)
                if number:  # the first round warms up
                    measured[name].times.append(seconds)
        base = measured["afterwork"].median
        rows.append(
            [
                f"{label}, `{expression}`, {zone}",
                *(f"{m.median * 1e6:.1f} ±{m.spread:.0%}" for m in measured.values()),
                *(f"{measured[name].median / base:.1f}" for name in ("cronsim", "croniter")),
            ]
        )
    heads = ["schedule", *(f"{name}, µs" for name in ways), "cronsim ÷ ours", "croniter ÷ ours"]
    table(title, heads, rows)


def answers(way: Way, expression: str, window: dict[str, Any], most: int) -> list[int] | str:
    """The distinct instants in a window, or the name of the error."""
    found: set[int] = set()
    try:
        times = way(expression, window["zone"], datetime.fromtimestamp(window["start"], UTC))
        for _ in range(most):
            instant = int(next(times).timestamp())
            if instant > window["end"]:
                break
            found.add(instant)
    except Exception as error:
        return type(error).__name__
    return sorted(found)


def correctness() -> None:
    windows = json.loads(ORACLE.read_text())["windows"]
    kinds = ("plain", "gap", "overlap")
    rows: list[list[str]] = []
    for name, way in WAYS.items():
        if way is ours_cold:
            continue
        right = dict.fromkeys(kinds, 0)
        total = dict.fromkeys(kinds, 0)
        errors = 0
        for window in windows:
            for expression, fires in window["fires"].items():
                given = answers(way, expression, window, len(fires) + 200)
                total[window["kind"]] += 1
                right[window["kind"]] += given == fires
                errors += isinstance(given, str)
        rows.append(
            [name, *(f"{right[kind]} of {total[kind]}" for kind in kinds), str(errors)],
        )
    heads = ["", "no change of the clock", "clock put forward", "clock put back", "errors"]
    table("Lists of answers equal to Debian cron's, over two days", heads, rows)


def main() -> None:
    print(f"Python {sys.version.split()[0]}; {ROUNDS} interleaved rounds; medians, and half the")
    print("distance of the quartiles as a part of the median. Cold: without any zone data in hand.")
    compare("One time after the other", walk, WAYS)
    warm = {name: way for name, way in WAYS.items() if way is not ours_cold}
    compare("One question about any moment", jump, warm)
    correctness()


if __name__ == "__main__":
    main()

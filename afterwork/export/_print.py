"""Prints `Times` in the dialects.

1. Numbers, ranges and steps of `*` alone: `*/15` and never `5/15` or `0-59/15`, except where a
   target documents another form. These mean the same everywhere.
2. No step in a day field: whether `*/2` is a restriction is what the dialects disagree about.
3. Runs of three values and more are ranges, anything else is a list.
"""

from __future__ import annotations

from .._cron_field import values
from .._cron_fields import ALL_DAYS, ALL_WEEKDAYS
from ._refusals import Refused
from ._times import ALL_HOURS, ALL_MINUTES, ALL_MONTHS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._times import Times

WEEKDAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def numbers(times: Times) -> str:
    """Five fields with numbers: what every dialect reads alike that counts Sunday as 0 and has at
    most one day field restricted, or takes either."""
    return _five(times, stars=True, weekday=str, least=3)


def names(times: Times) -> str:
    """The same with the names of weekdays: for dialects in which Sunday has another number."""
    return _five(times, stars=True, weekday=WEEKDAY_NAMES.__getitem__, least=3)


def quartz(times: Times) -> str:
    """The six fields of EventBridge: minute, hour, day, month, weekday, year. One of the two day
    fields has to be `?`. Source: docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    minute = series(times.minutes, 0, 59, full=ALL_MINUTES, step="0/")
    hour = series(times.hours, 0, 23, full=ALL_HOURS, step="0/")
    month = series(times.months, 1, 12, full=ALL_MONTHS)
    if times.rule == "weekdays":
        day, weekday = "?", series(times.weekdays, 0, 6, name=WEEKDAY_NAMES.__getitem__)
    else:
        day, weekday = series(times.days, 1, 31, full=ALL_DAYS), "?"
    return f"cron({minute} {hour} {day} {month} {weekday} *)"


def ncrontab(times: Times) -> str:
    """Azure's six fields, with seconds first. Source:
    learn.microsoft.com/azure/azure-functions/functions-bindings-timer, section NCRONTAB."""
    second = series(times.seconds, 0, 59, step="*/")
    return f"{second} {numbers(times)}"


def vixie(times: Times) -> str:
    """Five fields for Debian's cron, cronie and pg_cron, where a star decides two things: whether
    days have to match both fields, and whether a job follows the clock. Raises `Refused` for both
    days where neither field can be written with a star."""
    if times.rule != "both":
        return _five(times, stars=times.follows, weekday=str, least=2)
    minute, hour, day, month, weekday = _five(
        times, stars=times.follows, weekday=str, least=2
    ).split()
    for step in range(2, 31):
        if times.days == _steps(step, 1, 31):
            return f"{minute} {hour} */{step} {month} {weekday}"
    for step in range(2, 8):
        if times.weekdays == _steps(step, 0, 6):
            return f"{minute} {hour} {day} {month} */{step}"
    raise Refused(
        "both its day fields have to match, and neither is a plain step such as */2",
        "write the dates or the weekdays alone and pick the day in the job",
    )


def calendar(times: Times, zone: str) -> str:
    """A calendar event of systemd, `Mon..Fri *-*-* 09:00:00 Europe/Paris`. Date and weekday both
    have to match. Source: systemd.time(7)."""
    weekday = ""
    if times.rule in ("weekdays", "both"):
        weekday = series(times.weekdays, 0, 6, name=_title, dash="..") + " "
    day = series(times.days, 1, 31, full=ALL_DAYS, name=_two, dash="..")
    month = series(times.months, 1, 12, full=ALL_MONTHS, name=_two, dash="..")
    hour = series(times.hours, 0, 23, full=ALL_HOURS, name=_two, dash="..", step="00/")
    minute = series(times.minutes, 0, 59, full=ALL_MINUTES, name=_two, dash="..", step="00/")
    second = series(times.seconds, 0, 59, name=_two, dash="..", step="00/")
    return f"{weekday}*-{month}-{day} {hour}:{minute}:{second} {zone}"


def series(
    mask: int,
    low: int,
    high: int,
    *,
    full: int = 0,
    name: Callable[[int], str] = str,
    dash: str = "-",
    step: str = "",
    least: int = 3,
) -> str:
    """One field. `full` is the mask that is `*`; `step` what stands before the number of a step,
    for `least` values and more."""
    if mask == full:
        return "*"
    for size in range(2, high + 1) if step else ():
        if mask == _steps(size, low, high) and mask.bit_count() >= least:
            return f"{step}{size}"
    return ",".join(_runs(values(mask), name, dash))


def _five(times: Times, *, stars: bool, weekday: Callable[[int], str], least: int) -> str:
    star = "*/" if stars else ""
    return " ".join(
        (
            series(times.minutes, 0, 59, full=ALL_MINUTES if stars else 0, step=star, least=least),
            series(times.hours, 0, 23, full=ALL_HOURS if stars else 0, step=star, least=least),
            series(times.days, 1, 31, full=ALL_DAYS),
            series(times.months, 1, 12, full=ALL_MONTHS),
            series(times.weekdays, 0, 6, full=ALL_WEEKDAYS, name=weekday),
        )
    )


def _runs(rising: Sequence[int], name: Callable[[int], str], dash: str) -> list[str]:
    runs: list[list[int]] = []
    for value in rising:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    words: list[str] = []
    for run in runs:
        if len(run) > 2:
            words.append(f"{name(run[0])}{dash}{name(run[-1])}")
        else:
            words.extend(name(value) for value in run)
    return words


def _steps(step: int, low: int, high: int) -> int:
    return sum(1 << value for value in range(low, high + 1, step))


def _title(weekday: int) -> str:
    return WEEKDAY_NAMES[weekday].capitalize()


def _two(value: int) -> str:
    return f"{value:02}"

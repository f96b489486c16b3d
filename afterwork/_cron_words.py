"""Says in plain words what a cron expression means.

1. The words come from the sets of values and not from the text, so they show what surprises:
   `*/25` for hours is "hour 0".
2. Where both day fields are restricted, the words say whether one of them is enough or both must
   hold.
"""

from __future__ import annotations

from itertools import pairwise

from ._cron_field import values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._cron_fields import Fields

# Up to this many times of day are listed one by one.
LISTED_TIMES = 6
# From this many values on, evenly spaced ones are told by their first ones and the last.
SERIES = 5

MONTH_WORDS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAY_WORDS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")


def words(fields: Fields) -> str:
    """For example: "at 02:30 on day 13 of every month"."""
    return f"{_time(values(fields.minutes), values(fields.hours))}{_date(fields)}"


def _time(minutes: list[int], hours: list[int]) -> str:
    if len(hours) < 24 and len(minutes) * len(hours) <= LISTED_TIMES:
        return "at " + _join([f"{hour:02}:{minute:02}" for hour in hours for minute in minutes])
    of_hours = "of every hour" if len(hours) == 24 else f"of {_counted('hour', hours)}"
    step = _step(minutes)
    if len(minutes) == 60:
        return "every minute" if len(hours) == 24 else f"every minute {of_hours}"
    if step and minutes[0] == 0 and minutes[-1] + step == 60:
        return f"every {step} minutes" + ("" if len(hours) == 24 else f" {of_hours}")
    return f"at {_counted('minute', minutes)} {of_hours}"


def _date(fields: Fields) -> str:
    days, weekdays, months = (
        values(mask) for mask in (fields.days, fields.weekdays, fields.months)
    )
    if len(months) == 12:
        in_months, of_months = "", "of every month"
    else:
        names = _series([MONTH_WORDS[month - 1] for month in months], months)
        in_months, of_months = f" in {names}", f"of {names}"
    if fields.every_day:
        every_day = "" if len(values(fields.hours)) == 24 else " every day"
        return f"{every_day}{in_months}"
    on_days = f" on {_counted('day', days)} {of_months}"
    on_weekdays = _series([WEEKDAY_WORDS[day] for day in weekdays], weekdays)
    if fields.either_day:
        return f"{on_days}, and also on every {on_weekdays}{in_months} (one of the two is enough)"
    if len(weekdays) == 7:
        return on_days
    if len(days) == 31:
        return f" on every {on_weekdays}{in_months}"
    only = _series([WEEKDAY_WORDS[day] for day in weekdays], weekdays, "or")
    return f"{on_days}, but only where that is {only} (both must hold)"


def _counted(noun: str, numbers: list[int]) -> str:
    return f"{noun}{'s' * (len(numbers) > 1)} {_series(list(map(str, numbers)), numbers)}"


def _series(names: Sequence[str], numbers: Sequence[int], word: str = "and") -> str:
    """The names of rising numbers: "1 to 5", "0, 2, 4 and so on to 22", "1, 3 and 7"."""
    step = _step(numbers)
    if step == 1 and len(numbers) > 2:
        return f"{names[0]} to {names[-1]}"
    if step and len(numbers) >= SERIES:
        return f"{', '.join(names[:3])} and so on to {names[-1]}"
    return _join(names, word)


def _join(names: Sequence[str], word: str = "and") -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else names[0]


def _step(numbers: Sequence[int]) -> int:
    """The step between rising numbers, 0 where it varies or there is only one number."""
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else 0

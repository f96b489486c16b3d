"""Moments as whole seconds since 1970-01-01T00:00Z, the unit in which schedules count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from .errors import NaiveDatetimeError

MINUTE = 60  # seconds
DAY = 86_400  # seconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_SECOND = timedelta(seconds=1)

# Schedules answer between these two. The days outside are left out, because their local time may
# lie beyond what a datetime can hold.
FIRST = (datetime(1, 1, 3, tzinfo=UTC) - EPOCH) // ONE_SECOND
LAST = (datetime(9999, 12, 30, tzinfo=UTC) - EPOCH) // ONE_SECOND


def second_after(name: str, moment: datetime) -> int:
    """The first whole second that is later than the moment. `name` is the argument's name, for
    the error: raises `NaiveDatetimeError` for anything but an aware datetime."""
    try:
        passed = moment - EPOCH
    except TypeError:
        raise NaiveDatetimeError(name, moment) from None
    return passed.days * DAY + passed.seconds + 1


def second_before(name: str, moment: datetime) -> int:
    """The last whole second that is earlier than the moment; else as `second_after`."""
    try:
        passed = moment - EPOCH
    except TypeError:
        raise NaiveDatetimeError(name, moment) from None
    return passed.days * DAY + passed.seconds - (not passed.microseconds)

"""A clock that goes only when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime

from ..errors import NaiveDatetimeError


class FakeClock:
    """A clock for tests: `Afterwork(clock=FakeClock(datetime(2026, 3, 8, 6, tzinfo=UTC)))`.

    It stands still until `advance` moves it. Stores of one process take it too:
    `MemoryStore(clock=clock)`.
    """

    def __init__(self, now: datetime | None = None) -> None:
        moment = datetime(2026, 1, 1, tzinfo=UTC) if now is None else now
        if moment.tzinfo is None:
            raise NaiveDatetimeError("now", moment)
        self._now = moment.timestamp()
        self._monotonic = 1000.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Lets time pass."""
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Sets the wall clock forward or back, as people and NTP do. No time passes."""
        self._now += seconds

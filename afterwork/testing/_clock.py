"""A clock that goes only when it is told to."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime

from .._loop import current_loop
from ..errors import NaiveDatetimeError
from ._drain import drain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._loop import Signal

PATIENCE_SECONDS = 5.0
"""How long `elapse` waits, in real time, for who was woken to go to sleep again."""


class FakeClock:
    """A clock for tests: `Afterwork(clock=FakeClock(datetime(2026, 3, 8, 6, tzinfo=UTC)))`.

    It stands still until it is moved: by `advance`, which is what a suspended machine sees, or by
    `elapse`, which stops at each moment that somebody waits for and lets him do what he has to. A
    day of minutely runs takes less than a second. `MemoryStore(clock=clock)` takes it too.
    """

    def __init__(self, now: datetime | None = None) -> None:
        moment = datetime(2026, 1, 1, tzinfo=UTC) if now is None else now
        if moment.tzinfo is None:
            raise NaiveDatetimeError("now", moment)
        self._now = moment.timestamp()
        self._monotonic = 1000.0
        self._sleepers: list[tuple[float, int, Signal]] = []
        self._slept = 0
        self._asleep: Signal | None = None

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self._monotonic

    async def sleep_until(self, moment: float, woken: Signal) -> None:
        """Waits until the clock has been moved there, or until `woken` is set."""
        self._slept += 1
        if self._asleep is not None:
            self._asleep.set()
        if moment > self._now:
            sleeper = (moment, self._slept, woken)
            heapq.heappush(self._sleepers, sleeper)
            try:
                await woken.wait(None)
            finally:
                if sleeper in self._sleepers:  # woken by somebody else, or cancelled
                    self._sleepers.remove(sleeper)
                    heapq.heapify(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Lets time pass at once. Who waited for a moment in it wakes up late."""
        self._now += seconds
        self._monotonic += seconds
        self._wake()

    def jump(self, seconds: float) -> None:
        """Sets the wall clock forward or back, as people and NTP do. No time passes."""
        self._now += seconds
        self._wake()

    async def elapse(self, seconds: float) -> None:
        """Lets time pass moment by moment. Returns once all that became due has run."""
        end = self._now + seconds
        await drain()
        while self._sleepers and self._sleepers[0][0] <= end:
            loop = current_loop()
            assert loop is not None, "a coroutine runs on a loop"
            asleep = self._asleep = loop.signal()
            self.advance(max(self._sleepers[0][0] - self._now, 0))
            # Who was woken does what he has to, then sleeps again; or stops, which is not seen.
            await asleep.wait(PATIENCE_SECONDS)
            await drain()
        self.advance(max(end - self._now, 0))

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._now:
            heapq.heappop(self._sleepers)[2].set()

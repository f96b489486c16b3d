"""The clock: wall time for what is compared with the outside, monotonic time for durations."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ._loop import Signal
else:
    Protocol = object

MAX_SLEEP_SECONDS = 30.0
"""The longest sleep of anybody who waits for a moment of the wall clock: it may be set meanwhile,
and the machine may be suspended."""


class Clock(Protocol):
    """What afterwork asks of a clock. Both answers are seconds."""

    def now(self) -> float:
        """Seconds since the epoch, UTC; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...


class WaitingClock(Clock, Protocol):
    """A clock that a scheduler can wait for."""

    async def sleep_until(self, moment: float, woken: Signal) -> None:
        """Waits until `now()` has reached `moment`, or until `woken` is set. It may return earlier,
        and does after `MAX_SLEEP_SECONDS` at the latest if time passes by itself. The clock may
        set `woken` itself."""
        ...


class SystemClock:
    """The machine's own clocks."""

    # Bound here and not wrapped: `monotonic` is read once in every request.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep_until(self, moment: float, woken: Signal) -> None:
        """See `WaitingClock`."""
        left = min(moment - time.time(), MAX_SLEEP_SECONDS)
        if left > 0:
            await woken.wait(left)


SYSTEM_CLOCK = SystemClock()

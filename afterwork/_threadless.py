"""Platforms without threads, such as Pyodide: what runs in threads elsewhere has its turns on the
loop.

1. Whether there are threads is decided once, in `THREADS`, and asked by the functions here alone,
   when an app or its store's journal is made.
2. A call that blocks, of a sync callback or of a store, holds up everything else meanwhile. Nothing
   can be done about that, and no timeout cuts it.
3. Nothing of one request is started from another's turn. On Workers I/O belongs to the request in
   whose turn it began, timers too, and with them all that a loop does; it ends with that request.
"""

from __future__ import annotations

import sys

from ._loop import current_loop
from ._threads import Threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ._keeper import Keeper
    from ._loop import Loop, Timer

    T = TypeVar("T")


THREADS: bool = sys.platform not in ("emscripten", "wasi")
HEAD_START_SECONDS = 0.02
HEAD_START_TURNS = 20
"""How long the callbacks of a request wait where there are no threads. What the server still has to
do for the response takes turns on the same loop, and a sync callback would come before it. Turns
count too, because another request's may have used up the seconds."""


LOOK_SECONDS = 0.05
"""How often a callback that waits for a place under the limit looks whether it has one."""


def has_threads() -> bool:
    """Whether this platform has threads."""
    return THREADS


def new_hands(most: int) -> Threads | Turns:
    """At most so many threads, or the loop where there are none."""
    return Threads(most) if THREADS else Turns()


def new_keeper(every_seconds: float) -> Keeper | LoopKeeper:
    """Keeps leases from a thread, or from the loop where there are none."""
    if not THREADS:
        return LoopKeeper(every_seconds)
    from ._keeper import Keeper

    return Keeper(every_seconds)


def after_head_start(loop: Loop, call: Callable[..., object], *args: Any) -> None:
    """Calls once a response that is about to leave has had its head start."""
    loop.later(HEAD_START_SECONDS, _give_way, loop, HEAD_START_TURNS, call, *args)


def _give_way(loop: Loop, turns: int, call: Callable[..., object], *args: Any) -> None:
    if turns:
        loop.soon(_give_way, loop, turns - 1, call, *args)
    else:
        call(*args)


def look_every() -> float:
    """How often what waits for a place has to look for itself; 0 where whoever leaves one starts
    it, as threads and ordinary loops allow."""
    return 0.0 if THREADS else LOOK_SECONDS


class Turns:
    """Calls on the loop, each in a turn of its own."""

    def submit(self, call: Callable[[T], object], work: T) -> None:
        """Calls `call(work)`, not within this call. `call` must not raise. Raises `RuntimeError`
        where the loop is closed."""
        loop = current_loop()
        if loop is None:  # nothing to hold up, and nothing to come back to
            call(work)
        else:
            loop.soon(call, work)


class LoopKeeper:
    """Keeps leases with timers of the loop, one for each.

    A job that blocks the loop for longer than its lease loses it, which a thread would prevent.
    """

    def __init__(self, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._held: dict[Callable[[], None], Timer] = {}

    def hold(self, renew: Callable[[], None]) -> None:
        """Calls `renew` every so many seconds from now on, as `Keeper` does."""
        if renew not in self._held:
            self._set(renew)

    def drop(self, renew: Callable[[], None]) -> None:
        """Stops that."""
        timer = self._held.pop(renew, None)
        if timer is not None:
            timer.cancel()

    def _set(self, renew: Callable[[], None]) -> None:
        loop = current_loop()
        assert loop is not None, "runs of jobs are on a loop"
        self._held[renew] = loop.later(self.every_seconds, self._call, renew)

    def _call(self, renew: Callable[[], None]) -> None:
        self._set(renew)  # first: what it calls may drop it
        renew()

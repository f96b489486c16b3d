"""What the pipeline asks of an event loop, and which loop is running here.

There are two: asyncio (uvloop and the like included) and trio. Everything that differs between them
is behind `Loop`, so that no other file asks which one it is on.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any, Protocol, TypeAlias

    from ._queue import Queue
    from ._work import Work

    Run: TypeAlias = Callable[[Work], Any]

    class Timer(Protocol):
        """Something that will be called later."""

        def cancel(self) -> object:
            """Never mind."""
            ...

    class Signal(Protocol):
        """Something that happens once and can be waited for."""

        def set(self) -> None:
            """It happened. Safe from any thread, also once the loop is gone."""
            ...

        def set_here(self) -> None:
            """It happened. Only from the loop's own thread, and cheaper there."""
            ...

        async def reached(self) -> None:
            """Waits until it happened: once, and as cheaply as can be."""
            ...

        async def wait(self, seconds: float | None) -> bool:
            """Waits until it happened, at most so long. Returns whether it did."""
            ...

    class Loop(Protocol):
        """An event loop, as far as running work needs one."""

        detaches: bool
        """Whether a task may outlive the call that started it."""

        @property
        def token(self) -> object:
            """What tells this loop from others."""
            ...

        def spawn(self, run: Run, work: Work, eager: bool) -> None:
            """Starts `run(work)` as a task of its own in the work's context, in the order of the
            calls. `eager`: its first step may be taken at once."""
            ...

        def background(self, run: Callable[[], Awaitable[None]]) -> None:
            """Starts something that may go on as long as the loop. `run` must not raise."""
            ...

        def soon(self, call: Callable[..., object], *args: Any) -> None:
            """Calls from the loop, not from within this call. Safe from any thread."""
            ...

        def later(self, seconds: float, call: Callable[..., object], *args: Any) -> Timer:
            """Calls from the loop after so many seconds. Only from the loop's own thread."""
            ...

        def signal(self) -> Signal:
            """A new signal for this loop."""
            ...

        async def limit(self, awaitable: Awaitable[object], seconds: float) -> bool:
            """Awaits at most so long. Returns whether it ended in time."""
            ...

        def cancelled(self, error: BaseException) -> bool:
            """Whether `error`, which ended the current task, is somebody's cancelling of it."""
            ...

        def is_cancellation(self, error: BaseException | None) -> bool:
            """Whether `error` is this loop's way to cancel."""
            ...

        async def outlast(self, signal: Signal, seconds: float) -> None:
            """Waits for a signal at most so long, however often the waiter is cancelled."""
            ...

        async def hold(self, queue: Queue, patience: float, give_up: Callable[[], None]) -> None:
            """Waits until the queue's drain is over, also through cancelling of the waiter: then it
            still waits for `patience` seconds, calls `give_up`, sees the drain end, and raises."""
            ...

        def handle(self, queue: Queue, give_up: Callable[[], None]) -> Awaitable[None]:
            """Something that is done when the queue's drain is over, already under way, for a host
            to keep. Cancelling it calls `give_up`."""
            ...


_asyncio_running: Callable[[], Any] | None = None
_asyncio_loop: Any = None


def current_loop() -> Loop | None:
    """The loop that is running in this thread, or None."""
    global _asyncio_running, _asyncio_loop
    if _asyncio_running is None:
        # Both imports wait until a loop runs: then asyncio is there anyway.
        from _asyncio import _get_running_loop

        _asyncio_running = _get_running_loop
    running = _asyncio_running()
    if running is not None:
        # One process has one loop, as a rule; its wrapper is kept, never more than one.
        known: Any = _asyncio_loop  # another thread with another loop may change it
        if known is None or known.loop is not running:
            from ._loop_asyncio import AsyncioLoop

            known = _asyncio_loop = AsyncioLoop(running)
        loop: Loop = known
        return loop
    if "trio" in sys.modules:
        from ._loop_trio import current_trio_loop

        return current_trio_loop()
    return None

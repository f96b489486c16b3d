"""Running work on trio.

A trio task cannot outlive the nursery it was started in, so here the drain runs inside the ASGI
call, shielded from the server's cancelling. `hold` is where everything happens: it owns the nursery
and does, in order, what the other methods asked for.
"""

from __future__ import annotations

from collections import deque

import trio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from ._loop import Run, Signal
    from ._queue import Queue
    from ._work import Work


class TrioSignal:
    """A signal as an event that any thread may set."""

    __slots__ = ("event", "token")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.token = trio.lowlevel.current_trio_token()

    def set(self) -> None:
        try:
            self.token.run_sync_soon(self.event.set)
        except trio.RunFinishedError:
            pass  # the loop is over, so nobody waits any more

    def set_here(self) -> None:
        self.event.set()

    async def reached(self) -> None:
        await self.event.wait()

    async def wait(self, seconds: float | None) -> bool:
        with trio.move_on_after(float("inf") if seconds is None else seconds):
            await self.event.wait()
        return self.event.is_set()


class TrioTimer:
    """A call that is due at some time, in a task of the drain's nursery."""

    __slots__ = ("scope",)

    def __init__(self) -> None:
        self.scope = trio.CancelScope()

    def cancel(self) -> None:
        self.scope.cancel()

    async def run(self, seconds: float, call: Callable[..., object], args: Any) -> None:
        with self.scope:
            await trio.sleep(max(seconds, 0))
            call(*args)


class TrioLoop:
    """One drain on a trio loop."""

    detaches = False

    def __init__(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self.calls: deque[Callable[[], object]] = deque()
        self.starts: deque[Callable[[trio.Nursery], Awaitable[None] | None]] = deque()
        self.wake = trio.Event()

    def spawn(self, run: Run, work: Work, eager: bool) -> None:
        self.starts.append(lambda nursery: self._start(nursery, run, work))
        self.wake.set()

    def background(self, run: Callable[[], Awaitable[None]]) -> None:
        trio.lowlevel.spawn_system_task(run)

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        self.calls.append(lambda: call(*args))
        self._ring()

    def later(self, seconds: float, call: Callable[..., object], *args: Any) -> TrioTimer:
        timer = TrioTimer()
        self.starts.append(lambda nursery: nursery.start_soon(timer.run, seconds, call, args))
        self.wake.set()
        return timer

    def signal(self) -> TrioSignal:
        return TrioSignal()

    async def limit(self, awaitable: Awaitable[object], seconds: float) -> bool:
        with trio.move_on_after(seconds) as scope:
            await awaitable
        return not scope.cancelled_caught

    def cancelled(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):  # from a nursery inside the callback
            return all(map(self.cancelled, error.exceptions))
        return isinstance(error, trio.Cancelled)

    def is_cancellation(self, error: BaseException | None) -> bool:
        return isinstance(error, trio.Cancelled)

    async def outlast(self, signal: Signal, seconds: float) -> None:
        with trio.CancelScope(shield=True):
            await signal.wait(seconds)

    async def hold(self, queue: Queue, patience: float, give_up: Callable[[], None]) -> None:
        drained = self.signal()
        queue.when_drained(drained.set)
        queue.when_drained(self._ring)
        async with trio.open_nursery() as watching:
            watching.start_soon(self._watch, drained, patience, give_up)
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:
                    await self._serve(nursery, drained)
                    nursery.cancel_scope.cancel()  # timers that nobody needs any more
            watching.cancel_scope.cancel()

    def handle(self, queue: Queue, give_up: Callable[[], None]) -> Awaitable[None]:
        return self.hold(queue, 0.0, give_up)

    async def _serve(self, nursery: trio.Nursery, drained: TrioSignal) -> None:
        while True:
            while self.calls or self.starts:
                while self.calls:
                    self.calls.popleft()()
                while self.starts:
                    started = self.starts.popleft()(nursery)
                    if started is not None:
                        await started
            if drained.event.is_set():
                return
            self.wake = trio.Event()
            await self.wake.wait()

    async def _start(self, nursery: trio.Nursery, run: Run, work: Work) -> None:
        started = trio.Event()
        # `start_soon` copies the context it is called in.
        work.context.run(nursery.start_soon, self._run, run, work, started)
        # trio shuffles tasks that become ready together; waiting for each keeps their order.
        await started.wait()

    async def _run(self, run: Run, work: Work, started: trio.Event) -> None:
        with trio.CancelScope() as scope:
            work.task = scope
            started.set()
            await run(work)

    async def _watch(
        self, drained: TrioSignal, patience: float, give_up: Callable[[], None]
    ) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if not drained.event.is_set():
                with trio.CancelScope(shield=True):
                    if not await drained.wait(patience):
                        give_up()

    def _ring(self) -> None:
        try:
            self.token.run_sync_soon(self._wake)
        except trio.RunFinishedError:
            pass  # the loop is over, and so is everything that ran on it

    def _wake(self) -> None:
        self.wake.set()


def current_trio_loop() -> TrioLoop | None:
    """A loop for one drain, where trio runs in this thread."""
    return TrioLoop() if trio.lowlevel.in_trio_run() else None

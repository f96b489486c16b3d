"""Running work on asyncio."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext

from ._work import DONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from ._loop import Run, Signal, Timer
    from ._queue import Queue
    from ._work import Work

EAGER = sys.version_info >= (3, 12)
"""Whether a task can take its first step while it is made."""


class AsyncioSignal:
    """A signal as a future, so that waiting for it costs no task."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future = loop.create_future()

    def set(self) -> None:
        loop = self.future.get_loop()
        if asyncio._get_running_loop() is loop:  # nobody has to be woken
            self.set_here()
            return
        try:
            loop.call_soon_threadsafe(self.set_here)
        except RuntimeError:
            pass  # the loop is closed, so nobody waits any more

    def set_here(self) -> None:
        if not self.future.done():
            self.future.set_result(None)

    async def reached(self) -> None:
        await self.future

    async def wait(self, seconds: float | None) -> bool:
        # `asyncio.wait` leaves the future alone when the waiter is cancelled, so one can wait
        # again.
        await asyncio.wait((self.future,), timeout=seconds)
        return self.future.done()


def _shield() -> AbstractContextManager[object]:
    """A cancelled scope of anyio cancels again and again, at every turn of the loop: a wait that
    goes on all the same would turn as fast as the machine can."""
    anyio = sys.modules.get("anyio")
    return nullcontext() if anyio is None else anyio.CancelScope(shield=True)


class AsyncioLoop:
    """One running asyncio loop."""

    __slots__ = ("handles", "loop")

    detaches = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.handles: set[asyncio.Task[None]] = set()

    @property
    def token(self) -> object:
        return self.loop

    def spawn(self, run: Run, work: Work, eager: bool) -> None:
        loop = self.loop
        task: asyncio.Task[None]
        if loop.get_task_factory() is not None:
            # It is somebody's wish (tracing, eager tasks) and left in charge, and it may be too old
            # to take a context: so the task takes the one it is made in.
            task = work.attempt_context.run(loop.create_task, run(work))
        elif EAGER and eager:
            task = asyncio.Task(
                run(work),
                loop=loop,
                context=work.attempt_context,
                eager_start=True,  # type: ignore[call-arg,unused-ignore]  # new in 3.12
            )
        else:
            task = loop.create_task(run(work), context=work.attempt_context)
        if work.state != DONE:
            work.task = task

    def background(self, run: Callable[[], Awaitable[None]]) -> None:
        async def go() -> None:
            await run()

        self._keep(self.loop.create_task(go()))

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        if asyncio._get_running_loop() is self.loop:
            self.loop.call_soon(call, *args)  # nobody has to be woken, which costs a system call
        else:
            self.loop.call_soon_threadsafe(call, *args)

    def later(self, seconds: float, call: Callable[..., object], *args: Any) -> Timer:
        return self.loop.call_later(max(seconds, 0), call, *args)

    def signal(self) -> AsyncioSignal:
        return AsyncioSignal(self.loop)

    async def limit(self, awaitable: Awaitable[object], seconds: float) -> bool:
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                await awaitable
        except TimeoutError:
            if scope.expired():
                return False
            raise
        return True

    def cancelled(self, error: BaseException) -> bool:
        if not isinstance(error, asyncio.CancelledError):
            return False
        task = asyncio.current_task()
        return task is not None and task.cancelling() > 0

    def is_cancellation(self, error: BaseException | None) -> bool:
        return isinstance(error, asyncio.CancelledError)

    async def outlast(self, signal: Signal, seconds: float) -> None:
        end = self.loop.time() + seconds
        while (left := end - self.loop.time()) > 0:
            try:
                if await signal.wait(left):
                    return
            except asyncio.CancelledError:
                pass  # its own cancelling is what the caller will pass on

    async def hold(self, queue: Queue, patience: float, give_up: Callable[[], None]) -> None:
        drained = self.signal()
        queue.when_drained(drained.set)
        with _shield():
            await self._hold(drained, patience, give_up)

    async def _hold(
        self, drained: AsyncioSignal, patience: float, give_up: Callable[[], None]
    ) -> None:
        cancelled: asyncio.CancelledError | None = None
        until: float | None = None
        while not drained.future.done():
            seconds = None if until is None else max(until - self.loop.time(), 0)
            try:
                if not await drained.wait(seconds):
                    give_up()
                    until = None
            except asyncio.CancelledError as error:
                if cancelled is None:
                    cancelled = error
                    until = self.loop.time() + patience
        if cancelled is not None:
            raise cancelled

    def handle(self, queue: Queue, give_up: Callable[[], None]) -> Awaitable[None]:
        # The loop itself keeps only weak references to tasks.
        return self._keep(self.loop.create_task(self._handle(queue, give_up)))

    def _keep(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self.handles.add(task)
        task.add_done_callback(self.handles.discard)
        return task

    async def _handle(self, queue: Queue, give_up: Callable[[], None]) -> None:
        drained = self.signal()
        queue.when_drained(drained.set)
        try:
            await drained.wait(None)
        except asyncio.CancelledError:
            give_up()
            raise

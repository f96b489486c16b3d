"""An engine in the memory of one process."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

from .._clock import SYSTEM_CLOCK
from .._engine import Capabilities
from .._loop import current_loop
from ..errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from typing import Any

    from .._clock import WaitingClock
    from .._engine import RunEnvelope
    from .._envelope import Envelope
    from .._loop import Loop, Signal

LONGEST_SLEEP_SECONDS = 86_400.0
"""Between two looks at the queue where nothing wakes it."""


class MemoryEngine:
    """An engine for tests: durable calls wait in this process and end with it.

    ```
    engine = MemoryEngine()
    work = Afterwork(engine=engine, store="memory:")
    ...
    assert [call.job for call in engine.waiting] == ["send_invoice"]
    await engine.settle()               # run what is due, as a worker does
    ```

    It does what a real one does: delays, keys (while the first call waits), priorities, attempts,
    `status` and `cancel`. `serve` is there too, for a test of the worker itself. Calls may come
    from any thread; they run on the asyncio loop that serves. With a `FakeClock`, which has to be
    that of the `Afterwork`, delayed calls become due when it is moved.
    """

    name = "memory"
    capabilities = Capabilities(
        delay_resolution=0.05,
        keys="waiting",
        priority=True,
        status=True,
        cancel=True,
        survives="nothing",
    )

    def __init__(self, *, clock: WaitingClock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._run: RunEnvelope | None = None
        self._guard = threading.Lock()
        self._waiting: dict[str, Envelope] = {}
        self._running: set[str] = set()
        self._servers: dict[Signal, None] = {}

    @property
    def waiting(self) -> list[Envelope]:
        """The calls that have not started, in the order in which they were taken in."""
        with self._guard:
            return list(self._waiting.values())

    async def settle(self) -> None:
        """Runs what is due, one after the other, until nothing is. What is delayed, or to be tried
        again later, goes on waiting. Raises `EngineError` where no `Afterwork` has this engine."""
        run = self._bound()
        while (envelope := self._take()) is not None:
            await self._deliver(run, envelope)

    # -- what every engine has

    def bind(self, run: RunEnvelope) -> None:
        """See `Engine`."""
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """See `Engine`. It takes in all."""
        with self._guard:
            ids = [self._add(envelope) for envelope in envelopes]
        self._wake()
        return ids

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """See `Engine`. On asyncio only. Raises `EngineError` where no `Afterwork` has it."""
        run = self._bound()
        loop = current_loop()
        assert loop is not None, "a coroutine runs on a loop"
        stopping = asyncio.ensure_future(stop)
        tasks: set[asyncio.Task[None]] = set()
        try:
            while not stopping.done():
                await self._serve_once(run, loop, concurrency, stopping, tasks)
            if tasks:
                await asyncio.wait(tasks)
        finally:
            if stopping is not stop:
                stopping.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def status(self, run_id: str) -> str | None:
        """See `Engine`. None once the call is over."""
        with self._guard:
            if run_id in self._waiting:
                return "waiting"
            return "running" if run_id in self._running else None

    async def cancel(self, run_id: str) -> bool:
        """See `Engine`."""
        with self._guard:
            return self._waiting.pop(run_id, None) is not None

    async def close(self) -> None:
        """Does nothing, and keeps everything."""

    # -- the queue

    def _bound(self) -> RunEnvelope:
        if self._run is None:
            hint = "Give the engine to Afterwork(engine=...) and ask for work.engine first."
            raise EngineError(self.name, "run calls", "no Afterwork has it", hint)
        return self._run

    def _add(self, envelope: Envelope) -> str:
        if envelope.key is not None:
            for other in self._waiting.values():
                if (other.job, other.key) == (envelope.job, envelope.key):
                    return other.id
        self._waiting[envelope.id] = envelope
        return envelope.id

    def _take(self) -> Envelope | None:
        """The next call that is due, from now on a running one."""
        now = self._clock.now()
        with self._guard:
            due = [each for each in self._waiting.values() if (each.run_at or 0.0) <= now]
            if not due:
                return None
            envelope = max(due, key=lambda each: each.priority)  # of equals, the first
            del self._waiting[envelope.id]
            self._running.add(envelope.id)
            return envelope

    def _next_moment(self) -> float:
        """When the next one that waits is due."""
        latest = self._clock.now() + LONGEST_SLEEP_SECONDS
        with self._guard:
            return min([latest, *(each.run_at or 0.0 for each in self._waiting.values())])

    def _wake(self) -> None:
        for woken in list(self._servers):
            woken.set()

    # -- the worker

    async def _serve_once(
        self,
        run: RunEnvelope,
        loop: Loop,
        concurrency: int,
        stopping: asyncio.Future[object],
        tasks: set[asyncio.Task[None]],
    ) -> None:
        """Starts what may start, and sleeps until there may be more."""
        woken = loop.signal()

        def wake(_: object) -> None:
            woken.set()

        self._servers[woken] = None
        stopping.add_done_callback(wake)
        try:
            while len(tasks) < concurrency and (envelope := self._take()) is not None:
                task = asyncio.create_task(self._deliver(run, envelope))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            for task in tasks:
                task.add_done_callback(wake)
            full = len(tasks) >= concurrency
            far = self._clock.now() + LONGEST_SLEEP_SECONDS
            await self._clock.sleep_until(far if full else self._next_moment(), woken)
        finally:
            del self._servers[woken]
            stopping.remove_done_callback(wake)
            for task in tasks:
                task.remove_done_callback(wake)

    async def _deliver(self, run: RunEnvelope, envelope: Envelope) -> None:
        """Runs one call. Where that is cancelled, the call waits again."""
        following: Envelope | None = replace(envelope, key=None)
        try:
            following = await run(envelope)
        finally:
            with self._guard:
                self._running.discard(envelope.id)
                if following is not None:
                    self._add(following)
            self._wake()

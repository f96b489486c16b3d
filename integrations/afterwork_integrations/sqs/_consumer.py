"""Takes calls out of a queue, and keeps them hidden from others while they run.

1. No more are taken out than may start at once.
2. What is held is prolonged three times within its time, ten in a request.
3. Who stops waits for the poll and for what runs. Who is cancelled shows to others what is left.
4. A queue that cannot be reached is tried again, with growing pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable

from afterwork.errors import EngineError

from .._engine_log import EngineLog
from ._queue import Lost, Message, Queue

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
LAST_WORDS_SECONDS = 5.0
LEAST_DELIVERIES = 3
"""A message is delivered again after its worker died, and in a FIFO queue after its delay."""
LEAST_RETENTION = 86_400
"""Seconds. A message that is older is gone, whether it has run or not."""


class Consumer:
    """One worker. `settle` runs a message, and returns whether it is over."""

    def __init__(
        self,
        queue: Queue,
        settle: Callable[[Message], Awaitable[bool]],
        visibility: int,
        concurrency: int,
        log: EngineLog,
    ) -> None:
        self._queue = queue
        self._settle = settle
        self._visibility = visibility
        self._concurrency = concurrency
        self._log = log
        self._running: dict[asyncio.Task[None], Message] = {}
        self._unstarted: list[Message] = []

    async def serve(self, stop: Awaitable[object]) -> None:
        """Until `stop` is done. Raises `EngineError` where it cannot go on."""
        stopping = asyncio.ensure_future(stop)
        keeping = asyncio.create_task(self._keep())
        try:
            await self._insist(self._check, stopping)
            while not stopping.done():
                if len(self._running) < self._concurrency:
                    await self._insist(self._take, stopping)
                    self._start(unless=stopping.done())
                else:
                    await asyncio.wait({stopping, *self._running}, return_when="FIRST_COMPLETED")
            if self._running:
                await asyncio.wait(self._running)
        finally:
            keeping.cancel()
            if stopping is not stop:
                stopping.cancel()
            await self._give_back()

    async def _insist(
        self, step: Callable[[], Awaitable[None]], stopping: asyncio.Future[object]
    ) -> None:
        """Does something once the queue can be reached, or nothing where it has to stop."""
        pause = FIRST_PAUSE_SECONDS
        while not stopping.done():
            try:
                await step()
            except Lost as error:
                self._log.say_each_minute(logging.ERROR, "engine.lost", problem=str(error))
            else:
                return
            await asyncio.wait({stopping}, timeout=pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _check(self) -> None:
        """Raises `EngineError` for a queue that loses calls."""
        try:
            found = await self._queue.attributes()
        except EngineError as error:
            if "AccessDenied" not in str(error):
                raise
            # Whoever may only send and receive is not kept from it.
            self._log.say(logging.WARNING, "engine.unchecked", problem=str(error))
            return
        redrive = json.loads(found.get("RedrivePolicy", "{}"))
        most = int(redrive.get("maxReceiveCount", LEAST_DELIVERIES))
        if most < LEAST_DELIVERIES:
            raise self._queue.error(
                "serve",
                f"it gives up a message after {most} deliveries",
                f"Set its maxReceiveCount to {LEAST_DELIVERIES} or more: afterwork counts itself.",
            )
        kept = int(found.get("MessageRetentionPeriod", LEAST_RETENTION))
        if kept < LEAST_RETENTION:
            raise self._queue.error(
                "serve",
                f"it forgets a message that has waited for {kept} seconds",
                f"Set its MessageRetentionPeriod to {LEAST_RETENTION} or more.",
            )

    async def _take(self) -> None:
        """One poll."""
        free = self._concurrency - len(self._running)
        poll = asyncio.ensure_future(self._queue.receive(free, self._visibility))
        try:
            self._unstarted += await asyncio.shield(poll)
        except asyncio.CancelledError:
            with contextlib.suppress(EngineError):
                self._unstarted += await poll  # what it takes out would stay hidden
            raise

    def _start(self, *, unless: bool) -> None:
        while self._unstarted and not unless:
            message = self._unstarted.pop()
            task = asyncio.create_task(self._run(message))
            self._running[task] = message
            task.add_done_callback(self._running.pop)

    async def _run(self, message: Message) -> None:
        if not await self._settle(message):
            return
        try:
            await self._queue.delete(message)
        except EngineError as error:  # it comes again, and is seen to have run
            self._log.say_each_minute(logging.ERROR, "engine.not_deleted", problem=str(error))

    async def _keep(self) -> None:
        """Prolongs what is held."""
        while True:
            await asyncio.sleep(self._visibility / 3)
            await self._hide([*self._running.values()], self._visibility)

    async def _give_back(self) -> None:
        """Shows to others what is not over."""
        left = [*self._unstarted, *self._running.values()]
        for task in [*self._running]:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._hide(left, 0)
        except TimeoutError:
            pass  # then they are shown when their time is over

    async def _hide(self, messages: list[Message], seconds: int) -> None:
        try:
            await self._queue.hide(messages, seconds)
        except EngineError as error:
            self._log.say_each_minute(logging.ERROR, "engine.lost", problem=str(error))

"""A worker: takes calls out of the tables and runs them.

It is a loop of our own on Procrastinate's `JobManager` and not its `Worker`, which (3.10)

- stops its heartbeat when it stops taking calls, and when a heartbeat fails once: others then take
  away what it is still running;
- leaves a call with a living worker for ever where the write of its end failed;
- leaves the work of dead workers alone.

1. Every call that was taken is finished, put back or buried, however often that has to be tried;
   the heart beats until then.
2. A connection that is lost ends nothing. It is tried again, and said once a minute.
3. To be cancelled is to put back what is under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from afterwork.engines import MOST_CRASHES, Envelope
from afterwork.errors import EngineError, PayloadError

from ._errors import engine_errors

if TYPE_CHECKING:
    from procrastinate.jobs import Job

    from .._engine_log import EngineLog
    from ._calls import Calls

    Run = Callable[[Envelope], Awaitable[Envelope | None]]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two tries to reach the database."""
LEAVE_SECONDS = 5.0
"""What a worker that was cancelled takes at most to put back what it had."""


class Worker:
    """One worker, on calls that are open."""

    def __init__(
        self,
        calls: Calls,
        run: Run,
        log: EngineLog,
        *,
        engine: str,
        concurrency: int,
        poll: float,
        silent: float,
    ) -> None:
        self._calls = calls
        self._run = run
        self._log = log
        self._engine = engine
        self._concurrency = concurrency
        self._poll = poll
        self._silent = silent
        self._id = 0
        self._news = asyncio.Event()
        self._running: dict[asyncio.Task[None], Job] = {}

    async def work(self, stopping: asyncio.Future[Any]) -> None:
        """Runs calls until `stopping` is done, and then those under way to their end."""
        with engine_errors(self._engine, "register a worker"):
            self._id = await self._calls.register()
        stopping.add_done_callback(self._wake)
        sides = [asyncio.create_task(side()) for side in (self._beat, self._sweep, self._listen)]
        try:
            while not stopping.done():
                self._news.clear()
                if len(self._running) >= self._concurrency:
                    await self._news.wait()
                elif not await self._take():
                    await self._nap(self._poll)
            if self._running:
                await asyncio.wait(self._running)
        finally:
            stopping.remove_done_callback(self._wake)
            await self._leave(sides)

    # -- taking and running

    async def _take(self) -> bool:
        """Starts the next call. Returns whether there was one."""
        try:
            with engine_errors(self._engine, "take a call"):
                job = await self._calls.take(self._id)
        except EngineError as error:
            self._say_lost(error)
            return False
        if job is None:
            return False
        task = asyncio.create_task(self._see_to(job))
        self._running[task] = job
        task.add_done_callback(self._over)
        return True

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._news.set()

    async def _see_to(self, job: Job) -> None:
        """Runs a call and writes down what became of it."""
        calls = self._calls
        try:
            envelope = Envelope.from_json(str(job.task_kwargs.get("envelope")))
        except PayloadError as error:
            self._log.say(logging.ERROR, "engine.bad_message", job_id=job.id, problem=str(error))
            await self._insist(lambda: calls.bury(job, self._id))
            return
        if job.attempts > MOST_CRASHES:  # as often was it taken from a worker that died
            envelope = replace(envelope, crashes=max(envelope.crashes, job.attempts))
        try:
            following = await self._run(envelope)
        except asyncio.CancelledError:
            await self._insist(lambda: calls.put_back(job, self._id, None))
            raise
        if following is None:
            await self._insist(lambda: calls.finish(job, self._id))
        else:
            await self._insist(lambda: calls.put_back(job, self._id, following))

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Writes, as often as it takes: nobody else would look after a living worker's call."""
        pause = FIRST_PAUSE
        while True:
            try:
                with engine_errors(self._engine, "write what became of a call"):
                    await write()
                return
            except EngineError as error:
                self._say_lost(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    # -- beside it

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._silent / 4)
            running = [job.id for job in self._running.values() if job.id is not None]
            try:
                with engine_errors(self._engine, "say that it lives"):
                    await self._calls.beat(self._id, running)
            except EngineError as error:
                self._say_lost(error)

    async def _sweep(self) -> None:
        while True:
            try:
                with engine_errors(self._engine, "look for the calls of dead workers"):
                    if found := await self._calls.sweep(self._silent):
                        self._log.say(logging.WARNING, "engine.redelivered", calls=found)
                        self._news.set()
            except EngineError as error:
                self._say_lost(error)
            await asyncio.sleep(self._silent / 2)

    async def _listen(self) -> None:
        while True:
            try:
                with engine_errors(self._engine, "listen for calls"):
                    await self._calls.listen(self._news.set)
            except EngineError as error:
                self._say_lost(error)
            await asyncio.sleep(LONGEST_PAUSE)  # until then the polls find them

    async def _nap(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass

    def _wake(self, _: object) -> None:
        self._news.set()

    def _say_lost(self, error: EngineError) -> None:
        self._log.say_each_minute(logging.ERROR, "engine.unreachable", problem=str(error))

    # -- the end

    async def _leave(self, sides: list[asyncio.Task[None]]) -> None:
        """Puts back what is left, and says goodbye: what could not be put back is free then."""
        left = list(self._running)
        for task in [*left, *sides]:
            task.cancel()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await asyncio.gather(*left, *sides, return_exceptions=True)
                with engine_errors(self._engine, "unregister a worker"):
                    await self._calls.unregister(self._id)
        except (EngineError, TimeoutError) as error:
            # Its heart beats no more: the others find what it had.
            self._log.say(logging.WARNING, "engine.unreachable", problem=str(error))

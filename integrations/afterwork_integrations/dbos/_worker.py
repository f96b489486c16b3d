"""A worker: takes calls out of DBOS's queue and runs them on its own event loop.

1. At most `concurrency` calls run at a time, and none is taken before it can run.
2. What becomes of a call is written however often that has to be tried.
3. It holds a lock as long as it lives. What a worker had whose lock is free is put back.
4. A lost connection ends nothing. It is tried again, and said once a minute.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from afterwork.engines import MOST_CRASHES, Envelope
from afterwork.errors import EngineError, PayloadError

from .._in_time import in_time
from ._errors import engine_errors
from ._locks import FileLock, Lock, ServerLock
from ._process import Process

if TYPE_CHECKING:
    from .._engine_log import EngineLog
    from ._calls import Calls
    from ._place import Place

    Run = Callable[[Envelope], Awaitable[Envelope | None]]

__all__ = ["STANDBY_SECONDS", "Worker"]

T = TypeVar("T")

STANDBY_SECONDS = 1.0
"""Between two looks whether the one worker of a SQLite file is gone."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two tries to reach the database."""
LEAVE_SECONDS = 10.0
"""What a worker takes at most to put back what it had."""
THREADS = 4


class Worker:
    """One worker. `poll`: seconds between two looks for calls. `silent`: see `DBOSEngine`."""

    def __init__(
        self,
        place: Place,
        calls: Calls,
        run: Run,
        log: EngineLog,
        *,
        queue: str,
        concurrency: int,
        poll: float,
        silent: float,
    ) -> None:
        self._place = place
        self._calls = calls
        self._run = run
        self._log = log
        self._concurrency = concurrency
        self._poll = poll
        self._silent = silent
        self._loop = asyncio.get_running_loop()
        self._executor = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._process = Process(place, queue, self._executor, self._loop, self._deliver)
        # Not the loop's own, which DBOS replaces.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="afterwork-dbos")
        self._news = asyncio.Event()
        self._asked: set[asyncio.Future[Any]] = set()
        """What threads are at. Nothing stops them, so the end waits for them."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lock: Lock | None = None
        self._leaving = False

    async def work(self, stopping: asyncio.Future[Any]) -> None:
        """Runs calls until `stopping` is done, and then those under way to their end."""
        stopping.add_done_callback(self._stopped)
        sweeping: asyncio.Task[None] | None = None
        try:
            if not await self._stand_by(stopping):
                return
            await self._ask("launch DBOS", self._process.launch)
            sweeping = asyncio.create_task(self._sweep())
            pause = self._poll
            while not stopping.done():
                self._news.clear()
                free = self._concurrency - len(self._process.taken)
                if free <= 0:
                    await self._news.wait()
                    continue
                try:
                    taken = await self._ask("take calls", partial(self._process.take, free))
                    pause = self._poll
                except EngineError as error:
                    self._say_lost(error)
                    taken, pause = 0, min(2 * pause, LONGEST_PAUSE)
                if not taken:
                    await self._nap(pause)
            while self._process.taken:
                self._news.clear()
                await self._news.wait()
        finally:
            stopping.remove_done_callback(self._stopped)
            if sweeping is not None:
                sweeping.cancel()
            await self._leave()

    def wake(self) -> None:
        """There is a new call. From any thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    # -- taking and running

    async def _stand_by(self, stopping: asyncio.Future[Any]) -> bool:
        """Waits until it may serve. Returns whether it may."""
        engine, _ = await self._ask("connect", self._place.opened)
        file = self._place.file
        self._lock = lock = (
            ServerLock(engine, self._executor, self._silent)
            if file is None
            else FileLock(file, self._place.name)
        )
        while not await self._ask("serve", lock.take):
            self._log.say_each_minute(logging.INFO, "engine.standby")
            self._news.clear()
            if stopping.done():
                return False
            await self._nap(STANDBY_SECONDS)
        return True

    async def _deliver(self, workflow: str, text: Any) -> None:
        """Runs a call and writes down what became of it."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        taken = self._process.taken.get(workflow)
        if self._leaving or taken is None:
            raise asyncio.CancelledError
        self._tasks.add(task)
        try:
            try:
                envelope = Envelope.from_json(text if isinstance(text, str) else "")
            except PayloadError as error:
                problem = str(error)
                self._log.say(logging.ERROR, "engine.bad_message", row=workflow, problem=problem)
                raise  # DBOS keeps it as failed
            if taken.crashes > MOST_CRASHES:  # then it is given up, and becomes a dead letter
                envelope = replace(envelope, crashes=max(envelope.crashes, taken.crashes))
            following = await self._run(envelope)
            await self._insist(lambda: self._calls.hand_over(workflow, taken.owner, following))
        finally:
            self._tasks.discard(task)
            self._process.taken.pop(workflow, None)
            self._news.set()

    async def _insist(self, write: Callable[[], None]) -> None:
        """Writes, as often as it takes."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._ask("write what became of a call", write)
                return
            except EngineError as error:
                self._say_lost(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    # -- beside it

    async def _sweep(self) -> None:
        while True:
            try:
                if found := await self._ask("look for dead workers", self._look):
                    self._log.say(logging.WARNING, "engine.redelivered", calls=found)
                    self._news.set()
            except EngineError as error:
                self._say_lost(error)
            await asyncio.sleep(self._silent / 4)

    def _look(self) -> int:
        """Puts back what dead workers had, and what was lost on its way here."""
        assert self._lock is not None, "it serves"
        if not self._lock.take():
            return 0
        with self._process.claiming:
            found = self._calls.give_back(self._executor, list(self._process.taken))
        for executor in self._calls.executors():
            if executor != self._executor and self._lock.is_dead(executor):
                found += self._process.recover(executor)
        return found

    async def _nap(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass

    async def _ask(self, doing: str, call: Callable[[], T]) -> T:
        with engine_errors(self._place.name, doing):
            asked = self._loop.run_in_executor(self._threads, call)
            self._asked.add(asked)
            asked.add_done_callback(self._asked.discard)
            return await asyncio.shield(asked)

    def _stopped(self, _: object) -> None:
        self._news.set()

    def _say_lost(self, error: EngineError) -> None:
        self._log.say_each_minute(logging.ERROR, "engine.unreachable", problem=str(error))

    # -- the end

    async def _leave(self) -> None:
        self._leaving = True
        for task in self._tasks:
            task.cancel()
        try:
            await in_time(self._hand_back(), LEAVE_SECONDS)
        except (EngineError, TimeoutError) as error:
            # Its lock is free: the others find what it had.
            self._log.say(logging.WARNING, "engine.unreachable", problem=str(error))
        finally:
            self._threads.shutdown(wait=False)

    async def _hand_back(self) -> None:
        while left := self._asked | self._tasks:
            await asyncio.wait(left)
        self._process.give_back_executor()
        await self._ask("put back calls", self._end)

    def _end(self) -> None:
        try:
            if self._lock is not None:
                self._calls.give_back(self._executor)
        finally:
            self._process.end()
            if self._lock is not None:
                self._lock.release()

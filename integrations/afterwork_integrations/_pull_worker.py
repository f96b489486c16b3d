"""A worker for queues in a database, from which calls have to be fetched.

1. At most `concurrency` calls run at a time, and none is taken before it can run.
2. Every call that was taken is finished, put back or buried, however often that has to be tried;
   the heart beats until then. A living worker's call is looked after by nobody else.
3. A connection that is lost ends nothing. It is tried again, and said once a minute.
4. To be cancelled is to put back what is under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from afterwork.engines import MOST_CRASHES, Envelope
from afterwork.errors import EngineError, PayloadError

from ._in_time import in_time, let_go

if TYPE_CHECKING:
    from ._engine_log import EngineLog

    Run = Callable[[Envelope], Awaitable[Envelope | None]]

__all__ = ["Delivery", "PullWorker", "Source"]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds between two tries to reach the database."""
LEAVE_SECONDS = 5.0
"""What a worker that was cancelled takes at most to put back what it had."""


@dataclass(frozen=True)
class Delivery:
    """A call that was taken."""

    row: Any
    """What the source knows it by."""
    text: str
    """The envelope, which may be none."""
    crashes: int
    """How often it was taken from a worker that died."""


class Source(Protocol):
    """A queue, as one worker sees it. Everything raises `EngineError`. What became of a call is
    written only where it is still this worker's."""

    async def start(self) -> None:
        """The worker is to be known from now on."""
        ...

    async def take(self) -> Delivery | None:
        """The next call that is due, from now on this worker's."""
        ...

    async def finish(self, delivery: Delivery) -> None:
        """It is over."""
        ...

    async def put_back(self, delivery: Delivery, following: Envelope | None) -> None:
        """It goes on waiting: as its next attempt, or, for None, as it was."""
        ...

    async def due(self, most: float) -> float:
        """In how many seconds to look again: when the next call is due, and in `most` seconds at
        the latest."""
        ...

    async def bury(self, delivery: Delivery) -> None:
        """It cannot be read: it is kept for people, and not tried again."""
        ...

    async def beat(self, deliveries: list[Delivery]) -> None:
        """The worker lives, and still has these."""
        ...

    async def sweep(self) -> int:
        """Puts back what dead workers had. Returns how many."""
        ...

    async def listen(self, news: Callable[[], None]) -> None:
        """Calls `news` whenever a call comes in, until it is cancelled."""
        ...

    async def leave(self) -> None:
        """The worker is no more, and has nothing."""
        ...


class PullWorker:
    """One worker. `poll`: seconds between two looks for calls. `silent`: seconds after which a
    worker whose heart does not beat is dead."""

    def __init__(
        self,
        source: Source,
        run: Run,
        log: EngineLog,
        *,
        concurrency: int,
        poll: float,
        silent: float,
    ) -> None:
        self._source = source
        self._run = run
        self._log = log
        self._concurrency = concurrency
        self._poll = poll
        self._silent = silent
        self._news = asyncio.Event()
        self._taking: asyncio.Task[Delivery | None] | None = None
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._cuttable: set[asyncio.Task[None]] = set()
        """Those that run a call, and not what became of it through a line to the database: a write
        that is cut may have been done or not, and psycopg needs seconds to cut it."""

    async def work(self, stopping: asyncio.Future[Any]) -> None:
        """Runs calls until `stopping` is done, and then those under way to their end."""
        await self._source.start()
        stopping.add_done_callback(self._wake)
        sides = [asyncio.create_task(side()) for side in (self._beat, self._sweep, self._listen)]
        try:
            while not stopping.done():
                self._news.clear()
                if len(self._running) >= self._concurrency:
                    await self._news.wait()
                elif not await self._take():
                    await self._nap()
            if self._running:
                await asyncio.wait(self._running)
        finally:
            stopping.remove_done_callback(self._wake)
            await self._leave(sides)

    # -- taking and running

    async def _take(self) -> bool:
        """Starts the next call. Returns whether there was one."""
        self._taking = asyncio.create_task(self._source.take())
        try:
            delivery = await asyncio.shield(self._taking)
        except EngineError as error:
            self._say_lost(error)
            return False
        self._taking = None
        if delivery is None:
            return False
        task = asyncio.create_task(self._see_to(delivery))
        self._running[task] = delivery
        task.add_done_callback(self._over)
        return True

    def _over(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._news.set()

    async def _see_to(self, delivery: Delivery) -> None:
        """Runs a call and writes down what became of it."""
        source = self._source
        try:
            envelope = Envelope.from_json(delivery.text)
        except PayloadError as error:
            row, problem = str(delivery.row), str(error)
            self._log.say(logging.ERROR, "engine.bad_message", row=row, problem=problem)
            await self._insist(lambda: source.bury(delivery))
            return
        if delivery.crashes > MOST_CRASHES:  # then it is given up, and becomes a dead letter
            envelope = replace(envelope, crashes=max(envelope.crashes, delivery.crashes))
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._cuttable.add(task)
        try:
            following = await self._run(envelope)
        except asyncio.CancelledError:
            following = replace(envelope, key=None)
        finally:
            self._cuttable.discard(task)
        if following is None:
            await self._insist(lambda: source.finish(delivery))
        else:
            await self._insist(lambda: source.put_back(delivery, following))

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Writes, as often as it takes."""
        pause = FIRST_PAUSE
        while True:
            try:
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
            try:
                await self._source.beat(list(self._running.values()))
            except EngineError as error:
                self._say_lost(error)

    async def _sweep(self) -> None:
        while True:
            try:
                if found := await self._source.sweep():
                    self._log.say(logging.WARNING, "engine.redelivered", calls=found)
                    self._news.set()
            except EngineError as error:
                self._say_lost(error)
            await asyncio.sleep(self._silent / 2)

    async def _listen(self) -> None:
        while True:
            try:
                await self._source.listen(self._news.set)
            except EngineError as error:
                self._say_lost(error)
            await asyncio.sleep(LONGEST_PAUSE)  # until then the polls find them

    async def _nap(self) -> None:
        try:
            seconds = await self._source.due(self._poll)
        except EngineError:  # which is said when the next is taken
            seconds = self._poll
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
        for side in sides:
            let_go(side)
        for task in self._cuttable:
            task.cancel()
        try:
            await in_time(self._hand_over(), LEAVE_SECONDS)
        except (EngineError, TimeoutError) as error:
            # Its heart beats no more: the others find what it had.
            self._log.say(logging.WARNING, "engine.unreachable", problem=str(error))
        for task in list(self._running):
            let_go(task)

    async def _hand_over(self) -> None:
        taken = await self._taking if self._taking is not None else None
        if taken is not None:
            await self._source.put_back(taken, None)
        if self._running:
            await asyncio.wait(self._running)
        await self._source.leave()

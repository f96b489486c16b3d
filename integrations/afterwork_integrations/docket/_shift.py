"""A shift of Docket's worker in the loop that runs: from its start to the end of what it took."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from docket import Worker
from redis.exceptions import RedisError

from ._line import drop_unreadable, forget_workers, give_back

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from docket import Docket

    from .._engine_log import EngineLog
    from ._line import Line

T = TypeVar("T")
CHECK_SECONDS = 0.02
"""How often a worker looks for free places, and so what it waits between two full loads. Docket's
own 0.25 makes ten calls of it 40 in a second."""
SCHEDULE_SECONDS = 0.1
"""How often calls whose time has come are looked for."""
RECONNECT_SECONDS = 1.0
CUT_SECONDS = 2.0
"""How long a worker that is cut gets to end what it does with Redis."""


class Shift:
    """Runs at most `concurrency` calls at a time. `under_way`: the deliveries that run."""

    def __init__(
        self,
        lease: float,
        concurrency: int,
        under_way: set[asyncio.Future[None]],
        log: EngineLog,
    ) -> None:
        self._lease, self._concurrency = lease, concurrency
        self._under_way, self._log = under_way, log
        # Never one that was there before: what that one has pending is not this one's.
        self._name = f"{socket.gethostname()}#{os.getpid()}#{uuid.uuid4().hex[:8]}"
        self._running: asyncio.Task[None] | None = None

    async def work(self, line: Line, stopping: asyncio.Future[Any]) -> None:
        """Until `stopping` is done and what runs is over. Cancelled, it gives back what it has."""
        docket = await line.docket()
        # In a task of its own: Docket's worker leaves only from where it entered.
        turn = asyncio.create_task(self._turn(docket, stopping))
        try:
            await asyncio.shield(turn)
        except asyncio.CancelledError:
            await self._cut(turn)
            await self._tidy(give_back(docket, self._name))
            raise
        except Exception:  # Docket's worker ends where it cannot read a message
            if not await self._tidy(self._drop(docket)):
                raise
        await self._tidy(forget_workers(docket, self._name))

    async def _turn(self, docket: Docket, stopping: asyncio.Future[Any]) -> None:
        async with Worker(
            docket,
            name=self._name,
            concurrency=self._concurrency,
            redelivery_timeout=timedelta(seconds=self._lease),
            reconnection_delay=timedelta(seconds=RECONNECT_SECONDS),
            minimum_check_interval=timedelta(seconds=CHECK_SECONDS),
            scheduling_resolution=timedelta(seconds=SCHEDULE_SECONDS),
            schedule_automatic_tasks=False,
            fallback_task=self._unknown,
        ) as worker:
            self._running = asyncio.create_task(worker.run_forever())
            await asyncio.wait({self._running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await self._running

    async def _cut(self, turn: asyncio.Task[None]) -> None:
        """Ends the turn, and once more where Docket waits for a Redis that does not answer."""
        self._end()
        done, _ = await asyncio.wait({turn}, timeout=CUT_SECONDS)
        if not done:
            turn.cancel()
            self._end()
            await asyncio.wait({turn}, timeout=CUT_SECONDS)

    def _end(self) -> None:
        assert self._running is not None, "a turn makes its first step before it can be cut"
        self._running.cancel()  # first: then Docket keeps what is cut, for another
        for delivery in list(self._under_way):
            delivery.cancel()

    async def _drop(self, docket: Docket) -> bool:
        dropped = await drop_unreadable(docket, self._name)
        for size in dropped:
            problem = "no message of Docket's"
            self._log.say(logging.ERROR, "engine.bad_message", problem=problem, bytes=size)
        await give_back(docket, self._name)
        return bool(dropped)

    async def _unknown(self, *args: Any, **kwargs: Any) -> None:
        problem = "a task that is not known here"
        self._log.say(logging.ERROR, "engine.bad_message", problem=problem)

    async def _tidy(self, step: Awaitable[T]) -> T | None:
        """What can be left undone: leases end by themselves."""
        try:
            async with asyncio.timeout(self._lease):
                return await step
        except (RedisError, OSError):
            return None

"""Taskiq's receiver, as a part of `serve`: what it takes is acknowledged by the task itself."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from taskiq import AckableMessage
from taskiq.acks import AcknowledgeType
from taskiq.receiver import Receiver
from taskiq.utils import maybe_awaitable

if TYPE_CHECKING:
    from taskiq_aio_pika import AioPikaBroker

    from .._engine_log import EngineLog


class Worker(Receiver):
    """Runs what a broker delivers, at most so many at a time, until it is told to finish."""

    def __init__(self, broker: AioPikaBroker, concurrency: int, log: EngineLog) -> None:
        super().__init__(
            broker,
            max_async_tasks=concurrency,
            max_prefetch=0,
            ack_type=AcknowledgeType.WHEN_EXECUTED,
            run_startup=False,
        )
        self._log = log
        self._running: set[asyncio.Task[None]] = set()

    async def callback(self, message: bytes | AckableMessage, raise_err: bool = False) -> None:
        """Runs one. What is no message of Taskiq's is said to be none, not shown, and dropped."""
        task = asyncio.current_task()
        assert task is not None, "Taskiq runs it as one"
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        assert isinstance(message, AckableMessage), "those of RabbitMQ all are"
        try:
            name = self.broker.formatter.loads(message=message.data).task_name
            problem = None if self.broker.find_task(name) else "a task that is not known here"
        except Exception as error:  # whatever the serializer raises
            problem = f"no message of Taskiq's ({type(error).__name__})"
        if problem is None:
            await super().callback(message, raise_err)
            return
        size = len(message.data)
        self._log.say(logging.ERROR, "engine.bad_message", problem=problem, bytes=size)
        await maybe_awaitable(message.ack())

    async def cut(self) -> None:
        """Ends what runs, without acknowledging it."""
        tasks = [*self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def over(self) -> None:
        """Waits until what runs is over."""
        await asyncio.gather(*self._running, return_exceptions=True)

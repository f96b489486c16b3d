"""Puts messages into RabbitMQ, at once or after a delay.

1. A message is sent when the server has confirmed it. One that no queue takes is an error, which
   Taskiq's own broker would not notice.
2. RabbitMQ drops only what is at the head of a queue when its time is over, so a short delay behind
   a long one would be late. Therefore there is a queue for each of a few delays, the same for all
   messages in it. Longer ones are made of several.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aio_pika import DeliveryMode, Message
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from taskiq import TaskiqMessage
from taskiq.utils import maybe_awaitable

from ._broker import TASK, open_reader, open_writer, queue_of

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection
    from taskiq_aio_pika import AioPikaBroker

DELAYS = (0.25, 1, 4, 16, 64, 256, 1024, 4096, 16384)
"""Seconds, each with a queue of its own that is declared when it is first needed."""

CLOSE_SECONDS = 5.0


class Sender:
    """The sending half of a broker, on the loop that runs."""

    def __init__(self, broker: AioPikaBroker) -> None:
        self._broker = broker
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = False
        self._opening = asyncio.Lock()
        self._channel: AbstractChannel | None = None
        self._delays: set[float] = set()
        self._ending: set[asyncio.Future[None]] = set()

    async def send(self, run_id: str, text: str, delay: float) -> None:
        """Returns when the server has it. Raises what aio-pika raises."""
        channel = await self._open()
        message = TaskiqMessage(
            task_id=run_id,
            task_name=TASK,
            labels={"ack_type": "manual"},  # whichever worker takes it
            args=[text],
            kwargs={},
        )
        for middleware in self._broker.middlewares:
            message = await maybe_awaitable(middleware.pre_send(message))
        raw = self._broker.formatter.dumps(message)
        await channel.default_exchange.publish(
            Message(
                raw.message,
                headers={"task_id": raw.task_id, "task_name": raw.task_name, **raw.labels},
                delivery_mode=DeliveryMode.PERSISTENT,
            ),
            routing_key=await self._route(channel, delay),
        )
        for middleware in reversed(self._broker.middlewares):
            await maybe_awaitable(middleware.post_send(message))

    async def open_reader(self) -> None:
        """Opens what a worker reads from, beside the rest."""
        broker = self._broker
        broker.is_worker_process = True
        await self._open()
        if broker.read_channel is None:
            await open_reader(broker)

    async def close_reader(self) -> None:
        """Closes it. What was not acknowledged is given back."""
        broker = self._broker
        connection, broker.read_conn, broker.read_channel = broker.read_conn, None, None
        broker.is_worker_process = False
        if connection is not None:
            await self._end(connection)

    def drop(self) -> None:
        """Lets go of a connection that does not answer, and does not wait for its end."""
        connection, self._broker.write_conn = self._broker.write_conn, None
        self._channel = None
        if connection is not None:
            task = asyncio.ensure_future(self._end(connection))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Closes what was opened on this loop."""
        broker, here = self._broker, self._loop is asyncio.get_running_loop()
        if here and self._channel is not None and broker.write_conn is not None:
            self._channel = None
            connection, broker.write_conn, broker.write_channel = broker.write_conn, None, None
            self._started = False
            await broker.shutdown()
            await self._end(connection)
        await asyncio.gather(*self._ending)

    async def _end(self, connection: AbstractConnection) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close()
        except (AMQPError, ChannelInvalidStateError, OSError):  # TimeoutError is an OSError
            pass  # it is gone

    async def _open(self) -> AbstractChannel:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:  # what belongs to another loop cannot be used or closed here
                self._broker.write_conn = self._channel = None
                self._ending.clear()
            self._loop, self._opening, self._started = loop, asyncio.Lock(), False
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                self._channel = None
                self._channel = await self._connect()
                self._delays.clear()
            return self._channel

    async def _connect(self) -> AbstractChannel:
        broker = self._broker
        if broker.write_conn is None or broker.write_conn.is_closed:
            start = open_writer(broker) if self._started else broker.startup()
            try:
                await start
            except BaseException:
                self.drop()
                raise
            self._started = True
        assert broker.write_conn is not None, "it has started"
        return await broker.write_conn.channel(on_return_raises=True)

    async def _route(self, channel: AbstractChannel, delay: float) -> str:
        name = queue_of(self._broker).name
        if delay <= 0:
            return name
        hop = max((each for each in DELAYS if each <= delay), default=DELAYS[0])
        waiting = f"{name}.delay.{hop:g}"
        if hop not in self._delays:
            await channel.declare_queue(
                waiting,
                durable=True,
                arguments={
                    "x-queue-type": "quorum",
                    "x-message-ttl": int(hop * 1000),
                    "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": name,
                    # It is dropped here when the other queue has confirmed it, and not before.
                    "x-dead-letter-strategy": "at-least-once",
                    "x-overflow": "reject-publish",
                },
            )
            self._delays.add(hop)
        return waiting

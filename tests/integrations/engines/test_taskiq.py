"""Taskiq's engine, against RabbitMQ."""

from __future__ import annotations

import uuid

import aio_pika
from afterwork import Engine
from afterwork.testing.engine_contract import EngineContract
from afterwork_integrations.taskiq import TaskiqEngine

from tests.services import rabbitmq_url

DELAYS = ("0.25", "1", "4")


def new_queue() -> str:
    return f"test-{uuid.uuid4().hex}"


async def forget(queue: str) -> None:
    """Deletes what an engine made on the server."""
    async with await aio_pika.connect(rabbitmq_url()) as connection:
        channel = await connection.channel()
        for name in (queue, f"{queue}.rejected", *(f"{queue}.delay.{each}" for each in DELAYS)):
            await channel.queue_delete(name)
        await channel.exchange_delete(queue)


class TestTaskiqEngine(EngineContract):
    def make_engine(self) -> Engine:
        self.queue = new_queue()
        return TaskiqEngine(rabbitmq_url(), queue=self.queue)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        async with await aio_pika.connect(rabbitmq_url()) as connection:
            channel = await connection.channel()
            await channel.default_exchange.publish(aio_pika.Message(text.encode()), self.queue)
        return True

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        await forget(self.queue)

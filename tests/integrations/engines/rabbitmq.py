"""Queues of RabbitMQ for tests."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel

from tests.services import rabbitmq_url

DELAYS = ("0.25", "1", "4", "16")
"""Those that tests use."""


def new_queue() -> str:
    """A name that no other test has."""
    return f"test-{uuid.uuid4().hex}"


@asynccontextmanager
async def channel() -> AsyncIterator[AbstractChannel]:
    """A channel of the test's own."""
    async with await aio_pika.connect(rabbitmq_url()) as connection:
        yield await connection.channel()


async def waiting(queue: str) -> int:
    """How many messages are ready in a queue."""
    async with channel() as here:
        found = await here.declare_queue(queue, passive=True)
        return found.declaration_result.message_count or 0


async def forget(queue: str) -> None:
    """Deletes what an engine made on the server."""
    async with channel() as here:
        for name in (queue, f"{queue}.rejected", *(f"{queue}.delay.{each}" for each in DELAYS)):
            await here.queue_delete(name)
        await here.exchange_delete(queue)

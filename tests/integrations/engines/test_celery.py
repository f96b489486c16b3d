"""Celery as the engine, with a real RabbitMQ and a real Redis."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from afterwork.engines import Engine
from afterwork_integrations.celery import CeleryEngine
from celery import Celery
from tests.contracts.engine import EngineContract
from tests.services import rabbitmq_url


def drop_queues(engine: CeleryEngine) -> None:
    """Deletes all that an engine may have declared."""
    name = engine.app.amqp.queues.consume_from.popitem()[0]
    with engine.app.connection_for_write() as connection:
        channel = connection.channel()
        channel.queue_delete(name)
        for level in range(25):
            channel.queue_delete(f"{name}.wait.{250 << level}")
        channel.exchange_delete(name)


class TestCeleryOnRabbitMQ(EngineContract):
    """The rules of every engine, served without Celery's worker."""

    def make_engine(self) -> CeleryEngine:
        return CeleryEngine(rabbitmq_url(), f"test-{uuid4().hex}")

    async def put_garbage(self, engine: Any, text: str) -> bool:
        engine.app.send_task("afterwork", (text,), queue=engine._broker.queue)
        return True

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        assert isinstance(engine, CeleryEngine)
        drop_queues(engine)

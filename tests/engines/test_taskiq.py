"""Taskiq's engine with worker processes that are killed, against RabbitMQ."""

from __future__ import annotations

from afterwork_integrations.taskiq import TaskiqEngine

from afterwork import Engine
from tests.contracts.engine import SharedEngineContract
from tests.integrations.engines.rabbitmq import forget, new_queue
from tests.services import rabbitmq_url


def open_taskiq(queue: str) -> Engine:
    """With a heartbeat so short that a call can live longer than a dead machine is waited for."""
    return TaskiqEngine(f"{rabbitmq_url()}?heartbeat=2", queue=queue)


class TestTaskiqInProcesses(SharedEngineContract):
    def opener(self) -> tuple[str, str]:
        self.queue = new_queue()
        return f"{__name__}:open_taskiq", self.queue

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        await forget(self.queue)

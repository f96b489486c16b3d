"""Docket's engine with worker processes that are killed, against Redis."""

from __future__ import annotations

from afterwork_integrations.docket import DocketEngine

from afterwork import Engine
from tests.contracts.engine import SharedEngineContract
from tests.integrations.engines.test_docket import forget, new_queue
from tests.services import redis_url


def open_docket(queue: str) -> Engine:
    """With a short lease, so that a call can outlive it soon."""
    return DocketEngine(redis_url(), queue=queue, lease=2)


class TestDocketInProcesses(SharedEngineContract):
    def opener(self) -> tuple[str, str]:
        self.queue = new_queue()
        return f"{__name__}:open_docket", self.queue

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        forget(self.queue)

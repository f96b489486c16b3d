"""Docket's engine, against Redis."""

from __future__ import annotations

import uuid

import redis
from afterwork_integrations.docket import DocketEngine
from docket import Docket

from afterwork import Engine
from tests.contracts.engine import EngineContract
from tests.services import redis_url


def new_queue() -> str:
    return f"test-{uuid.uuid4().hex}"


def forget(queue: str) -> None:
    """Deletes what an engine made on the server."""
    with redis.Redis.from_url(redis_url()) as client:
        keys = list(client.scan_iter(f"{queue}:*", count=1000))
        if keys:
            client.delete(*keys)


class TestDocketEngine(EngineContract):
    def make_engine(self) -> Engine:
        self.queue = new_queue()
        return DocketEngine(redis_url(), queue=self.queue, lease=1)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        async with Docket(self.queue, redis_url()) as docket:

            async def afterwork(text: str) -> None: ...

            docket.register(afterwork)
            await docket.add(afterwork)(text)
        return True

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        forget(self.queue)

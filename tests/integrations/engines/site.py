"""An app on an engine, for tests of one engine."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from afterwork import Afterwork, MemoryStore
from afterwork.engines import Engine


class Site:
    """An app on an engine, in this loop."""

    def __init__(self, engine: Engine) -> None:
        self.work = Afterwork(engine=engine, store=MemoryStore())
        self.engine = self.work.engine
        self.seen: list[Any] = []
        self.go_on = asyncio.Event()

        async def note(what: object) -> None:
            self.seen.append(what)

        async def wait(what: object) -> None:
            self.seen.append(what)
            await self.go_on.wait()

        self.note = self.work.job(durable=True)(note)
        self.wait = self.work.job(durable=True)(wait)

    @asynccontextmanager
    async def serving(self, concurrency: int = 5) -> AsyncIterator[asyncio.Task[None]]:
        stop = asyncio.Event()
        task = asyncio.create_task(self.engine.serve(concurrency=concurrency, stop=stop.wait()))
        try:
            yield task
            stop.set()
            await asyncio.wait({task}, timeout=15)
            assert task.cancelled() or task.result() is None
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=15)
            await self.engine.close()


async def until(condition: Any, seconds: float = 15.0) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it has not come true"
        await asyncio.sleep(0.01)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

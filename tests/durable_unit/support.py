"""An engine in a list, and an app that uses it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from afterwork import Afterwork, MemoryStore
from afterwork._deliveries import Deliveries
from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError, StoreError
from afterwork.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from afterwork._engine import RunEnvelope

ALL = Capabilities(keys="active", priority=True, status=True, cancel=True, limits=True)


class ListEngine:
    """Keeps what it is given. `down`: it cannot; `gate`: it takes its time."""

    name = "list"

    def __init__(self, capabilities: Capabilities = ALL) -> None:
        self.capabilities = capabilities
        self.envelopes: list[Envelope] = []
        self.batches: list[int] = []
        self.connections: list[Any] = []
        self.down = False
        self.gate: Any = None
        self.asked = 0
        self.run: RunEnvelope | None = None

    def bind(self, run: RunEnvelope) -> None:
        self.run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise EngineError(self.name, "take a call in", "it is down")
        self.batches.append(len(envelopes))
        self.connections.append(connection)
        ids: list[str] = []
        for envelope in envelopes:
            known = (e.id for e in self.envelopes if e.key and (e.job, e.key) == _key(envelope))
            ids.append(next(known, envelope.id))
            if ids[-1] == envelope.id:
                self.envelopes.append(Envelope.from_json(envelope.to_json()))
        return ids

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """Runs what there is, one after the other, and what follows from it."""
        assert self.run is not None
        while self.envelopes:
            following = await self.run(self.envelopes[0])
            del self.envelopes[0]
            if following is not None:
                self.envelopes.append(replace(following))

    async def status(self, run_id: str) -> str | None:
        return None

    async def cancel(self, run_id: str) -> bool:
        return False

    async def close(self) -> None:
        return None


class Flaky(MemoryStore):
    """A store of which named steps fail while they are in `down`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.down: set[str] = set()

    def _step(self, doing: str, *, writes: bool = True) -> Any:
        if doing in self.down or "all" in self.down:
            raise StoreError("test", doing, "it is down")
        return super()._step(doing, writes=writes)


class Nowhere(tzinfo):
    """A zone that gives no moment an offset."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> None:
        return None


def _key(envelope: Envelope) -> tuple[str, str | None]:
    return envelope.job, envelope.key


def new_work(engine: ListEngine | None = None, **settings: Any) -> Afterwork:
    """An app with such an engine, a store in memory and a clock that stands still."""
    clock = settings.setdefault("clock", FakeClock())
    settings.setdefault("store", MemoryStore(clock=clock))
    settings.setdefault("engine", engine or ListEngine())
    return Afterwork(**settings)


def deliveries(work: Afterwork) -> Deliveries:
    """What an engine is given to run envelopes."""
    return Deliveries(work.dispatch)


async def finished(task: asyncio.Task[Any]) -> None:
    """Cancels a task and waits for its end."""
    task.cancel()
    await asyncio.wait([task])

"""A small engine that calls: messages, and somebody who posts them to the trigger route until they
are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import EngineError
from tests.jobs.support import caller

if TYPE_CHECKING:
    from afterwork import Afterwork

PAUSE = 0.02
"""Seconds between two deliveries of one message."""


class PushEngine:
    """No delays of its own, and keys that count for ever. `refusals`: so many times it takes in
    nothing."""

    name = "push"
    capabilities = Capabilities(mode="push", max_delay=0, keys="forever", survives="nothing")

    def __init__(self) -> None:
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self.keys: dict[tuple[str, str], str] = {}
        self.refusals = 0
        self.answers: list[tuple[int, str]] = []

    def bind(self, run: Any) -> None:
        """What runs a call is the trigger route's."""

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        if self.refusals:
            self.refusals -= 1
            raise EngineError(self.name, "take in calls", "it is down")
        return [self._add(each) for each in envelopes]

    def _add(self, envelope: Envelope) -> str:
        if envelope.key is not None:
            known = self.keys.setdefault((envelope.job, envelope.key), envelope.id)
            if known != envelope.id:
                return known
        self.messages.put_nowait(envelope.to_json())
        return envelope.id

    async def deliver(self, work: Afterwork, concurrency: int, stop: Awaitable[object]) -> None:
        """Calls the route until `stop` is done."""
        stopping = asyncio.ensure_future(stop)
        callers = [asyncio.create_task(self._call(work)) for _ in range(concurrency)]
        await stopping
        for each in callers:
            each.cancel()
        await asyncio.wait(callers)

    async def _call(self, work: Afterwork) -> None:
        call = caller(work)
        while True:
            text = await self.messages.get()
            delivery = asyncio.create_task(self._deliver(call, text))
            try:
                await asyncio.shield(delivery)
            except asyncio.CancelledError:
                await delivery
                raise

    async def _deliver(self, call: Any, text: str) -> None:
        status, answer = await call("/work", content=text)
        self.answers.append((status, answer["status"]))
        if not 200 <= status < 300:
            self.messages.put_nowait(text)
        if answer["status"] != "ok":
            await asyncio.sleep(PAUSE)

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        raise AssertionError("it calls")

    async def status(self, run_id: str) -> str | None:
        return None

    async def cancel(self, run_id: str) -> bool:
        return False

    async def close(self) -> None:
        """Keeps everything."""

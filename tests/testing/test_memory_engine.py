"""The engine that users' tests take."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest

from afterwork import Afterwork, MemoryStore, Retry, after
from afterwork.errors import EngineError
from afterwork.testing import FakeClock, MemoryEngine, scope

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


async def test_a_test_looks_at_what_waits_and_runs_what_is_due() -> None:
    clock = FakeClock(NOON)
    engine = MemoryEngine(clock=clock)
    work = Afterwork(engine=engine, store=MemoryStore(clock=clock), clock=clock)
    sent: list[int] = []

    @work.job(durable=True)
    async def send(number: int) -> None:
        sent.append(number)

    assert work.engine is engine
    await after.enqueue(send, 1)
    await after.options(delay="1h").enqueue(send, 2)
    assert [(call.job, call.payload) for call in engine.waiting] == [
        ("send", "[[1], {}]"),
        ("send", "[[2], {}]"),
    ]

    await engine.settle()
    assert (sent, len(engine.waiting)) == ([1], 1)
    clock.advance(3600)
    await engine.settle()
    assert (sent, engine.waiting) == ([1, 2], [])


async def test_a_failed_call_waits_for_its_next_attempt() -> None:
    clock = FakeClock(NOON)
    engine = MemoryEngine(clock=clock)
    work = Afterwork(engine=engine, store=MemoryStore(clock=clock), clock=clock)

    @work.job(durable=True, retry=Retry(2, delay=60, jitter=False))
    async def fail() -> None:
        raise RuntimeError

    await after.enqueue(fail)
    await engine.settle()

    assert [(call.attempt, call.run_at) for call in engine.waiting] == [
        (2, NOON.timestamp() + 60),
    ]


async def test_a_worker_hears_of_a_clock_that_is_moved() -> None:
    """With `elapse`, at each call's own moment."""
    clock = FakeClock(NOON)
    engine = MemoryEngine(clock=clock)
    work = Afterwork(engine=engine, store=MemoryStore(clock=clock), clock=clock)
    at: list[float] = []

    @work.job(durable=True)
    async def job() -> None:
        at.append(clock.now() - NOON.timestamp())

    for delay in (30, 90, 7200):
        await after.options(delay=delay).enqueue(job)
    stop = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(work.engine.serve(concurrency=2, stop=stop))
    await asyncio.sleep(0)
    await clock.elapse(600)
    stop.set_result(None)
    await serving

    assert at == [30, 90]
    assert len(engine.waiting) == 1


async def test_it_takes_calls_from_other_threads_and_loops() -> None:
    """As those of an app under Starlette's TestClient."""
    engine = MemoryEngine()
    work = Afterwork(engine=engine, store="memory:")
    ran = asyncio.Event()
    loop = asyncio.get_running_loop()

    @work.job(durable=True)
    def job() -> None:
        loop.call_soon_threadsafe(ran.set)

    serving = asyncio.create_task(work.engine.serve(concurrency=1, stop=ran.wait()))
    await asyncio.sleep(0)
    thread = threading.Thread(target=lambda: asyncio.run(enqueue()))

    async def enqueue() -> None:
        await after.enqueue(job)

    thread.start()
    async with asyncio.timeout(10):
        await serving
    await asyncio.to_thread(thread.join)


async def test_it_needs_an_app() -> None:
    engine = MemoryEngine()
    with pytest.raises(EngineError, match="no Afterwork has it. Give the engine to Afterwork"):
        await engine.settle()
    stop = asyncio.get_running_loop().create_future()
    with pytest.raises(EngineError, match="no Afterwork has it"):
        await engine.serve(concurrency=1, stop=stop)


async def test_calls_of_code_under_test_wait_in_it() -> None:
    """With `scope`, as any call."""
    engine = MemoryEngine()
    work = Afterwork(engine=engine, store="memory:")
    sent: list[str] = []

    @work.job(durable=True)
    async def send(to: str) -> None:
        sent.append(to)

    async with scope():
        after(send, "ada@example.org")

    assert [call.job for call in engine.waiting] == ["send"]
    await engine.settle()
    assert sent == ["ada@example.org"]

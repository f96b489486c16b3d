"""A worker in the web process: from its start-up to its shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import Afterwork, MemoryStore, after
from afterwork import _serving as serving
from afterwork._loop import current_loop
from afterwork.engines import Capabilities
from afterwork.errors import EngineError
from afterwork.testing import FakeHost, MemoryEngine
from tests.support import answering

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from afterwork._asgi import Message


@contextlib.asynccontextmanager
async def server(work: Afterwork) -> AsyncIterator[None]:
    """A server around the app, from its start-up to its shutdown."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    app = work.wrap(answering(lambda: None))
    life = asyncio.create_task(app({"type": "lifespan"}, told.get, answers.put))
    told.put_nowait({"type": "lifespan.startup"})
    async with asyncio.timeout(20):
        assert (await answers.get())["type"] == "lifespan.startup.complete"
        try:
            yield
        finally:
            told.put_nowait({"type": "lifespan.shutdown"})
            await life


def app_with(engine: Any, **settings: Any) -> tuple[Afterwork, Any, list[Any]]:
    """An app with a durable job that notes its argument, and waits where that is an event."""
    settings.setdefault("store", MemoryStore())
    work = Afterwork(engine=engine, **settings)
    seen: list[Any] = []
    work_go = asyncio.Event()

    @work.job(durable=True)
    async def job(what: str) -> None:
        seen.append(what)
        if what == "waits":
            await work_go.wait()
            seen.append("over")

    return work, (job, work_go), seen


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def events(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [
        record.getMessage() for record in caplog.records if record.getMessage().startswith(name)
    ]


async def test_it_serves_while_the_server_does(caplog: pytest.LogCaptureFixture) -> None:
    engine = MemoryEngine()
    work, (job, _), seen = app_with(engine, worker=True, concurrency=3)
    await after.enqueue(job, "before")
    async with server(work):
        await until(lambda: seen == ["before"])
        await after.enqueue(job, "while")
        await until(lambda: seen == ["before", "while"])
        assert work.pipeline.worker is not None
        serving.embed(work.dispatch, _loop())  # a second lifespan changes nothing
    await after.enqueue(job, "after")

    assert [call.payload for call in engine.waiting] == ['[["after"], {}]']
    assert events(caplog, "worker") == [
        "worker.started engine='memory' concurrency=3",
        "worker.stopped engine='memory'",
    ]


def _loop() -> Any:
    return current_loop()


async def test_the_shutdown_waits_for_what_runs_and_starts_no_more() -> None:
    engine = MemoryEngine()
    work, (job, go), seen = app_with(engine, worker=True, concurrency=1)
    await after.enqueue(job, "waits")
    await after.enqueue(job, "next")
    async with server(work):
        await until(lambda: seen)
        asyncio.get_running_loop().call_later(0.05, go.set)

    assert seen == ["waits", "over"]
    assert len(engine.waiting) == 1


async def test_the_end_of_the_grace_cuts_and_gives_back() -> None:
    engine = MemoryEngine()
    work, (job, _), seen = app_with(engine, worker=True, grace=0.02)
    await after.enqueue(job, "waits")
    async with server(work):
        await until(lambda: seen)

    assert [(call.attempt, call.crashes) for call in engine.waiting] == [(2, 1)]


class Clinging(MemoryEngine):
    """Does not hear of `stop`; `deaf` neither of being cancelled."""

    deaf = False

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not self.deaf:
                raise
            await asyncio.sleep(0.3)


@pytest.mark.parametrize("deaf", [False, True])
async def test_an_engine_that_does_not_end_is_cancelled(
    deaf: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "CANCELLED_SECONDS", 0.05)
    monkeypatch.setattr("afterwork._closing.LEAVE_SECONDS", 0.05)
    engine = Clinging()
    engine.deaf = deaf
    work, _, _ = app_with(engine, worker=True, grace=0.02)
    async with server(work):
        worker = work.pipeline.worker
        assert worker is not None
    await worker.over(None)

    assert len(events(caplog, "worker.not_stopped")) == deaf


class Failing(MemoryEngine):
    """Fails three times, once by returning."""

    failures = 0

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        self.failures += 1
        if self.failures == 2:
            return
        if self.failures < 4:
            raise EngineError("failing", "be served", "it is down")
        await super().serve(concurrency=concurrency, stop=stop)


@pytest.mark.parametrize("most", [0.002, -1.0])
async def test_an_engine_that_fails_is_served_again(
    most: float, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a pause that grows, and is short again once it has served for a while."""
    monkeypatch.setattr(serving, "FAILED_SECONDS", 0.001)
    monkeypatch.setattr(serving, "MOST_FAILED_SECONDS", most)
    work, (job, _), seen = app_with(Failing(), worker=True)
    await after.enqueue(job, "x")
    async with server(work):
        await until(lambda: seen)

    assert len(events(caplog, "worker.failed")) == 3


async def test_a_pause_ends_with_the_process(caplog: pytest.LogCaptureFixture) -> None:
    class Down(MemoryEngine):
        async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
            raise EngineError("down", "be served", "it is down")

    work, _, _ = app_with(Down(), worker=True)
    async with server(work):
        await until(lambda: events(caplog, "worker.failed"))

    assert work.pipeline.worker is None
    assert len(events(caplog, "worker.failed")) == 1


@pytest.mark.parametrize("setting", ["auto", False])
async def test_an_engine_has_workers_of_its_own(setting: Any) -> None:
    work, _, _ = app_with(MemoryEngine(), worker=setting)
    async with server(work):
        assert work.pipeline.worker is None


async def test_the_journal_is_served_by_every_process() -> None:
    """`"auto"`: what is delayed has nobody else."""
    work, (job, _), seen = app_with(None)
    async with server(work):
        await after.options(delay=0.05).enqueue(job, "delayed")
        await until(lambda: seen == ["delayed"])


async def test_without_durable_jobs_there_is_nothing_to_serve() -> None:
    work = Afterwork(engine=MemoryEngine(), store="memory:", worker=True)
    work.job(name="plain")(print)
    async with server(work):
        assert work.pipeline.worker is None


class Push(MemoryEngine):
    name = "push"
    capabilities = Capabilities(mode="push")


@pytest.mark.parametrize(
    ("settings", "level", "reason"),
    [
        ({"engine": Push()}, logging.ERROR, "the engine push is not served: it calls the trigger"),
        ({"engine": MemoryEngine(), "host": FakeHost()}, logging.ERROR, "the host 'fake' stops or"),
        ({"engine": None, "worker": "auto", "host": FakeHost()}, logging.WARNING, "afterwork work"),
        ({"engine": None, "store": None}, logging.ERROR, "nothing-at-all"),
    ],
)
async def test_where_it_cannot_run_that_is_said_once(
    settings: dict[str, Any],
    level: int,
    reason: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the app starts all the same."""
    monkeypatch.setenv("AFTERWORK_STORE", "nothing-at-all:")
    work, _, _ = app_with(**{"worker": True, **settings})
    async with server(work):
        assert work.pipeline.worker is None

    (record,) = [each for each in caplog.records if "worker.refused" in each.getMessage()]
    assert record.levelno == level
    assert reason in record.getMessage()


async def test_it_needs_asyncio() -> None:
    class Trio:
        detaches = False

    trio: Any = Trio()
    work, _, _ = app_with(MemoryEngine())
    reason = serving.refusal(work.dispatch, trio)
    assert reason is not None
    assert "this server runs trio" in reason


@pytest.mark.parametrize("hangs", [True, False])
async def test_an_engine_that_cannot_be_closed_holds_nobody_up(
    hangs: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stuck(MemoryEngine):
        async def close(self) -> None:
            await asyncio.sleep(60 if hangs else 0)
            raise EngineError("stuck", "be closed", "it is down")

    monkeypatch.setattr("afterwork._closing.LEAVE_SECONDS", 0.02)
    work, _, _ = app_with(Stuck())
    assert work.engine.name == "memory"
    async with server(work):
        pass

    (record,) = [each for each in caplog.records if "engine.not_closed" in each.getMessage()]
    assert record.levelno == (logging.WARNING if hangs else logging.ERROR)

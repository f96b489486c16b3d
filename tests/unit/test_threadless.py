"""A platform without threads: everything runs on the loop, and nothing tries to start a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import pytest

from afterwork import AfterMiddleware, Afterwork, MemoryStore, Retry, SQLiteStore, after
from afterwork import _threadless as threadless
from afterwork._keeper import Keeper
from afterwork._threadless import LoopKeeper, Turns, new_hands, new_keeper
from afterwork._threads import Threads
from tests.support import answering, call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from afterwork import Run
    from afterwork._work import Work


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threadless, "THREADS", False)
    monkeypatch.setattr(threading.Thread, "start", start)


class Blocking(MemoryStore):
    """A store that is asked in a thread where there are threads: a subclass may block."""


async def test_a_sync_callback_runs_on_the_loop_after_the_response() -> None:
    loop = asyncio.get_running_loop()
    log: list[object] = []
    app = AfterMiddleware(
        answering(lambda: after(lambda: log.append(asyncio.get_running_loop() is loop)))
    )
    await call(app, log=log)

    assert log == ["http.response.start", "http.response.body", True]


async def test_several_callbacks_a_failure_and_a_retry(caplog: pytest.LogCaptureFixture) -> None:
    runs: list[Run] = []
    tries: list[int] = []

    def twice() -> None:
        tries.append(len(tries))
        if len(tries) < 2:
            raise RuntimeError("not yet")

    def fail() -> None:
        raise RuntimeError("paper-jam")

    async def sleep() -> None:
        await asyncio.sleep(0.01)

    def handler() -> None:
        after(fail)
        after.options(retry=Retry(2, backoff="fixed", delay=0.01))(twice)
        after(sleep)
        after(lambda: sleep())

    await call(AfterMiddleware(answering(handler), reporters=[runs.append]))

    assert tries == [0, 1]
    assert sorted(str(run.outcome) for run in runs) == ["failed", *["succeeded"] * 3]
    assert "paper-jam" in caplog.text


@pytest.mark.parametrize("early", [False, True])
async def test_the_response_has_a_head_start(monkeypatch: pytest.MonkeyPatch, early: bool) -> None:
    """What the server has to do after the app's call comes before the first sync callback."""
    monkeypatch.setattr(threadless, "HEAD_START_SECONDS", 0.0)
    order: list[str] = []
    work = Afterwork(host=lambda work: None, early=early)
    app = work.wrap(answering(lambda: after(order.append, "work")))
    await call(app)
    time.sleep(0.01)  # somebody else blocks the loop meanwhile
    for _ in range(15):
        await asyncio.sleep(0)
    order.append("server")
    while len(order) < 2:
        await asyncio.sleep(0.01)

    assert order == ["server", "work"]


async def test_one_that_waits_for_a_place_is_started_by_its_own_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not in the turn of whoever leaves the place, which may be another request's."""
    monkeypatch.setattr(threadless, "LOOK_SECONDS", 0.01)
    who: ContextVar[str] = ContextVar("who")
    ran: list[str] = []
    turns: list[str] = []
    work = Afterwork(limit=1)
    start = work.pipeline._start

    def watched(each: Work, eager: bool = False) -> None:
        turns.append(f"{each.context[who]} in the turn of {who.get()}")
        start(each, eager)

    monkeypatch.setattr(work.pipeline, "_start", watched)

    def handler() -> None:
        async def sleep() -> None:
            await asyncio.sleep(0.03)
            ran.append(who.get())

        after(sleep)

    async def request(name: str) -> None:
        who.set(name)
        await call(work.wrap(answering(handler)))

    names = ["a", "b", "c"]
    await asyncio.gather(*(request(name) for name in names))

    assert ran == names
    assert turns == [f"{name} in the turn of {name}" for name in names]


async def test_one_that_is_cut_while_it_waits_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threadless, "LOOK_SECONDS", 0.01)
    ran: list[int] = []
    app = AfterMiddleware(
        answering(lambda: [after(asyncio.sleep, 60), after(ran.append, 1)]), limit=1, budget=0.05
    )
    await call(app)
    await asyncio.sleep(0.03)

    assert ran == []


async def test_work_that_is_cut_before_its_start_is_told() -> None:
    told: list[str] = []
    app = AfterMiddleware(
        answering(lambda: [after(told.append, "ran"), after(asyncio.sleep, 60)]),
        budget=0.005,
        on_abandon=lambda runs: told.extend(str(run.outcome) for run in runs),
    )
    await call(app)

    assert told == ["cancelled", "cancelled"]


@pytest.mark.parametrize("kind", ["memory", "blocking", "sqlite"])
async def test_jobs_run_with_any_store(kind: str, tmp_path: Path) -> None:
    """One that blocks is asked on the loop."""
    stores: dict[str, Callable[[], Any]] = {
        "memory": MemoryStore,
        "blocking": Blocking,
        "sqlite": lambda: SQLiteStore(tmp_path / "runs.db"),
    }
    work = Afterwork(store=stores[kind](), record="all")
    ran: list[str] = []
    work.job(name="sync", when=lambda: True)(lambda: ran.append("sync"))

    @work.job(overlap="skip")
    async def slow() -> None:
        await asyncio.sleep(0.01)
        ran.append("slow")

    outcomes = [str((await work.run(name)).outcome) for name in ("sync", "slow", "slow")]
    await call(work.wrap(answering(lambda: after(ran.append, "callback"))))
    records = {record.job for record in work.store.runs()}
    work.store.close()

    assert outcomes == ["succeeded"] * 3
    assert ran == ["sync", "slow", "slow", "callback"]
    assert {"sync", "slow"} < records


async def test_the_lease_of_a_long_job_is_kept_from_the_loop() -> None:
    renewed = 0

    class Counting(MemoryStore):
        def renew(self, run_id: str, *, ttl: float) -> str | None:
            nonlocal renewed
            renewed += 1
            return super().renew(run_id, ttl=ttl)

    work = Afterwork(store=Counting(), lease=0.06)

    @work.job(overlap="skip")
    async def long() -> None:
        while renewed < 3:
            await asyncio.sleep(0.005)

    assert (await work.run("long")).outcome == "succeeded"
    count = renewed
    await asyncio.sleep(0.06)
    assert renewed == count  # and not after its end


async def test_a_keeper_calls_again_and_again_until_it_is_dropped() -> None:
    keeper = LoopKeeper(0.005)
    calls: list[int] = []

    def once() -> None:
        calls.append(len(calls))
        keeper.drop(once)

    keeper.hold(once)
    keeper.hold(once)  # what is held already is not put off
    while not calls:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)
    keeper.drop(once)

    assert calls == [0]


@pytest.mark.parametrize("kind", ["memory:", "sqlite:///{}/runs.db"])
async def test_a_durable_call_is_written_and_runs(kind: str, tmp_path: Path) -> None:
    """Each is written in a turn of its own."""
    work = Afterwork(store=kind.format(tmp_path))
    ran: list[int] = []

    @work.job(durable=True)
    async def send(number: int) -> None:
        ran.append(number)

    await call(work.wrap(answering(lambda: [after(send, 1), after(send, 2)])))
    while len(ran) < 2:
        await asyncio.sleep(0.01)
    work.store.close()

    assert sorted(ran) == [1, 2]


async def test_a_shutdown_flushes_reporters() -> None:
    flushed: list[float] = []

    class Reporter:
        def __call__(self, run: Run) -> None: ...

        def flush(self, seconds: float) -> None:
            flushed.append(seconds)

    from afterwork._closing import close
    from afterwork._loop import current_loop

    work = Afterwork(reporters=[Reporter()])
    loop = current_loop()
    assert loop is not None
    await close(work.pipeline, loop, 1.0)

    assert flushed == [5.0]


def test_without_a_loop_a_call_is_made_at_once() -> None:
    calls: list[int] = []
    Turns().submit(calls.append, 1)
    assert calls == [1]


def test_where_there_are_threads_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(new_hands(1), Turns)
    assert isinstance(new_keeper(1.0), LoopKeeper)
    assert not threadless.has_threads()
    assert threadless.look_every() == threadless.LOOK_SECONDS
    monkeypatch.setattr(threadless, "THREADS", True)
    assert cast("Threads", new_hands(3)).most == 3
    assert isinstance(new_keeper(1.0), Keeper)
    assert threadless.has_threads()
    assert threadless.look_every() == 0

"""The scheduler on trio: the same rules, on the other loop. Groups F and L of the cases."""

from __future__ import annotations

import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from afterwork import Afterwork, MemoryStore, SQLiteStore, current_run
from afterwork.testing import FakeClock, drain
from tests.jobs.support import at, new_work
from tests.support import answering, events

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from afterwork._asgi import Message

HOUR = "0 * * * *"
PATIENCE = 45.0


def on_trio(main: Callable[[], Awaitable[None]]) -> None:
    """Runs it, at most so long."""

    async def limited() -> None:
        with trio.fail_after(PATIENCE):
            await main()

    trio.run(limited)


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await trio.sleep(0.001)


@asynccontextmanager
async def running(work: Afterwork) -> AsyncIterator[FakeClock]:
    """An app between its start-up and its shutdown, whose scheduler has caught up and sleeps."""
    clock = work.pipeline.clock
    assert isinstance(clock, FakeClock)
    tell, told = trio.open_memory_channel[str](1)
    answer, answered = trio.open_memory_channel[str](1)

    async def receive() -> Message:
        return {"type": await told.receive()}

    async def send(message: Message) -> None:
        await answer.send(message["type"])

    app = work.wrap(answering(lambda: None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, {"type": "lifespan", "state": {}}, receive, send)
        slept = clock._slept
        await tell.send("lifespan.startup")
        assert await answered.receive() == "lifespan.startup.complete"
        await until(lambda: clock._slept > slept)
        await drain()
        yield clock
        await tell.send("lifespan.shutdown")
        assert await answered.receive() == "lifespan.shutdown.complete"
    for channel in (tell, told, answer, answered):
        channel.close()


def hour_of_slot() -> int:
    slot = current_run().scheduled_for
    assert slot is not None
    return slot.hour


def test_a_day_of_minutely_runs_in_no_time() -> None:
    """Each at its own time, once; the clock is the only thing that moves."""
    work = new_work(at("2026-03-10 00:00"))
    ran: list[datetime | None] = []

    @work.cron("* * * * *")
    async def minutely() -> None:
        await trio.lowlevel.checkpoint()
        ran.append(current_run().scheduled_for)

    async def main() -> None:
        async with running(work) as clock:
            await clock.elapse(86_400)

    began = time.monotonic()
    on_trio(main)
    took = time.monotonic() - began

    assert ran == [at("2026-03-10 00:00") + timedelta(minutes=n) for n in range(1, 1441)]
    assert took < 30  # well under a second on an idle machine
    assert {run.state for run in work.store.runs(job="minutely")} == {"succeeded"}


@pytest.mark.parametrize(
    ("misfire", "hours", "missed"),
    [("skip", [], [10, 11, 12]), ("once", [12], [10, 11]), ("all", [10, 11, 12], [])],
)
def test_what_passed_while_the_process_was_down(
    misfire: Any, hours: list[int], missed: list[int]
) -> None:
    """F2: three hours down; with `all` in order, one after the other."""
    clock = FakeClock(at("2026-03-10 09:10"))
    store = MemoryStore(clock=clock)
    ran: list[int] = []

    def start() -> Afterwork:
        work = new_work(store=store, clock=clock)

        @work.cron(HOUR, misfire=misfire)
        async def job() -> None:
            hour = hour_of_slot()
            await trio.sleep(0.001)
            ran.append(hour)

        return work

    async def main() -> None:
        async with running(start()):
            pass
        clock.advance(3 * 3600 + 40 * 60)
        async with running(start()):
            await until(lambda: len(ran) == len(hours))
            await drain()

    on_trio(main)
    assert ran == hours
    recorded = [run.slot or 0 for run in store.runs(state="missed")]
    assert sorted(datetime.fromtimestamp(slot, UTC).hour for slot in recorded) == missed


def test_a_machine_that_slept_is_one_that_was_down() -> None:
    """F5: the newest slot runs, the others are missed."""
    work = new_work(at("2026-03-10 08:30"))
    ran: list[int] = []

    @work.cron(HOUR)
    async def job() -> None:
        ran.append(hour_of_slot())

    async def main() -> None:
        async with running(work) as clock:
            clock.advance(8 * 3600)
            await until(lambda: ran)
            await clock.elapse(3600)

    on_trio(main)
    assert ran == [16, 17]
    assert len(work.store.runs(state="missed")) == 7


def test_what_a_job_raises_does_not_end_the_scheduler(caplog: Any) -> None:
    """F6: nor does it end the app, whose loop would go down with a task of its own."""
    work = new_work(at("2026-03-10 11:59"))
    ran: list[int] = []

    class Odd(BaseException):
        pass

    @work.cron("* * * * *")
    async def job() -> None:
        ran.append(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.lowlevel.checkpoint)
            raise [RuntimeError, Odd][len(ran) % 2]("odd")

    async def main() -> None:
        async with running(work) as clock:
            await clock.elapse(4 * 60)

    on_trio(main)
    assert len(ran) == 4
    assert {run.state for run in work.store.runs(job="job")} == {"failed"}
    assert "scheduler.failed" not in events(caplog)


def test_sync_jobs_run_in_threads_and_delay_nobody() -> None:
    """F7"""
    work = new_work(at("2026-03-10 23:59"))
    go = threading.Event()
    ran: list[str] = []
    threads: list[str] = []

    @work.cron("0 0 * * *")
    def blocking() -> None:
        threads.append(threading.current_thread().name)
        go.wait(PATIENCE)
        ran.append("blocking")

    @work.cron("0 0 * * *")
    async def quick() -> None:
        ran.append("quick")

    async def main() -> None:
        async with running(work) as clock:
            clock.advance(60)
            await until(lambda: threads and ran == ["quick"])
            go.set()
            await until(lambda: len(ran) == 2)
            await drain()

    on_trio(main)
    assert threads == ["afterwork"]
    assert {run.state for run in work.store.runs()} == {"succeeded"}


def test_shutdown_ends_what_runs_and_starts_nothing() -> None:
    """L4: running ones get the grace, the rest is recorded as cancelled, leases are given back."""
    work = new_work(at("2026-03-10 11:59"), grace=0.05)

    async def main() -> None:
        began = trio.Event()

        @work.cron("* * * * *")
        async def job() -> None:
            began.set()
            if current_run().trigger == "schedule":
                await trio.sleep_forever()

        async with running(work) as clock:
            clock.advance(60)
            await began.wait()
        clock.advance(600)
        await drain()
        (run,) = work.store.runs(job="job")
        assert (run.state, run.reason) == ("cancelled", "shutdown")
        assert (await work.run("job")).outcome == "succeeded"  # the lease is free

    on_trio(main)


def test_a_run_within_the_grace_is_waited_for() -> None:
    """L4"""
    work = new_work(at("2026-03-10 11:59"), grace=5)
    ran: list[int] = []

    async def main() -> None:
        began = trio.Event()

        @work.cron("* * * * *")
        async def job() -> None:
            began.set()
            await trio.sleep(0.05)
            ran.append(1)

        async with running(work) as clock:
            clock.advance(60)
            await began.wait()

    on_trio(main)
    assert ran == [1]
    assert [run.state for run in work.store.runs(job="job")] == ["succeeded"]


def test_a_store_that_blocks_is_asked_in_threads(tmp_path: Path) -> None:
    """O1: as with every real store; two schedulers share the slots."""
    clock = FakeClock()
    ran: list[datetime | None] = []
    clock.jump(int(time.time()) - clock.now())  # its store has a clock of its own

    def start() -> Afterwork:
        work = Afterwork(clock=clock, store=SQLiteStore(tmp_path / "store.db"))

        @work.every("1m", name="job")
        async def job() -> None:
            ran.append(current_run().scheduled_for)

        return work

    async def main() -> None:
        works = [start(), start()]
        async with running(works[0]), running(works[1]):
            for _ in range(3):
                before = len(ran)
                clock.advance(60)
                await until(partial(_more, ran, before))
                await drain()
        for work in works:
            work.store.close()

    on_trio(main)
    assert len(ran) == len(set(ran)) == 3


def _more(ran: list[datetime | None], count: int) -> bool:
    return len(ran) > count

"""What do many jobs cost the loop: when a thousand are due at once, and when ten thousand wait?

Beside APScheduler 3, an AsyncIOScheduler with its jobs in memory, which has to be installed:
pip install "apscheduler<4"
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from afterwork import Afterwork, MemoryStore, SQLiteStore
from afterwork.testing import FakeClock
from benchmarks.rounds import Measured, table

ROUNDS = 7
DUE = 1000
EVERY_SECONDS = 5
"""How often those that are due together are due: longer than registering them takes."""
GOAL_SECONDS = 1.0
GOAL_LAG_SECONDS = 0.050
PROBE_SECONDS = 0.001
PATIENCE_SECONDS = 60.0

WAITING = 10_000
DUE_OF_WAITING = 10
TURNS = 20
"""Turns of one round."""
SOON_SECONDS = 60
FAR_SECONDS = 20 * 365 * 86_400
"""The interval of jobs that are not due while anybody looks."""


@asynccontextmanager
async def serving(work: Afterwork) -> AsyncIterator[None]:
    """The app's lifespan, as a server runs it, with its scheduler."""
    told: asyncio.Queue[Any] = asyncio.Queue()
    answers: asyncio.Queue[Any] = asyncio.Queue()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})

    wrapped: Any = work.wrap(app)
    life = asyncio.create_task(wrapped({"type": "lifespan"}, told.get, answers.put))
    await told.put({"type": "lifespan.startup"})
    await answers.get()
    yield
    await told.put({"type": "lifespan.shutdown"})
    await life


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0)


# -- a thousand at once


class Burst:
    """Jobs that are due at one moment: when they started, and how late the loop was meanwhile."""

    def __init__(self) -> None:
        self.moment = (time.time() // EVERY_SECONDS + 1) * EVERY_SECONDS
        if self.moment - time.time() < EVERY_SECONDS / 2:  # room for registering
            self.moment += EVERY_SECONDS
        self.started: list[float] = []
        self.late: list[float] = []

    async def job(self) -> None:
        if time.time() >= self.moment:
            self.started.append(time.time() - self.moment)

    async def watch(self) -> None:
        """Until all have started. Measures how late timers of a millisecond ring."""
        await asyncio.sleep(self.moment - time.time() - 0.1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.started) < DUE:
                began = time.perf_counter()
                await asyncio.sleep(PROBE_SECONDS)
                self.late.append(time.perf_counter() - began - PROBE_SECONDS)


async def burst_of_afterwork(store: Any) -> Burst:
    work = Afterwork(store=store, limit=None)
    burst = Burst()
    for number in range(DUE):
        work.every(EVERY_SECONDS, name=f"job-{number}")(burst.job)
    async with serving(work):
        await burst.watch()
    store.close()
    return burst


async def burst_in_memory() -> Burst:
    return await burst_of_afterwork(MemoryStore())


async def burst_in_sqlite() -> Burst:
    with TemporaryDirectory() as folder:
        return await burst_of_afterwork(SQLiteStore(Path(folder) / "store.db"))


async def burst_of_apscheduler() -> Burst:
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"misfire_grace_time": None})
    burst = Burst()
    first = datetime.fromtimestamp(burst.moment, UTC)
    for _ in range(DUE):
        scheduler.add_job(burst.job, "interval", seconds=EVERY_SECONDS, start_date=first)
    scheduler.start()
    await burst.watch()
    scheduler.shutdown()
    return burst


BURSTS: dict[str, Callable[[], Awaitable[Burst]]] = {
    "afterwork, MemoryStore": burst_in_memory,
    "afterwork, SQLiteStore": burst_in_sqlite,
    "APScheduler, in memory": burst_of_apscheduler,
}


async def many_at_once(rounds: int) -> None:
    seen: dict[str, list[Burst]] = {name: [] for name in BURSTS}
    for _ in range(rounds):
        for name, burst in BURSTS.items():
            seen[name].append(await burst())
    rows: list[list[str]] = []
    for name, bursts in seen.items():
        last = [max(burst.started) for burst in bursts]
        worst = [max(burst.late) * 1e3 for burst in bursts]
        p99 = [statistics.quantiles(burst.late, n=100)[98] * 1e3 for burst in bursts]
        rows.append(
            [
                name,
                f"{statistics.median(last):.2f}",
                f"{min(last):.2f} to {max(last):.2f}",
                f"{statistics.median(worst):.0f}",
                f"{min(worst):.0f} to {max(worst):.0f}",
                f"{statistics.median(p99):.1f}",
            ]
        )
    heads = ["", "all started, s", "rounds", "lag max, ms", "rounds", "lag p99, ms"]
    table(f"{DUE} jobs due in the same second", heads, rows)
    print(
        f"\nGoal: all started within {GOAL_SECONDS:g} s, lag below {GOAL_LAG_SECONDS * 1e3:.0f} ms"
    )


# -- ten thousand that wait


class Turns:
    """CPU time of a turn in which nothing is due, and of one in which some are."""

    def __init__(self) -> None:
        self.idle = Measured()
        self.busy = Measured()

    async def measure(
        self, measured: Measured, turn: Callable[[], Awaitable[None]], prepare: Callable[[], object]
    ) -> None:
        seconds = 0.0
        for _ in range(TURNS):
            prepare()
            began = time.process_time()
            await turn()
            seconds += time.process_time() - began
        measured.times.append(seconds / TURNS)


async def turns_of_afterwork(turns: Turns) -> None:
    clock = FakeClock()
    work = Afterwork(store=MemoryStore(clock=clock), clock=clock, limit=None)
    ran: list[int] = []

    async def job() -> None:
        ran.append(1)

    for number in range(WAITING):
        seconds = SOON_SECONDS if number < DUE_OF_WAITING else FAR_SECONDS
        work.every(seconds, name=f"job-{number}")(job)

    async def idle() -> None:
        slept = clock._slept
        clock._sleepers[0][2].set()  # as a real clock does after 30 s
        await until(lambda: clock._slept > slept)

    async def busy() -> None:
        before, slept = len(ran), clock._slept
        clock.advance(SOON_SECONDS)
        await until(lambda: len(ran) == before + DUE_OF_WAITING and clock._slept > slept)

    async with serving(work):
        await until(lambda: bool(clock._sleepers))
        await turns.measure(turns.idle, idle, lambda: None)
        await turns.measure(turns.busy, busy, lambda: None)


async def turns_of_apscheduler(turns: Turns) -> None:
    # It takes a run for over some turns after its end, and would refuse the next one.
    defaults = {"misfire_grace_time": None, "max_instances": 2}
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)
    ran: list[int] = []

    async def job() -> None:
        ran.append(1)

    due: list[Any] = []
    for number in range(WAITING):
        added = scheduler.add_job(job, "interval", seconds=FAR_SECONDS)
        if number < DUE_OF_WAITING:
            due.append(added)
    scheduler.start()

    async def idle() -> None:
        scheduler._process_jobs()

    async def busy() -> None:
        before = len(ran)
        scheduler._process_jobs()
        await until(lambda: len(ran) == before + DUE_OF_WAITING)

    def make_due() -> None:
        for each in due:
            each._modify(next_run_time=datetime.now(UTC))
            scheduler._jobstores["default"].update_job(each)

    await turns.measure(turns.idle, idle, lambda: None)
    await turns.measure(turns.busy, busy, make_due)
    scheduler.shutdown()


TURNERS: dict[str, Callable[[Turns], Awaitable[None]]] = {
    "afterwork, MemoryStore": turns_of_afterwork,
    "APScheduler, in memory": turns_of_apscheduler,
}


async def many_that_wait(rounds: int) -> None:
    turns = {name: Turns() for name in TURNERS}
    for number in range(rounds + 1):
        for name, measure in TURNERS.items():
            if not number:
                await measure(Turns())  # the first round warms up
                continue
            await measure(turns[name])
    peer = turns["APScheduler, in memory"]
    rows = [
        [
            name,
            f"{each.idle.median * 1e6:.0f}",
            f"±{each.idle.spread:.0%}",
            f"{each.idle.median / peer.idle.median:.2f}",
            f"{each.busy.median * 1e6:.0f}",
            f"±{each.busy.spread:.0%}",
            f"{each.busy.median / peer.busy.median:.2f}",
        ]
        for name, each in turns.items()
    ]
    busy = f"{DUE_OF_WAITING} due, µs"
    heads = ["", "none due, µs", "spread", "÷ peer", busy, "spread", "÷ peer"]
    table(f"CPU time of one turn with {WAITING} registered jobs", heads, rows)


def main() -> None:
    logging.getLogger("afterwork").setLevel(logging.ERROR)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    print(f"Python {sys.version.split()[0]}; {rounds} interleaved rounds, medians")
    asyncio.run(many_at_once(rounds))
    asyncio.run(many_that_wait(rounds))


if __name__ == "__main__":
    main()

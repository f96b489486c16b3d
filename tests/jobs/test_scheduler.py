"""The in-process scheduler: groups F and L of the cases."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import AfterMiddleware, Afterwork, HostInfo, MemoryStore, current_run
from afterwork.testing import FakeClock, drain
from tests.jobs.support import NOON, Broken, at, caller, new_work, until
from tests.support import answering, events, fields, lifespan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOUR = "0 * * * *"


def clock_of(work: Afterwork) -> FakeClock:
    clock = work.pipeline.clock
    assert isinstance(clock, FakeClock)
    return clock


@asynccontextmanager
async def running(work: Afterwork) -> AsyncIterator[FakeClock]:
    """An app whose scheduler has caught up and sleeps."""
    clock = clock_of(work)
    async with lifespan(work.wrap(answering(lambda: None))):
        slept = clock._slept
        await until(lambda: clock._sleepers or clock._slept > slept)
        await drain()
        yield clock


async def test_a_day_of_minutely_runs_in_no_time() -> None:
    """Each at its own time, once; the clock is the only thing that moves."""
    work = new_work(at("2026-03-10 00:00"))
    ran: list[datetime] = []

    @work.cron("* * * * *")
    async def minutely() -> None:
        slot = current_run().scheduled_for
        assert slot is not None
        ran.append(slot)

    began = time.monotonic()
    async with running(work) as clock:
        await clock.elapse(86_400)
    took = time.monotonic() - began

    assert ran == [at("2026-03-10 00:00") + timedelta(minutes=n) for n in range(1, 1441)]
    assert took < 30  # well under a second on an idle machine
    assert {run.trigger for run in work.store.runs()} == {"schedule"}


async def test_a_run_that_is_a_little_late_still_runs() -> None:
    """F1: forty seconds are within every grace."""
    work = new_work(at("2026-03-10 11:59"))
    ran: list[int] = []
    work.cron(HOUR, name="job", misfire="skip")(lambda: ran.append(1))
    async with running(work) as clock:
        clock.advance(100)
        await until(lambda: ran)


@pytest.mark.parametrize(
    ("misfire", "hours", "missed"),
    [("skip", [], [10, 11, 12]), ("once", [12], [10, 11]), ("all", [10, 11, 12], [])],
)
async def test_what_passed_while_the_process_was_down(
    misfire: Any, hours: list[int], missed: list[int], caplog: Any
) -> None:
    """F2: an hourly job, three hours down. The store's ledger knows what nobody ran."""
    clock = FakeClock(at("2026-03-10 09:10"))
    store = MemoryStore(clock=clock)
    ran: list[int] = []

    def start() -> Afterwork:
        work = new_work(store=store, clock=clock)

        @work.cron(HOUR, misfire=misfire)
        async def job() -> None:
            slot = current_run().scheduled_for
            assert slot is not None
            ran.append(slot.hour)

        return work

    async with running(start()):
        pass
    clock.advance(3 * 3600 + 40 * 60)
    async with running(start()):
        await until(lambda: len(ran) == len(hours))
        await drain()

    assert ran == hours  # in order
    recorded = [run for run in store.runs(state="missed") if run.slot is not None]
    assert sorted(datetime.fromtimestamp(run.slot or 0, UTC).hour for run in recorded) == missed
    assert events(caplog).count("run.missed") == len(missed)


async def test_catching_up_with_all_is_capped(caplog: Any) -> None:
    """F3: the newest hundred run, and how many did not is said."""
    work = new_work(at("2026-03-10 00:00"))
    ran: list[int] = []
    work.cron("* * * * *", name="job", misfire="all")(lambda: ran.append(1))
    async with running(work) as clock:
        clock.advance(150 * 60)
        await until(lambda: len(ran) == 100)
        await drain()

    assert len(ran) == 100
    assert fields(caplog, "schedule.dropped")["slots"] == 50


@pytest.mark.parametrize("takes_over", ["at its start", "while it runs"])
async def test_what_was_left_to_make_up_for_is_not_forgotten(takes_over: str) -> None:
    """F2, F3: newer slots are claimed while `all` works through the old ones. If the process ends
    then, another goes on with the rest; two at once leave each other alone."""
    clock = FakeClock(at("2026-03-10 09:10"))
    store = MemoryStore(clock=clock)
    go = asyncio.Event()
    ran: list[int] = []

    def start(blocks: bool) -> Afterwork:
        work = new_work(store=store, clock=clock, grace=0, lease=1800)

        @work.cron(HOUR, misfire="all")
        async def job() -> None:
            slot = current_run().scheduled_for
            assert slot is not None
            ran.append(slot.hour)
            if blocks:
                await go.wait()

        return work

    async with lifespan(start(False).wrap(answering(lambda: None))):
        await until(lambda: clock._sleepers)
    clock.advance(3 * 3600 + 40 * 60)
    second = start(False)
    wrapped = lifespan(second.wrap(answering(lambda: None)))
    async with lifespan(start(True).wrap(answering(lambda: None))):
        await until(lambda: ran == [10])
        if takes_over == "while it runs":
            await wrapped.__aenter__()
            await until(lambda: len(clock._sleepers) == 2)
            assert ran == [10]
        clock.advance(15 * 60)  # 13:00 is due, and gets in line
        await until(lambda: store.notes("catch-up:")["catch-up:job"].count(",") == 2)
    go.set()
    clock.advance(1801)
    if takes_over == "while it runs":
        await clock.elapse(30 * 60)  # it looks after that when it next wakes up
        await until(lambda: ran == [10, 14, 11, 12, 13])
        await wrapped.__aexit__(None, None, None)
    else:
        async with wrapped:
            await until(lambda: ran == [10, 11, 12, 13])
    await drain()
    assert store.notes("catch-up") == {}
    states = {run.slot: run.state for run in store.runs(job="job")}
    assert sorted(states.values()) == ["cancelled", *["succeeded"] * (len(ran) - 1)]


async def test_the_first_deploy_catches_nothing_up() -> None:
    """F4: slots from before a job's registration were never due."""
    work = new_work()
    ran: list[int] = []
    work.cron(HOUR, name="job", misfire="all")(lambda: ran.append(1))
    async with running(work):
        assert ran == []
    assert work.store.runs() == []


async def test_a_machine_that_slept_is_one_that_was_down() -> None:
    """F5: eight hours of sleep, without a restart; the newest slot runs, the others are missed."""
    work = new_work(at("2026-03-10 08:30"))
    ran: list[int] = []

    @work.cron(HOUR)
    async def job() -> None:
        slot = current_run().scheduled_for
        assert slot is not None
        ran.append(slot.hour)

    async with running(work) as clock:
        clock.advance(8 * 3600)
        await until(lambda: ran)
        await clock.elapse(3600)

    assert ran == [16, 17]
    assert len(work.store.runs(state="missed")) == 7


async def test_the_wall_clock_may_be_set() -> None:
    """F5: forward it is a gap; back, no slot runs twice."""
    work = new_work(at("2026-03-10 11:30"))
    ran: list[int] = []

    @work.cron(HOUR)
    async def job() -> None:
        slot = current_run().scheduled_for
        assert slot is not None
        ran.append(slot.hour)

    async with running(work) as clock:
        clock.jump(3600)
        await until(lambda: ran == [12])
        clock.jump(-2 * 3600)
        await clock.elapse(3 * 3600 + 1)

    assert ran == [12, 13]


async def test_what_a_job_raises_does_not_end_the_scheduler() -> None:
    """F6"""
    work = new_work(at("2026-03-10 11:59"))
    ran: list[int] = []

    class Odd(BaseException):
        pass

    @work.cron("* * * * *")
    async def job() -> None:
        ran.append(1)
        raise [RuntimeError, Odd, asyncio.CancelledError][len(ran) % 3]("odd")

    async with running(work) as clock:
        await clock.elapse(4 * 60)
    assert len(ran) == 4
    assert {run.state for run in work.store.runs(job="job")} == {"failed"}


async def test_many_at_once_start_at_once() -> None:
    """F7: fifty jobs of one minute; those that block run in threads and delay nobody."""
    work = new_work(at("2026-03-10 23:59"))
    go = threading.Event()
    blocked: list[int] = []
    ran: list[int] = []

    def block(number: int) -> None:
        blocked.append(number)
        go.wait(10)

    for number in range(10):
        work.cron("0 0 * * *", name=f"block-{number}")(partial(block, number))
    for number in range(40):
        work.cron("0 0 * * *", name=f"job-{number}")(lambda number=number: ran.append(number))
    async with running(work) as clock:
        began = time.monotonic()
        clock.advance(60)
        await until(lambda: len(ran) == 40 and len(blocked) == 10)
        assert time.monotonic() - began < 10
        go.set()
        await drain()


async def test_a_late_turn_is_told(caplog: Any) -> None:
    """F7: the lag of the scheduler is measured and reported."""
    work = new_work(at("2026-03-10 11:59"))
    work.cron(HOUR, name="job")(lambda: None)
    async with running(work) as clock:
        clock.advance(75)
        await until(lambda: work.store.runs(state="succeeded"))
        await drain()
    assert fields(caplog, "scheduler.lagging")["lag_seconds"] == 15.0
    ended = [r.afterwork for r in caplog.records if getattr(r, "event", "") == "run.succeeded"]
    assert {each["job"]: each["lag_seconds"] for each in ended}["job"] == 15.0


async def test_runs_are_not_collected_as_garbage() -> None:
    """F8"""
    work = new_work(at("2026-03-10 11:59"))
    ran: list[int] = []

    @work.cron("* * * * *")
    async def job() -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, future.set_result, None)
        gc.collect()
        await future
        ran.append(1)

    async with running(work) as clock:
        gc.collect()
        await clock.elapse(120)
    assert ran == [1, 1]


async def test_a_paused_job_leaves_records_and_no_runs(caplog: Any) -> None:
    """F9: not run on resume, unless that is asked for."""
    work = new_work(at("2026-03-10 11:30"))
    ran: list[int] = []

    @work.cron(HOUR)
    async def job() -> None:
        slot = current_run().scheduled_for
        assert slot is not None
        ran.append(slot.hour)

    async with running(work) as clock:
        await work.pause("job", note="the database moves")
        await clock.elapse(3 * 3600)
        assert ran == []
        paused = work.store.runs(state="skipped")
        assert [run.reason for run in paused] == ["paused"] * 3
        assert events(caplog).count("run.skipped") == 3
        assert (await caller(work)("/job"))[1]["status"] == "duplicate"

        assert await work.resume(job)
        assert not await work.resume(job)
        await clock.elapse(3600)
        assert ran == [15]

        await work.pause(job, seconds=1800)
        await clock.elapse(3600)
        assert ran == [15, 16]

        await work.pause(job)
        await clock.elapse(2 * 3600)
        resumed = await work.resume(job, resume_from=at("2026-03-10 16:59"))
        assert resumed
        await until(lambda: len(ran) == 4)
        await drain()
        assert sorted(ran[2:]) == [17, 18]
        await work.resume(job, resume_from=at("2026-03-10 16:59"))
        await drain()
        assert len(ran) == 4


async def test_a_paused_job_is_answered_with_paused() -> None:
    """F9"""
    work = new_work()
    work.cron(HOUR, name="job")(pytest.fail)
    call = caller(work)
    await work.pause("job")

    assert (await call("/job"))[1]["status"] == "paused"
    assert (await call("/jobs", "GET"))[1]["jobs"][0]["paused"] is True


async def test_nobody_sleeps_for_long() -> None:
    """F10: a slot far away overflows no timer, and a clock that was set is noticed soon."""
    from afterwork._clock import MAX_SLEEP_SECONDS, SYSTEM_CLOCK

    asked: list[float | None] = []

    class Signal:
        def set(self) -> None: ...

        def set_here(self) -> None: ...

        async def reached(self) -> None: ...

        async def wait(self, seconds: float | None) -> bool:
            asked.append(seconds)
            return False

    await SYSTEM_CLOCK.sleep_until(time.time() + 10**9, Signal())
    await SYSTEM_CLOCK.sleep_until(time.time() - 1, Signal())

    assert asked == [MAX_SLEEP_SECONDS]


async def test_several_workers_share_the_slots() -> None:
    """L1: as threads of one store here; as processes in tests/triggers."""
    clock = FakeClock(at("2026-03-10 11:59"))
    store = MemoryStore(clock=clock)
    ran: list[int] = []
    works = [new_work(store=store, clock=clock) for _ in range(3)]
    for work in works:
        work.cron("* * * * *", name="job")(lambda: ran.append(1))
    async with running(works[0]), running(works[1]), running(works[2]):
        for count in range(7):
            clock.advance(60)
            await until(partial(_has, ran, count + 1))
            await drain()
    assert len(ran) == 7


async def test_registering_starts_no_threads() -> None:
    """L2: a module that is imported twice, as reloaders do, costs nothing."""
    before = threading.active_count()
    work = Afterwork()
    work.cron(HOUR)(nightly)
    work.wrap(answering(lambda: None))

    assert threading.active_count() == before


async def test_a_store_for_each_worker_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """L3: the warning names the fix."""
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    work = new_work()
    work.cron(HOUR)(nightly)
    async with running(work):
        assert "sqlite:///" in fields(caplog, "store.not_shared")["note"]


async def test_shutdown_ends_what_runs_and_starts_nothing() -> None:
    """L4: running ones get the grace, the rest is recorded as cancelled, leases are given back."""
    work = new_work(at("2026-03-10 11:59"), grace=0.05)
    began = asyncio.Event()

    @work.cron("* * * * *")
    async def job() -> None:
        began.set()
        await asyncio.Event().wait()

    async with running(work) as clock:
        clock.advance(60)
        await began.wait()
    clock.advance(600)
    await drain()

    (run,) = work.store.runs(job="job")
    assert (run.state, run.reason) == ("cancelled", "shutdown")
    began.clear()
    again = asyncio.create_task(work.run("job"))  # the lease is free
    await began.wait()
    again.cancel()


async def test_health_knows_when_the_scheduler_hangs() -> None:
    """L5: `stalled` once it has not turned for three periods."""
    work = new_work(at("2026-03-10 11:59"))
    work.cron(HOUR)(nightly)
    call = caller(work)
    async with running(work) as clock:
        clock.advance(61)
        await until(lambda: work.store.notes("scheduler:"))
        await drain()
        assert (await call("/health", "GET"))[0] == 200
        kept = work.store.notes("scheduler:")
    await until(lambda: not work.store.notes("scheduler:"))  # it signs off

    for key, value in kept.items():
        work.store.put(key, value)
    clock.advance(91)
    status, answer = await call("/health", "GET")
    assert (status, answer["status"]) == (503, "stalled")


@pytest.mark.parametrize(("scheduler", "level"), [("auto", "WARNING"), (True, "ERROR")])
async def test_a_host_that_freezes_gets_none(scheduler: Any, level: str, caplog: Any) -> None:
    """L7: and is pointed to the trigger route."""

    class Frozen:
        info = HostInfo("frozen", "inline")

        def wait_until(self, scope: Any, work: Any) -> None: ...

        def deadline(self, scope: Any) -> float | None:
            return None

    work = new_work(host=Frozen(), scheduler=scheduler)
    work.cron(HOUR)(nightly)
    async with lifespan(work.wrap(answering(lambda: None))):
        assert work.pipeline.scheduler is not None
        assert not work.pipeline.scheduler.running
    (record,) = [r for r in caplog.records if getattr(r, "event", "") == "scheduler.refused"]
    assert record.levelname == level
    assert "trigger route" in record.afterwork["reason"]


async def test_there_is_none_where_it_is_switched_off() -> None:
    work = new_work(scheduler=False)
    work.cron(HOUR)(nightly)
    async with lifespan(work.wrap(answering(lambda: None))):
        assert work.pipeline.scheduler is not None
        assert not work.pipeline.scheduler.running


async def test_there_is_one_however_often_the_app_is_mounted(caplog: Any) -> None:
    work = new_work(at("2026-03-10 11:59"))
    ran: list[int] = []
    work.cron("* * * * *", name="job")(lambda: ran.append(1))
    async with running(work) as clock:
        async with lifespan(AfterMiddleware(answering(lambda: None), work)):
            await clock.elapse(60)
        await clock.elapse(60)
    assert len(ran) == 2
    assert events(caplog).count("scheduler.started") == 1


async def test_it_waits_for_its_delay_and_for_the_app() -> None:
    work = new_work(at("2026-03-10 11:59"), start_delay=90, ready=lambda: answers.pop())
    answers: list[Any] = [True, False, None]
    ran: list[int] = []
    work.cron("* * * * *", name="job", misfire="skip")(lambda: ran.append(1))

    async with lifespan(work.wrap(answering(lambda: None))):
        clock = clock_of(work)
        await until(lambda: clock._sleepers)
        await clock.elapse(89)
        assert len(answers) == 3
        await clock.elapse(1)
        await until(lambda: len(answers) == 2)
        assert ran == []
        await clock.elapse(2)
        assert answers == []
        await until(lambda: ran == [1])  # the slot of 12:00 is 32 seconds late
        await clock.elapse(30)
        assert ran == [1, 1]


async def test_a_ready_that_raises_is_not_ready(caplog: Any) -> None:
    async def ready() -> bool:
        if len(asked) < 2:
            asked.append(1)
            raise RuntimeError("no database yet")
        return True

    asked: list[int] = []
    work = new_work(ready=ready)
    work.cron(HOUR)(nightly)
    async with lifespan(work.wrap(answering(lambda: None))):
        clock = clock_of(work)
        await until(lambda: clock._sleepers)
        await clock.elapse(2)
        await until(lambda: "scheduler.started" in events(caplog))
    assert "scheduler.not_ready" in events(caplog)


async def test_it_waits_for_its_store(caplog: Any) -> None:
    """O11: nothing runs before the ledger was read."""
    clock = FakeClock(at("2026-03-10 11:59"))
    store = Broken(clock=clock)
    work = new_work(store=store, clock=clock)
    ran: list[int] = []
    work.cron("* * * * *", name="job")(lambda: ran.append(1))
    async with lifespan(work.wrap(answering(lambda: None))):
        await until(lambda: clock._sleepers)
        await clock.elapse(3)
        assert "store.error" in events(caplog)
        store.down = False
        work.dispatch._stores.failed = None
        await clock.elapse(120)
        await until(lambda: ran)


async def test_jobs_that_come_later_are_seen() -> None:
    work = new_work(at("2026-03-10 11:58"))
    ran: list[str] = []
    work.cron("* * * * *", name="first")(lambda: ran.append("first"))
    async with running(work) as clock:
        work.cron("* * * * *", name="second")(lambda: ran.append("second"))
        await clock.elapse(120)
    assert sorted(ran) == ["first", "first", "second"]


async def test_jitter_is_the_same_everywhere() -> None:
    from afterwork import _slots

    work = new_work(at("2026-03-10 11:59"))
    started: list[float] = []

    @work.cron(HOUR, jitter="10m")
    async def job() -> None:
        started.append(work.pipeline.clock.now())

    async with running(work) as clock:
        await clock.elapse(3600 * 5)

    slots = [int(at(f"2026-03-10 {hour}:00").timestamp()) for hour in range(12, 17)]
    expected = [_slots.jittered("job", slot, 600) for slot in slots]
    assert started == pytest.approx([each for each in expected if each <= clock.now()])
    assert len({at - slot for at, slot in zip(expected, slots, strict=True)}) == 5


async def test_a_slot_whose_jitter_is_not_over_survives_a_restart() -> None:
    """Its time has passed, but not its start: whoever begins between the two has it ahead."""
    clock = FakeClock(at("2026-03-10 11:30"))
    store = MemoryStore(clock=clock)
    ran: list[int] = []

    def start() -> Afterwork:
        work = new_work(store=store, clock=clock)
        work.cron("0 12 * * *", name="job", jitter="30m")(lambda: ran.append(1))
        return work

    async with running(start()):
        pass
    clock.advance(30 * 60 + 1)
    async with running(start()) as clock:
        assert ran == []
        await clock.elapse(30 * 60)
    assert ran == [1]


async def test_a_clock_does_not_wait_for_a_scheduler_that_stopped() -> None:
    clock = FakeClock(at("2026-03-10 11:59"))
    async with running(new_hourly(clock)):
        pass
    assert clock._sleepers == []
    began = time.monotonic()
    await clock.elapse(86_400)
    assert time.monotonic() - began < 1


def new_hourly(clock: FakeClock) -> Afterwork:
    work = new_work(clock=clock)
    work.cron(HOUR)(nightly)
    return work


async def test_the_store_is_pruned_each_hour() -> None:
    """Through the same pipeline: with a claim, so that one worker does it, and a record."""
    work = new_work(at("2026-03-10 11:59"), keep=5, keep_for="1d")
    work.cron("* * * * *", name="job")(lambda: None)
    async with running(work) as clock:
        await clock.elapse(3 * 3600)

    assert len(work.store.runs(job="afterwork.housekeeping")) == 3
    kept = work.store.runs(job="job", limit=1000)
    assert len(kept) >= 5  # whose claims still count are kept, whatever `keep` says
    clock.advance(5 * 86_400)
    async with running(work) as clock:
        await clock.elapse(3600)
    newer = work.store.runs(job="job", limit=1000)
    assert kept[0].id not in [run.id for run in newer]


async def test_a_run_whose_process_died_is_reported() -> None:
    """O5, L4: as any other end, also to reporters."""
    clock = FakeClock(NOON)
    store = MemoryStore(clock=clock)
    seen: list[Any] = []
    work = new_work(store=store, clock=clock, reporters=[seen.append])
    work.cron(HOUR)(nightly)
    await caller(work)("/nightly?slot=manual")
    seen.clear()
    from dataclasses import replace

    dead = replace(store.runs()[0], id="0" * 36, state="claimed", slot=5)
    store.claim(dead, ("slot:5",), keep=60, ttl=10)
    store.acquire(dead.id, "nightly", ttl=10)
    clock.advance(11)

    assert (await caller(work)("/nightly?slot=manual"))[1]["status"] == "ok"

    assert next((run.id, str(run.outcome)) for run in seen) == (dead.id, "abandoned")


def _has(ran: list[int], count: int) -> bool:
    return len(ran) == count


async def nightly() -> None:
    """Tidies up."""

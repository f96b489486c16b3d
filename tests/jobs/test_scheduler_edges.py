"""The scheduler and its household where something goes wrong."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from typing import Any

import pytest

from afterwork import Afterwork, MemoryStore, Run, _housekeeping, _scheduler
from afterwork._job_ticket import JobTicket
from afterwork._occurrence import Occurrence
from afterwork._sigterm import SigtermGuard
from afterwork.errors import InvalidJobError, InvalidOptionError, NaiveDatetimeError, RetryLater
from afterwork.testing import FakeClock, drain
from tests.jobs.support import NOON, Broken, at, caller, new_work, until
from tests.jobs.test_scheduler import HOUR, clock_of, nightly, running
from tests.support import answering, events, fields, lifespan


@pytest.fixture(autouse=True)
def _short_pauses_of_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scheduler, "FAILED_SECONDS", 0.001)


async def test_a_failure_in_a_turn_is_said_and_the_next_turn_comes(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    work = new_work(at("2026-03-10 11:59"))
    ran: list[int] = []
    work.cron("* * * * *", name="job")(lambda: ran.append(1))
    work.job(name="without-a-schedule")(lambda: None)
    async with running(work) as clock:
        real = _housekeeping.Housekeeping.turn

        async def fail(*args: Any) -> None:
            monkeypatch.setattr(_housekeeping.Housekeeping, "turn", real)
            raise ArithmeticError

        monkeypatch.setattr(_housekeeping.Housekeeping, "turn", fail)
        await clock.elapse(60)
        await until(lambda: "scheduler.failed" in events(caplog))
        await until(lambda: clock._sleepers)
        await clock.elapse(60)
    assert ran == [1, 1]


async def test_a_store_that_is_away_costs_no_more_than_it_has_to(caplog: Any) -> None:
    """O11: missed slots cannot be taken down, heartbeats neither; what is due waits for it."""
    clock = FakeClock(at("2026-03-10 11:59"))
    store = Broken(clock=clock)
    store.down = False
    work = new_work(store=store, clock=clock)
    ran: list[int] = []
    work.cron("* * * * *", name="job")(lambda: ran.append(1))
    async with running(work):
        store.down = True
        clock.advance(300)
        await until(lambda: "store.error" in events(caplog))
        await until(lambda: not work.pipeline.queues)
        assert ran == []
        store.down = False
        work.dispatch._stores.failed = None
        await until(lambda: clock._sleepers)
        await clock.elapse(60)
        await until(lambda: ran)


async def test_a_heartbeat_that_cannot_be_taken_down_is_said(caplog: Any) -> None:
    class NoNotes(MemoryStore):
        def put(self, *args: Any, **options: Any) -> None:
            raise _store_error()

        def delete(self, key: str) -> bool:
            raise _store_error()

    clock = FakeClock(at("2026-03-10 11:59"))
    work = new_work(store=NoNotes(clock=clock), clock=clock)
    work.cron("* * * * *")(nightly)
    async with running(work):
        await clock.elapse(60)
        assert fields(caplog, "store.error")["doing"] == "take down a heartbeat"
        assert len(work.store.runs(state="succeeded")) >= 1


def _store_error() -> Exception:
    from afterwork.errors import StoreError

    return StoreError("test", "keep a note", "it does not want to")


async def test_a_big_store_is_pruned_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    class Big(MemoryStore):
        def prune(self, **options: Any) -> int:
            calls.append(1)
            return 1000

    calls: list[int] = []
    monkeypatch.setattr(_housekeeping, "MOST_PRUNE_CALLS", 3)
    clock = FakeClock(at("2026-03-10 11:59"))
    work = new_work(store=Big(clock=clock), clock=clock)
    work.cron("* * * * *")(nightly)
    async with running(work):
        await clock.elapse(60)
        await until(lambda: len(calls) == 3)


async def test_a_stop_before_its_first_sleep_is_a_stop() -> None:
    work = new_work(start_delay=10, ready=lambda: False)
    work.cron(HOUR)(nightly)
    scheduler = work.pipeline.scheduler
    assert scheduler is not None
    from afterwork._loop import current_loop

    loop = current_loop()
    assert loop is not None
    scheduler.start(loop)
    scheduler.stop()
    scheduler.stop()  # once too often
    await asyncio.sleep(0)
    await until(lambda: not clock_of(work)._sleepers)
    assert not scheduler.running


async def test_a_stop_while_it_catches_up_is_a_stop() -> None:
    """L4: no slot is begun any more; the next start finds those that are left."""
    clock = FakeClock(at("2026-03-10 09:10"))
    store = MemoryStore(clock=clock)
    ran: list[int] = []
    go = asyncio.Event()

    def start() -> Afterwork:
        work = new_work(store=store, clock=clock)

        @work.cron(HOUR, misfire="all")
        async def job() -> None:
            ran.append(1)
            await go.wait()

        return work

    async with running_no_drain(start()):
        pass
    clock.advance(3 * 3600)
    async with running_no_drain(start()):
        await until(lambda: ran)
        asyncio.get_running_loop().call_later(0.01, go.set)
    await drain()
    assert ran == [1]
    clock.advance(61)  # the lease of who was at it has ended
    async with running_no_drain(start()):
        await until(lambda: len(ran) == 3)
        await drain()


def running_no_drain(work: Afterwork) -> Any:
    return lifespan(work.wrap(answering(lambda: None)))


async def test_a_dead_run_of_a_job_that_is_no_more_is_said(caplog: Any) -> None:
    """O5: a deploy may have taken the job away."""
    clock = FakeClock(NOON)
    store = MemoryStore(clock=clock)
    work = new_work(store=store, clock=clock)
    work.job(nightly)
    await work.run("nightly")
    gone = replace(store.runs()[0], id="0" * 36, job="gone", state="claimed", trigger="new-kind")
    store.claim(gone, (), keep=0, ttl=10)
    known = replace(gone, id="1" * 36, job="nightly")
    store.claim(known, (), keep=0, ttl=10)
    clock.advance(11)

    work.dispatch.reap()

    abandoned = [r.afterwork for r in caplog.records if getattr(r, "event", "") == "run.abandoned"]
    assert {each["job"]: each.get("trigger") for each in abandoned} == {
        "gone": None,
        "nightly": "manual",
    }


async def test_a_ticket_that_was_given_back_lets_nothing_in() -> None:
    """L4: the run was cut while a thread was on its way to ask for it."""
    work = new_work()
    job = work.job(nightly)
    ordered = work.dispatch.order(job, Occurrence("manual"))
    ticket = ordered.ticket
    assert isinstance(ticket, JobTicket)
    from afterwork import Outcome

    ordered.outcome = Outcome.CANCELLED
    ticket.leave(ordered)
    ticket.renew()  # the keeper was on its way, too
    assert ticket.enter(ordered).outcome == "cancelled"
    assert work.store.runs() == []


async def test_a_reporter_that_cannot_be_flushed_stops_no_shutdown(caplog: Any) -> None:
    class Reporter:
        def __init__(self, fails: bool) -> None:
            self.fails = fails
            self.flushed: list[float] = []

        def __call__(self, run: Run) -> None: ...

        def flush(self, seconds: float) -> None:
            self.flushed.append(seconds)
            if self.fails:
                raise RuntimeError

    reporters = [Reporter(True), Reporter(False)]
    work = new_work(reporters=reporters)
    async with lifespan(work.wrap(answering(lambda: None))):
        pass
    assert [len(each.flushed) for each in reporters] == [1, 1]
    assert "reporter.failed" in events(caplog)


async def test_sigterm_stops_the_scheduler_too() -> None:
    """L4: on servers that leave SIGTERM to us."""
    work = new_work()
    work.cron(HOUR)(nightly)
    async with running(work):
        guard = SigtermGuard(work.pipeline)
        guard.shutting_down = True
        await guard._drain_and_die()
        assert work.pipeline.scheduler is not None
        assert not work.pipeline.scheduler.running
    assert signal.getsignal(signal.SIGTERM) is not None


async def test_callbacks_ask_nobody() -> None:
    """The ticket of a callback is given to it when it is over; nobody asks it before."""
    from afterwork._callback_ticket import CallbackTicket
    from afterwork._ticket import GO

    work = new_work()
    ordered = work.dispatch.order(work.job(nightly), Occurrence("manual"))
    assert CallbackTicket(work.dispatch).enter(ordered) is GO


@pytest.mark.parametrize(
    "settings",
    [
        {"clock": object()},
        {"scheduler": "yes"},
        {"ready": 5},
        {"keep": 0},
        {"keep_for": 0},
        {"start_delay": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match=next(iter(settings))):
        Afterwork(**settings)


def test_what_else_is_refused() -> None:
    with pytest.raises(NaiveDatetimeError):
        FakeClock(NOON.replace(tzinfo=None))
    for seconds in (-1, True, "1", float("nan")):
        with pytest.raises(InvalidOptionError):
            RetryLater(seconds)  # type: ignore[arg-type]
    with pytest.raises(InvalidJobError, match="kept for afterwork's own"):
        new_work().job(name="afterwork.mine")


async def test_the_route_says_what_the_scheduler_does() -> None:
    work = new_work(at("2026-03-10 11:59"))
    work.cron("* * * * *")(nightly)
    async with running(work) as clock:
        await clock.elapse(60)
        _, answer = await caller(work)("/jobs", "GET")
    assert answer["jobs"][0]["last_outcome"] == "succeeded"


async def test_a_shift_that_is_over_does_nothing_more() -> None:
    """L4: however far it had come when it was told."""
    from afterwork._loop import current_loop
    from afterwork._scheduler import Shift

    work = new_work(at("2026-03-10 11:59"))
    ran: list[int] = []
    for name in ("one", "two"):
        work.cron("* * * * *", name=name)(lambda: ran.append(1))
    loop = current_loop()
    assert loop is not None
    shift = Shift(work.dispatch, loop)
    await shift._catch_up()
    shift.stop()
    await shift._sleep_until(clock_of(work).now() + 60)
    await shift._catch_up()
    clock_of(work).advance(60)
    await shift._turn()
    assert ran == []
    assert work.store.runs() == []


async def test_what_is_left_of_a_job_that_is_no_more_is_left(caplog: Any) -> None:
    """F3: a deploy may have taken the job away, and another process may still have it."""
    work = new_work(at("2026-03-10 11:59"))
    work.cron("* * * * *")(nightly)
    store = work.store
    store.put("catch-up:gone", "[1, 2]")
    async with running(work) as clock:
        await clock.elapse(60)
    assert store.get("catch-up:gone") == "[1, 2]"
    assert "scheduler.failed" not in events(caplog)

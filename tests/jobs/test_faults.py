"""No run is lost, doubled or left hanging, whatever fails around it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from afterwork import AfterMiddleware, MemoryStore, _closing, _job_ticket, after
from afterwork.errors import StoreError
from afterwork.stores import RunRecord
from tests.jobs.support import caller, new_work, until
from tests.support import answering, events
from tests.support import call as serve

HOUR = "0 * * * *"


class Faulty(MemoryStore):
    """A store whose methods raise, once or always, what no store may raise."""

    def __init__(self, *faulty: str, error: type[Exception] = OSError, times: int = 10**9) -> None:
        super().__init__()
        self.left = dict.fromkeys(faulty, times)
        self.error = error

    def _step(self, doing: str, **options: Any) -> Any:
        if self.left.get(doing, 0) > 0:
            self.left[doing] -= 1
            if self.error is StoreError:
                raise StoreError("test", doing, "it is down")
            raise self.error("the disk is gone")
        return super()._step(doing, **options)


@pytest.mark.parametrize(
    ("doing", "code"),
    [
        ("read jobs", 500),
        ("register jobs", 500),
        ("claim a run", 500),
        ("start a run", 500),
        ("write the end of a run", 200),
    ],
)
async def test_a_store_that_breaks_its_promise_leaves_nothing_behind(
    doing: str, code: int, caplog: Any
) -> None:
    """Whatever it raises, the run is over, and a shutdown waits for nothing."""
    work = new_work(store=Faulty(doing))
    work.cron(HOUR, name="job")(lambda: None)

    status, _ = await caller(work)("/job")

    assert status == code
    await until(lambda: not work.pipeline.queues)
    if code == 200:
        assert "store.error" in events(caplog)


async def test_one_lease_that_cannot_be_renewed_costs_no_other(caplog: Any) -> None:
    """The thread that renews them lives on, whatever a store raises."""
    store = Faulty("renew a run", times=1)
    work = new_work(store=store, lease=0.2)
    go = asyncio.Event()
    work.cron(HOUR, name="job")(go.wait)
    running = asyncio.create_task(caller(work)("/job"))
    await until(lambda: store.left["renew a run"] == 0)
    (before,) = store.runs()

    await until(lambda: (store.runs()[0].alive_until or 0) > (before.alive_until or 0))

    assert "store.error" in events(caplog)
    go.set()
    assert (await running)[1]["status"] == "ok"


async def test_a_failed_callback_is_over_also_if_that_cannot_be_recorded(caplog: Any) -> None:
    work = new_work(store=Faulty("claim a run"))

    await serve(AfterMiddleware(answering(lambda: after(_fail)), work))

    await until(lambda: not work.pipeline.queues)
    assert "store.error" in events(caplog)


async def test_an_address_of_no_store_is_said_at_the_start(
    caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only at night, when the first job is due; and callbacks are over all the same."""
    monkeypatch.setenv("AFTERWORK_STORE", "nonsense")
    work = new_work(store=None)
    work.cron(HOUR, name="job")(pytest.fail)

    work.dispatch.look_at_store()
    await until(lambda: "store.error" in events(caplog))
    await serve(AfterMiddleware(answering(lambda: after(_fail)), work))

    assert (await caller(work)("/job"))[0] == 500
    await until(lambda: not work.pipeline.queues)


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1)])
@pytest.mark.parametrize("mode", ["wait", "accept"])
async def test_a_condition_that_raises_is_a_failed_run(error: BaseException, mode: str) -> None:
    """It has a record, and the caller is told in both modes: nobody takes it for a run."""
    work = new_work()

    def when() -> bool:
        raise error

    work.cron(HOUR, name="job", when=when)(pytest.fail)

    status, answer = await caller(work)(f"/job?mode={mode}")

    assert (status, answer["status"]) == (500, "failed")
    assert answer["error"] == type(error).__name__
    (run,) = work.store.runs()
    assert (run.id, run.state) == (answer["run_id"], "failed")


async def test_a_condition_may_ask_the_store() -> None:
    """If that is down it is as if the store had been down for us: no run without an answer."""
    work = new_work(store=Faulty("read a note", error=StoreError, times=1))
    asked: list[int] = []

    def when() -> bool:
        asked.append(1)
        return work.store.get("on") is not None

    work.cron(HOUR, name="job", when=when)(pytest.fail)

    status, answer = await caller(work)("/job")

    assert (status, answer["status"], answer["reason"]) == (
        200,
        "skipped",
        "its condition (when=) is not met",
    )
    assert len(asked) == 2


async def test_a_run_may_wait_longer_than_a_lease_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """O8, policy queue: while it waits it is kept alive, or it would count as dead and never
    run."""
    for name in ("FIRST_POLL_SECONDS", "LONGEST_POLL_SECONDS"):
        monkeypatch.setattr(_job_ticket, name, 0.01)
    work = new_work(store=MemoryStore(), lease=0.3)
    go = asyncio.Event()
    work.cron(HOUR, name="job", overlap="queue")(go.wait)
    call = caller(work)
    first = asyncio.create_task(call("/job"))
    await until(lambda: work.store.runs(state="running"))
    second = asyncio.create_task(call("/job?slot=manual"))
    await until(lambda: work.store.runs(state="claimed"))
    (waiting,) = work.store.runs(state="claimed")

    def alive_until() -> float:
        run = work.store.run(waiting.id)
        assert run is not None
        assert run.state == "claimed"
        return run.alive_until or 0.0

    await until(lambda: alive_until() > (waiting.alive_until or 0) + 0.3)

    go.set()
    assert (await first)[1]["status"] == "ok"
    assert (await second)[1]["status"] == "ok"


async def test_a_waiting_run_that_makes_way_is_skipped_and_not_stopped() -> None:
    """O8: also where its lease is renewed before it finds out. Stopped, it would be answered 500
    and be delivered again."""
    work = new_work()
    go = asyncio.Event()
    work.cron(HOUR, name="job", overlap="queue")(go.wait)
    call = caller(work)
    first = asyncio.create_task(call("/job"))
    await until(lambda: work.store.runs(state="running"))
    second = asyncio.create_task(call("/job?slot=manual"))
    await until(lambda: work.store.runs(state="claimed"))
    (waiting,) = work.store.runs(state="claimed")
    work.store.finish(RunRecord(id=waiting.id, job="job", trigger="http", state="skipped"))

    work.dispatch.wake("job")

    assert (await second)[1]["status"] == "skipped"
    go.set()
    assert (await first)[1]["status"] == "ok"


async def test_the_store_may_be_away_now_and_then_while_a_run_waits() -> None:
    """O11: only several failures in a row make it count as down."""
    store = Faulty("start a run", error=StoreError, times=0)
    work = new_work(store=store)
    go = asyncio.Event()
    work.cron(HOUR, name="job", overlap="queue")(go.wait)
    call = caller(work)
    first = asyncio.create_task(call("/job"))
    await until(lambda: store.runs(state="running"))
    second = asyncio.create_task(call("/job?slot=manual"))
    await until(lambda: store.runs(state="claimed"))
    keeps = work.dispatch._kept
    await until(lambda: len(keeps) == 2)
    waiting = list(keeps)[1]

    for _ in range(4):
        waiting._poll = 0.005
        store.left["start a run"] = 1
        await until(lambda: not store.left["start a run"] and not waiting._tries)

    go.set()
    assert (await first)[1]["status"] == "ok"
    assert (await second)[1]["status"] == "ok"


async def test_a_run_with_an_older_slot_does_not_wait_behind_a_newer_one() -> None:
    """O8, policy queue: newest wins, in whatever order they come."""
    work = new_work()
    go = asyncio.Event()
    work.cron(HOUR, name="job", overlap="queue")(go.wait)
    work.cron(HOUR, name="other")(go.wait)
    call = caller(work)
    running = [asyncio.create_task(call(path)) for path in ("/job", "/other")]
    await until(lambda: len(work.store.runs(state="running")) == 2)
    newer = asyncio.create_task(call("/job?slot=2026-03-10T11:00:00Z"))
    await until(lambda: work.store.runs(state="claimed"))

    status, answer = await call("/job?slot=2026-03-10T10:00:00Z")

    assert (status, answer["status"], answer["reason"]) == (200, "skipped", "a newer one waits")
    work.dispatch.wake("job")  # and nobody is the worse for it
    go.set()
    for each in (*running, newer):
        assert (await each)[1]["status"] == "ok"


async def test_a_run_is_stopped_once() -> None:
    """What was cut first is the reason; what is over is left alone."""
    work = new_work()
    work.job(name="job")(asyncio.Event().wait)
    running = asyncio.create_task(work.run("job"))
    await until(lambda: work.store.runs(state="running"))
    (ticket,) = work.dispatch._kept
    stopped = ticket._work
    assert stopped is not None

    for reason in ("first", "second"):
        work.dispatch.stop(stopped, reason)
    run = await running
    _closing.stop(work.pipeline, stopped, "third")
    _closing.cut(work.pipeline, stopped.queue, "fourth")

    assert (run.outcome, run.stop_reason) == ("cancelled", "first")


async def test_an_old_run_is_asked_to_end_until_it_was_told() -> None:
    """O8, policy replace: a store that is away at that moment does not let both wait for ever."""
    work = new_work(store=Faulty("ask a run to end", error=StoreError, times=1))
    ran: list[int] = []

    @work.cron(HOUR, overlap="replace")
    async def job() -> None:
        ran.append(1)
        if len(ran) == 1:
            await asyncio.Event().wait()

    call = caller(work)
    running = asyncio.create_task(call("/job"))
    await until(lambda: ran)

    assert (await call("/job?slot=manual"))[1]["status"] == "ok"
    assert (await running)[1]["status"] == "cancelled"


async def test_a_replaced_run_is_not_delivered_again() -> None:
    """O8: a redelivery would replace the run that has replaced it, and so on."""
    work = new_work()
    ran: list[int] = []

    @work.cron(HOUR, overlap="replace")
    async def job() -> None:
        ran.append(1)
        if len(ran) == 1:
            await asyncio.Event().wait()

    call = caller(work)
    running = asyncio.create_task(call("/job", headers={"upstash-message-id": "1"}))
    await until(lambda: ran)
    await call("/job?slot=manual")

    status, answer = await running

    assert (status, answer["status"]) == (200, "cancelled")


async def test_a_run_that_loses_its_lease_in_line_for_a_thread_does_not_start() -> None:
    """O6: it is not running yet, so it can still be ended."""
    work = new_work(threads=1, lease=0.2)
    go = threading.Event()
    ran: list[int] = []
    work.job(name="blocker")(lambda: go.wait(10))
    work.cron(HOUR, name="job")(lambda: ran.append(1))
    call = caller(work)
    blocking = asyncio.create_task(call("/blocker"))
    await until(lambda: work.store.runs(state="running", job="blocker"))
    running = asyncio.create_task(call("/job"))
    await until(lambda: work.store.runs(state="running", job="job"))
    (run,) = work.store.runs(job="job")

    work.store.finish(RunRecord(id=run.id, job="job", trigger="http", state="abandoned"))

    status, answer = await running
    assert (status, answer["status"], answer["reason"]) == (500, "cancelled", "lease lost")
    go.set()
    await blocking
    assert ran == []


async def test_a_run_that_needs_no_lease_cannot_lose_one() -> None:
    """What runs whatever others do is not ended because the store is away."""
    store = Faulty("renew a run", error=StoreError)
    work = new_work(store=store, lease=0.05)
    go = asyncio.Event()
    work.job(name="job")(go.wait)
    running = asyncio.create_task(work.run("job"))
    await until(lambda: store.left["renew a run"] < 10**9 - 5)

    go.set()

    assert (await running).outcome == "succeeded"


async def test_without_threads_a_run_fails_and_nothing_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one that has waited for its lease, and one that was to be accepted."""

    class Blocking(MemoryStore):
        pass

    work = new_work(store=Blocking())
    go = asyncio.Event()
    work.cron(HOUR, name="job", overlap="queue")(go.wait)
    call = caller(work)
    running = asyncio.create_task(call("/job"))
    await until(lambda: work.store.runs(state="running"))
    waiting = asyncio.create_task(call("/job?slot=manual"))
    await until(lambda: work.store.runs(state="claimed"))

    def submit(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(work.pipeline.admission.threads, "submit", submit)

    status, answer = await waiting
    assert (status, answer["status"], answer["error"]) == (500, "failed", "RuntimeError")
    status, answer = await call("/job?slot=manual&mode=accept")
    assert (status, answer["status"]) == (500, "failed")
    go.set()
    assert (await running)[1]["status"] == "ok"
    await until(lambda: not work.pipeline.queues)


async def test_taking_down_an_end_keeps_no_other_work_waiting() -> None:
    """A work gives its place under the limit back when it is over, and not when a slow store has
    written that."""
    asked, go = threading.Event(), threading.Event()

    class Slow(MemoryStore):
        def claim(self, *args: Any, **options: Any) -> Any:
            asked.set()
            go.wait(10)
            return super().claim(*args, **options)

    work = new_work(store=Slow(), limit=1)
    ran: list[int] = []

    def handler() -> None:
        after(_fail)
        after(ran.append, 1)

    serving = asyncio.create_task(serve(AfterMiddleware(answering(handler), work)))
    try:
        await until(asked.is_set)
        await until(lambda: ran)
    finally:
        go.set()
    await serving
    await until(lambda: not work.pipeline.queues)


def _fail() -> None:
    raise RuntimeError("broken")

"""Overlap and duplicates: group O of the cases, as far as they are the dispatch's. What is the
store's is in `tests/contracts/store.py`, which every store passes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from typing import Any

import pytest

from afterwork import Afterwork, MemoryStore, current_run
from afterwork.errors import UnknownJobError
from afterwork.stores import RunRecord
from afterwork.testing import FakeClock
from tests.jobs.support import NOON, Broken, at, caller, new_work, until
from tests.support import events, fields

HOUR = "0 * * * *"


def same_store(count: int = 2, **settings: Any) -> list[Afterwork]:
    """Several replicas of one app."""
    store = MemoryStore()
    return [new_work(store=store, clock=FakeClock(NOON), **settings) for _ in range(count)]


async def test_two_replicas_run_a_slot_once_however_late_one_wakes() -> None:
    """O1, O2, O3: also long after the first has finished. O10: the clocks differ by 90 seconds."""
    ran: list[str] = []
    clock = FakeClock(NOON)
    store = MemoryStore(clock=clock)
    first, second = (new_work(store=store, clock=FakeClock(NOON)) for _ in range(2))
    second.pipeline.clock.advance(90)  # type: ignore[attr-defined]
    for name, work in (("first", first), ("second", second)):
        work.cron(HOUR, name="nightly")(lambda name=name: ran.append(name))

    assert (await caller(first)("/nightly"))[1]["status"] == "ok"
    clock.advance(0.4)
    assert (await caller(second)("/nightly"))[1]["status"] == "duplicate"
    clock.advance(600)
    second.pipeline.clock.advance(600)  # type: ignore[attr-defined]
    assert (await caller(second)("/nightly"))[1]["status"] == "duplicate"
    assert ran == ["first"]


async def test_a_lease_is_renewed_while_its_run_goes_on() -> None:
    """O4: a run that outlives its lease's time keeps it, also if it blocks the loop."""
    store = MemoryStore()
    first, second = (new_work(store=store, lease=0.3) for _ in range(2))
    second.pipeline.clock.advance(3600)  # type: ignore[attr-defined]
    stop = threading.Event()
    for work in (first, second):
        work.cron(HOUR, name="long")(stop.wait)
    running = asyncio.create_task(caller(first)("/long"))
    await until(lambda: store.runs(state="running"))
    (run,) = store.runs()
    began = store.now()

    await until(lambda: (store.run(run.id) or run).alive_until > began + 0.9)  # type: ignore[operator]
    assert (await caller(second)("/long"))[1]["status"] == "skipped"

    stop.set()
    assert (await running)[1]["status"] == "ok"


async def test_a_run_that_lost_its_lease_is_told() -> None:
    """O6: an async one is cancelled, its late end changes nothing, and a line says so."""
    store = MemoryStore()
    work = new_work(store=store, lease=0.2)
    work.cron(HOUR, name="long")(asyncio.Event().wait)
    running = asyncio.create_task(caller(work)("/long"))
    await until(lambda: store.runs(state="running"))
    (run,) = store.runs()

    store.finish(RunRecord(id=run.id, job="long", trigger="http", state="abandoned"))
    status, answer = await running

    assert (status, answer["status"]) == (500, "cancelled")
    assert answer["reason"] == "lease lost"
    assert (store.run(run.id) or run).state == "abandoned"


async def test_a_sync_run_can_see_that_it_should_end(caplog: Any) -> None:
    """O6"""
    store = MemoryStore()
    work = new_work(store=store, lease=0.2)
    seen: list[str | None] = []

    @work.cron(HOUR)
    def long() -> None:
        run = current_run()
        store.finish(RunRecord(id=run.id, job="long", trigger="http", state="abandoned"))
        while run.stop_reason is None:
            threading.Event().wait(0.005)
        seen.append(run.stop_reason)

    status, _ = await caller(work)("/long")

    assert status == 200
    assert seen == ["lease lost"]
    assert "run.lease_lost" in events(caplog)


async def test_a_store_that_is_away_too_long_costs_the_lease(caplog: Any) -> None:
    """O6: nobody can say whether it is still ours."""
    store = Broken()
    store.down = False
    work = new_work(store=store, lease=0.2)
    work.cron(HOUR, name="long")(asyncio.Event().wait)
    running = asyncio.create_task(caller(work)("/long"))
    await until(lambda: store.runs(state="running"))

    store.down = True
    status, answer = await running

    assert (status, answer["reason"]) == (500, "lease lost")
    assert "store.error" in events(caplog)


async def test_one_run_waits_and_it_is_the_newest() -> None:
    """O8, policy queue"""
    works = same_store(3)
    go = asyncio.Event()
    ran: list[str] = []

    async def job() -> None:
        slot = current_run().scheduled_for
        assert slot is not None
        ran.append(slot.strftime("%H"))
        if len(ran) == 1:
            await go.wait()

    for hours, work in enumerate(works):
        work.pipeline.clock.advance(3600 * hours)  # type: ignore[attr-defined]
        work.cron(HOUR, name="job", overlap="queue")(job)
    calls = []

    def counted(count: int) -> bool:
        return len(works[0].store.runs()) == count

    for count, work in enumerate(works):
        calls.append(asyncio.create_task(caller(work)("/job")))
        await until(partial(counted, count + 1))
        if count == 1:
            await until(lambda: works[0].store.runs(state="claimed"))

    await until(lambda: works[0].store.runs(state="skipped"))
    go.set()
    answers = [(await call)[1] for call in calls]

    assert [answer["status"] for answer in answers] == ["ok", "skipped", "ok"]
    assert ran == ["12", "14"]


async def test_an_old_run_is_replaced_after_it_has_ended() -> None:
    """O8, policy replace: the old run is cancelled, and its end awaited."""
    first, second = same_store()
    second.pipeline.clock.advance(3600)  # type: ignore[attr-defined]
    log: list[str] = []

    async def old() -> None:
        log.append("old begins")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("old ends")

    async def new() -> None:
        log.append("new")

    first.cron(HOUR, name="job", overlap="replace")(old)
    second.cron(HOUR, name="job", overlap="replace")(new)
    # The other process looks after its lease often enough for a test.
    first.dispatch._keeper.every_seconds = 0.01
    running = asyncio.create_task(caller(first)("/job"))
    await until(lambda: log)

    status, answer = await caller(second)("/job")

    assert (status, answer["status"]) == (200, "ok")
    assert log == ["old begins", "old ends", "new"]
    _, cancelled = await running
    assert cancelled["status"] == "cancelled"
    assert cancelled["reason"] == f"replaced by run {answer['run_id']}"


async def test_a_run_in_the_same_process_is_replaced_at_once() -> None:
    """O8: it does not wait for the next renewal of the lease."""
    work = new_work()
    log: list[str] = []

    @work.cron(HOUR, overlap="replace")
    async def job() -> None:
        log.append("begins")
        if len(log) == 1:
            await asyncio.Event().wait()

    call = caller(work)
    running = asyncio.create_task(call("/job"))
    await until(lambda: log)

    status, _ = await call("/job?slot=manual")

    assert status == 200
    assert (await running)[1]["status"] == "cancelled"


async def test_runs_that_may_overlap_do() -> None:
    """O8, policy allow: without a token, since there is nothing to fence."""
    work = new_work()
    both = asyncio.Event()
    tokens: list[int | None] = []

    @work.cron(HOUR, overlap="allow")
    async def job() -> None:
        tokens.append(current_run().fencing_token)
        if len(tokens) == 2:
            both.set()
        await both.wait()

    call = caller(work)
    answers = await asyncio.gather(call("/job"), call("/job?slot=manual"))

    assert [answer[1]["status"] for answer in answers] == ["ok", "ok"]
    assert tokens == [None, None]


async def test_a_token_grows_with_every_holder() -> None:
    work = new_work()
    tokens: list[int | None] = []
    work.cron(HOUR, name="job")(lambda: tokens.append(current_run().fencing_token))
    call = caller(work)
    for _ in range(3):
        await call("/job?slot=manual")

    assert tokens == sorted(tokens, key=lambda token: token or 0)
    assert len(set(tokens)) == 3


async def test_an_async_job_that_waits_is_still_running() -> None:
    """O9: what is guarded is the awaited body, not the call that made it."""
    work = new_work()
    go = asyncio.Event()

    @work.cron(HOUR)
    def job() -> Any:
        return go.wait()  # a plain function that returns an awaitable

    call = caller(work)
    running = asyncio.create_task(call("/job"))
    await until(lambda: work.store.runs(state="running"))

    assert (await call("/job?slot=manual"))[1]["status"] == "skipped"
    go.set()
    assert (await running)[1]["status"] == "ok"


async def test_without_its_store_a_job_does_not_run(caplog: Any) -> None:
    """O11: fail closed, with an event, and 503 so that the caller comes again."""
    store = Broken()
    work = new_work(store=store)
    work.cron(HOUR, name="job")(pytest.fail)

    answer = await caller(work).client.post("/job")

    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "60"
    assert "store.error" in events(caplog)
    store.down = False
    await until(lambda: not work.pipeline.queues)


async def test_a_moment_without_the_store_is_waited_out() -> None:
    """O11: the store was away only for a moment; nothing is lost and nothing runs twice."""
    store = Broken()
    store.down = False
    work = new_work(store=store)
    ran: list[int] = []
    work.cron(HOUR, name="job")(lambda: ran.append(1))
    store.open()
    real = store.acquire
    failed: list[int] = []

    def acquire(*args: Any, **kwargs: Any) -> Any:
        if not failed:
            failed.append(1)
            store.down = True
            try:
                real(*args, **kwargs)
            finally:
                store.down = False
        return real(*args, **kwargs)

    store.acquire = acquire  # type: ignore[method-assign]
    status, answer = await caller(work)("/job")

    assert (status, answer["status"]) == (200, "ok")
    assert ran == [1]


async def test_a_job_may_be_told_to_run_without_its_store(caplog: Any) -> None:
    """O11, fail open: by setting, and never silently."""
    work = new_work(store=Broken(), on_store_error="run")
    ran: list[int] = []
    work.cron(HOUR, name="job")(lambda: ran.append(1))

    status, answer = await caller(work)("/job")

    assert (status, answer["status"]) == (200, "ok")
    assert ran == [1]
    assert "store.error" in events(caplog)


async def test_what_needs_neither_claim_nor_lease_does_not_need_the_store(caplog: Any) -> None:
    """O11: it only goes without a record, which is said."""
    work = new_work(store=Broken())
    ran: list[int] = []
    work.job(name="job")(lambda: ran.append(1))

    assert (await work.run("job")).outcome == "succeeded"
    assert ran == [1]
    assert fields(caplog, "store.error")["doing"] == "run"


async def test_an_end_that_cannot_be_written_is_said(caplog: Any) -> None:
    """O11"""
    store = Broken()
    store.down = False
    work = new_work(store=store)

    @work.job
    async def job() -> None:
        store.down = True

    assert (await work.run(job)).outcome == "succeeded"
    assert fields(caplog, "store.error")["outcome"] == "succeeded"


async def test_the_pages_say_that_the_store_is_down() -> None:
    """O11"""
    work = new_work(store=Broken())
    work.cron(HOUR, name="job")(pytest.fail)
    call = caller(work)

    for page in ("/health", "/jobs", "/tick"):
        assert (await call(page, "GET"))[0] == 503


async def test_a_platform_and_the_app_itself_share_a_slot() -> None:
    """O13: whoever comes first runs it, the other has a duplicate."""
    work = new_work(at("2026-03-10 11:59"))
    ran: list[int] = []
    work.cron(HOUR, name="job")(lambda: ran.append(1))
    call = caller(work)
    await call("/tick")
    work.pipeline.clock.advance(61)  # type: ignore[attr-defined]

    one = (await call("/tick"))[1]["runs"][0]
    other = (await call("/job"))[1]

    assert (one["status"], other["status"]) == ("ok", "duplicate")
    assert one["run_id"] == other["run_id"]
    assert ran == [1]


async def test_a_run_by_hand_keeps_to_the_policy_and_leaves_the_slot_alone() -> None:
    """O14"""
    work = new_work()
    go = asyncio.Event()
    go.set()

    @work.cron(HOUR)
    async def job() -> None:
        await go.wait()

    run = await work.run(job)
    assert (run.outcome, run.trigger, run.scheduled_for) == ("succeeded", "manual", None)
    call = caller(work)
    assert (await call("/job"))[1]["status"] == "ok"

    go.clear()
    running = asyncio.create_task(work.run("job"))
    await until(lambda: work.store.runs(state="running"))
    skipped = await work.run("job")
    assert skipped.outcome == "skipped"
    assert "is still running" in (skipped.stop_reason or "")
    go.set()
    assert (await running).outcome == "succeeded"
    with pytest.raises(UnknownJobError, match="Did you mean 'job'"):
        await work.run("jobb")


async def test_a_run_that_is_called_off_while_it_waits_gives_back_what_it_has() -> None:
    """O8: its claim is ended as cancelled, and its waiting place is free."""
    first, second = same_store()
    second.pipeline.clock.advance(3600)  # type: ignore[attr-defined]
    go = asyncio.Event()
    for work in (first, second):
        work.cron(HOUR, name="job", overlap="queue")(go.wait)
    running = asyncio.create_task(caller(first)("/job"))
    await until(lambda: first.store.runs(state="running"))
    waiting = asyncio.create_task(caller(second)("/job"))
    await until(lambda: first.store.runs(state="claimed"))

    from afterwork._closing import close
    from afterwork._loop import current_loop

    loop = current_loop()
    assert loop is not None
    await close(second.pipeline, loop, 0)
    status, answer = await waiting

    assert (status, answer["status"]) == (500, "cancelled")
    assert [run.state for run in first.store.runs()] == ["cancelled", "running"]
    go.set()
    with contextlib.suppress(asyncio.CancelledError):
        await running

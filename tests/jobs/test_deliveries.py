"""Deliveries that come again, late, or to several jobs: none is lost, none takes another's
place."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from afterwork import Afterwork, MemoryStore, after, current_run
from afterwork.testing import FakeHost
from tests.jobs.support import caller, new_work, until

HOUR = "0 * * * *"
FIRST = {"upstash-message-id": "msg_1"}
AGAIN = {**FIRST, "upstash-retried": "1"}
WEBHOOK = {"webhook-id": "msg_1"}


def failing_once(work: Afterwork) -> list[tuple[int, int]]:
    """An hourly job that fails at its first attempt, and the hours and attempts that it saw."""
    seen: list[tuple[int, int]] = []

    @work.cron(HOUR)
    async def job() -> None:
        run = current_run()
        assert run.scheduled_for is not None
        seen.append((run.scheduled_for.hour, run.attempt))
        if len(seen) == 1:
            raise RuntimeError

    return seen


def an_hour_later(work: Afterwork) -> None:
    work.pipeline.clock.advance(3600)  # type: ignore[attr-defined]


async def test_a_redelivery_in_the_next_hour_takes_no_other_slot() -> None:
    """T5: it is the run of its own slot, and the delivery of the next slot runs too."""
    work = new_work()
    seen = failing_once(work)
    call = caller(work)
    assert (await call("/job", headers=FIRST))[0] == 500
    an_hour_later(work)

    _, again = await call("/job", headers=AGAIN)
    _, following = await call("/job", headers={"upstash-message-id": "msg_2"})

    assert (again["status"], again["slot"]) == ("ok", "2026-03-10T12:00:00Z")
    assert (following["status"], following["slot"]) == ("ok", "2026-03-10T13:00:00Z")
    assert seen == [(12, 1), (12, 2), (13, 1)]


@pytest.mark.parametrize(("first", "again"), [(FIRST, AGAIN), (WEBHOOK, WEBHOOK)])
async def test_a_redelivery_is_no_duplicate_of_a_slot_that_has_run_since(
    first: dict[str, str], again: dict[str, str]
) -> None:
    """T5: also where the caller does not count its attempts."""
    work = new_work()
    seen = failing_once(work)
    call = caller(work)
    await call("/job", headers=first)
    an_hour_later(work)
    assert (await call("/job"))[1]["status"] == "ok"

    _, answer = await call("/job", headers=again)

    assert (answer["status"], answer["attempt"]) == ("ok", 2)
    assert seen == [(12, 1), (13, 1), (12, 2)]


async def test_a_redelivery_to_a_paused_job_opens_no_run() -> None:
    """A run that nobody ends would count as dead, and as one more failure."""
    work = new_work()
    failing_once(work)
    call = caller(work)
    await call("/job", headers=FIRST)
    work.store.pause("job")

    status, answer = await call("/job", headers=AGAIN)

    assert (status, answer["status"], answer["run_state"]) == (200, "duplicate", "failed")
    assert [run.state for run in work.store.runs()] == ["failed"]


@pytest.mark.parametrize("mode", ["wait", "accept"])
@pytest.mark.parametrize("sequential", [False, True])
async def test_all_missed_slots_run_one_after_the_other(mode: str, sequential: bool) -> None:
    """F2, `all`: in order, and none is skipped because the one before is still running."""
    work = new_work(sequential=sequential)
    hours: list[int] = []

    @work.cron(HOUR, misfire="all")
    async def job() -> None:
        slot = current_run().scheduled_for
        assert slot is not None
        hours.append(slot.hour)
        await asyncio.sleep(0)

    work.store.register(["job"])
    work.pipeline.clock.advance(3 * 3600)  # type: ignore[attr-defined]

    _, answer = await caller(work)(f"/tick?mode={mode}")

    await until(lambda: not work.pipeline.queues)
    assert hours == [13, 14, 15]
    assert [run["slot"][11:13] for run in answer["runs"]] == ["13", "14", "15"]
    assert (await caller(work)("/tick"))[1]["runs"] == []


@pytest.mark.parametrize("mode", ["wait", "accept"])
async def test_a_client_that_leaves_costs_no_job_its_run(mode: str) -> None:
    """T9, T12: with two jobs of one schedule, also the second runs."""
    work = new_work(store=MemoryStore())
    go = asyncio.Event()
    work.cron(HOUR, name="one")(go.wait)
    work.cron(HOUR, name="two")(go.wait)
    call = caller(work, mode=mode)
    serving = asyncio.create_task(call("/", headers={"x-vercel-cron-schedule": HOUR}))
    await until(lambda: work.store.runs())

    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait([serving], timeout=0.01)
    go.set()

    await until(lambda: len(work.store.runs(state="succeeded")) == 2)


async def test_jobs_of_one_schedule_may_have_different_modes() -> None:
    """T8, T12: the answer lists each; the worst decides."""
    work = new_work()
    ran: list[str] = []
    work.cron(HOUR, name="one", mode="accept")(lambda: ran.append("one"))
    work.cron(HOUR, name="two")(lambda: ran.append("two"))
    work.cron(HOUR, name="three", mode="accept", when=lambda: False)(pytest.fail)

    status, answer = await caller(work)("/", headers={"x-vercel-cron-schedule": HOUR})

    assert status == 202
    assert [each["status"] for each in answer["runs"]] == ["accepted", "ok", "skipped"]
    await until(lambda: not work.pipeline.queues)
    assert ran == ["two", "one"]


async def test_an_accepted_job_may_queue_callbacks() -> None:
    """They run with it, after the response to the call that set it off."""
    work = new_work()
    seen: list[Any] = []

    @work.cron(HOUR)
    async def job() -> None:
        response = current_run().response
        assert response is not None
        after(seen.append, response.status)

    assert (await caller(work)("/job?mode=accept"))[0] == 202

    await until(lambda: not work.pipeline.queues)
    assert seen == [202]
    assert work.store.runs()[0].state == "succeeded"


async def test_where_nothing_can_run_after_a_response_the_caller_waits() -> None:
    """T8: 202 would be a promise that the host cannot keep."""
    work = new_work(host=FakeHost(missing="no context"))
    work.cron(HOUR, name="job")(lambda: None)

    status, answer = await caller(work)("/job?mode=accept")

    assert (status, answer["status"]) == (200, "ok")

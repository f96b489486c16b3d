"""What an engine delivers ends in one of two ways: it is over, or there is a next envelope."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from afterwork import Afterwork, Retry, Run, SQLiteStore, current_run
from afterwork._closing import close
from afterwork._deliveries import (
    BEHIND_SECONDS,
    UNKNOWN_SECONDS,
    UNKNOWN_WAIT_SECONDS,
    Deliveries,
)
from afterwork._delivery_ticket import KEEP_SECONDS, PLANNED, WAIT_SECONDS, DeliveryTicket
from afterwork._job_ticket import STOP_PREFIX
from afterwork._loop import current_loop
from afterwork._results import MOST_CHARACTERS
from afterwork.engines import MOST_CRASHES, Envelope
from afterwork.errors import PermanentFailure, RetryLater, StoreError
from afterwork.testing import FakeClock, drain
from tests.durable_unit.support import Flaky, deliveries, new_work
from tests.support import events, fields, until

if TYPE_CHECKING:
    from pathlib import Path

FIXED = Retry(3, delay=10, backoff="fixed", jitter=False)
LEASE = 60.0


class Site:
    """A worker's app with one durable job that does what it is told."""

    def __init__(self, *, of: Site | None = None, job: Any = None, **settings: Any) -> None:
        options = settings.pop("options", {"retry": FIXED})
        self.clock: FakeClock = FakeClock() if of is None else of.clock
        self.store: Flaky = Flaky(clock=self.clock) if of is None else of.store
        self.reported: list[Run] = []
        self.work: Afterwork = new_work(
            clock=self.clock, store=self.store, reporters=[self.reported.append], **settings
        )
        self.attempts: list[int] = []
        self.does: Any = None
        self.deliveries = deliveries(self.work)
        self.job = self.work.job(name="job", durable=True, **options)(job or self._run)

    async def _run(self, value: Any = None) -> Any:
        self.attempts.append(current_run().attempt)
        if self.does is None:
            return value
        if isinstance(self.does, BaseException):
            raise self.does
        return await self.does()

    def envelope(self, **values: Any) -> Envelope:
        now = self.clock.now()
        return Envelope(**{"id": "call", "job": "job", "enqueued_at": now, **values})

    def in_(self, seconds: float) -> float:
        return self.clock.now() + seconds

    def state(self, call: str = "call") -> tuple[str, int]:
        record = self.store.run(call)
        assert record is not None
        return str(record.state), record.attempt

    def letter(self) -> Envelope | None:
        text = self.store.get("dead:call")
        return None if text is None else Envelope.from_json(text)

    async def next(self, envelope: Envelope) -> Envelope:
        """The next attempt, of which there has to be one."""
        following = await self.run(envelope)
        assert following is not None
        return following

    async def run(self, envelope: Envelope) -> Envelope | None:
        async with asyncio.timeout(5):
            return await self.deliveries.run(envelope)

    async def hang(self, envelope: Envelope) -> asyncio.Task[Envelope | None]:
        """Delivers to a process that dies in the middle: its run is never heard of again."""
        self.does = asyncio.Event().wait
        before = len(self.attempts)
        task = asyncio.create_task(self.deliveries.run(envelope))
        await until(lambda: len(self.attempts) > before)
        self.does = None
        return task

    def renew(self) -> None:
        for ticket in list(self.work.dispatch._kept):
            ticket.renew()


async def shut_down(site: Site) -> None:
    """Ends the process without any patience."""
    loop = current_loop()
    assert loop is not None
    await close(site.work.pipeline, loop, 0.0)


async def test_a_call_that_succeeds_is_over_and_its_result_is_kept(caplog: Any) -> None:
    site = Site()
    assert await site.run(site.envelope(payload='[[{"$tuple": [1]}], {}]')) is None
    assert site.state() == ("succeeded", 1)
    assert site.store.get("result:call") == '{"$tuple": [1]}'
    record = site.store.run("call")
    assert record is not None
    assert (record.delivery, record.trigger, record.job) == ("call", "after", "job")
    assert [(run.id, run.attempt, run.trigger) for run in site.reported] == [("call", 1, "after")]
    assert site.letter() is None
    site.clock.advance(31 * 86_400)
    assert site.store.get("result:call") is None


async def test_what_is_early_comes_back_as_it_is_without_its_key() -> None:
    site = Site()
    envelope = site.envelope(run_at=site.in_(1), key="k", priority=2)
    assert await site.run(envelope) == replace(envelope, key=None)
    assert site.store.run("call") is None
    site.clock.advance(1)
    assert await site.run(envelope) is None
    assert site.state() == ("succeeded", 1)


async def test_an_unknown_job_waits_a_day_from_its_first_delivery_on(caplog: Any) -> None:
    site = Site()
    old = site.in_(-3 * UNKNOWN_SECONDS)  # it was delayed for longer than that
    envelope: Envelope | None = site.envelope(job="gone", enqueued_at=old, key="k")
    waited = 0
    while envelope is not None:
        assert waited <= UNKNOWN_SECONDS
        following = await site.run(envelope)
        if following is not None:
            assert following == replace(envelope, key=None, run_at=site.in_(UNKNOWN_WAIT_SECONDS))
        envelope = following
        site.clock.advance(3600)
        waited += 3600
    assert waited > UNKNOWN_SECONDS
    assert site.state() == ("failed", 1)
    letter = site.letter()
    assert letter is not None
    assert letter.job == "gone"
    assert "engine.unknown_job" in events(caplog)
    assert fields(caplog, "run.failed")["job"] == "gone"


async def test_a_job_that_is_not_durable_here_is_as_good_as_unknown() -> None:
    site = Site()
    site.work.job(name="plain")(len)
    await site.next(site.envelope(job="plain"))


@pytest.mark.parametrize("later", [0.0, UNKNOWN_SECONDS + 1])
async def test_an_unknown_job_is_not_given_up_while_the_store_is_down(
    later: float, caplog: Any
) -> None:
    site = Site()
    envelope = site.envelope(job="gone")
    await site.run(envelope)
    site.clock.advance(later)
    site.store.down = {"all"} if not later else {"claim a run"}
    wait = WAIT_SECONDS if later else UNKNOWN_WAIT_SECONDS
    assert await site.run(envelope) == replace(envelope, run_at=site.in_(wait))
    assert "store.error" in events(caplog)


@pytest.mark.parametrize(
    "wrong",
    [
        {"payload": "{"},
        {"payload": "[[1, 2, 3], {}]"},
        {"payload": '[[{"$object": ["os.system", {}]}], {}]'},
        {"retry": "x"},
        {"retry": "[]"},
        {"retry": '{"attempts": 0}'},
        {"retry": '{"attempts": 2, "on": 1}'},
        {"retry": "[" * 1000},
        {"retry": '{"attempts": 2, "delay": 1' + "0" * 400 + "}"},
    ],
)
async def test_what_cannot_be_read_is_a_dead_letter_and_the_job_is_not_called(
    wrong: dict[str, str], caplog: Any
) -> None:
    site = Site()
    envelope = site.envelope(**wrong)
    assert await site.run(envelope) is None
    assert site.attempts == []
    assert site.state() == ("failed", 1)
    assert site.letter() == envelope
    assert [str(run.outcome) for run in site.reported] == ["failed"]
    record = site.store.run("call")
    assert record is not None
    assert str(record.error).startswith("PayloadError")


async def test_a_later_attempt_that_cannot_be_read_ends_the_record_of_the_run() -> None:
    site = Site()
    site.does = ValueError("no")
    following = await site.next(site.envelope())
    site.clock.advance(10)
    assert await site.run(replace(following, payload="{")) is None
    assert site.state() == ("failed", 2)


async def test_failures_are_tried_again_as_the_policy_says_and_then_it_is_a_dead_letter() -> None:
    site = Site()
    site.does = ValueError("no")
    first = site.envelope(key="k", payload="[[1], {}]")
    second = await site.next(first)
    assert second == replace(first, key=None, attempt=2, run_at=site.in_(10))
    assert site.state() == ("failed", 1)
    assert (site.reported, site.letter()) == ([], None)
    site.clock.advance(10)
    third = await site.next(second)
    assert third == replace(second, attempt=3, run_at=site.in_(10))
    site.clock.advance(10)
    assert await site.run(third) is None
    assert site.attempts == [1, 2, 3]
    assert site.state() == ("failed", 3)
    assert site.letter() == third
    assert [(str(run.outcome), run.attempt) for run in site.reported] == [("failed", 3)]


async def test_a_success_of_a_later_attempt_is_final() -> None:
    site = Site()
    site.does = ValueError("no")
    first = site.envelope()
    second = await site.next(first)
    site.clock.advance(10)
    site.does = None
    assert await site.run(second) is None
    assert site.state() == ("succeeded", 2)
    for old in (first, second):  # duplicates that come late
        assert await site.run(old) is None
    assert site.attempts == [1, 2]


@pytest.mark.parametrize(
    ("error", "settings", "envelope"),
    [
        (PermanentFailure("never"), {}, {}),
        (ValueError("not of that class"), {"options": {"retry": Retry(5, on=OSError)}}, {}),
        (ValueError("no policy"), {"options": {}}, {}),
        (ValueError("none for this job"), {"options": {"retry": None}, "retry": FIXED}, {}),
        (ValueError("none for this call"), {}, {"retry": '{"attempts": 1}'}),
        # The job's own policy says which errors count, also of a call's own.
        (KeyError(), {"options": {"retry": Retry(1, on=OSError)}}, {"retry": '{"attempts": 9}'}),
    ],
)
async def test_what_is_not_to_be_tried_again_fails_at_once_and_for_good(
    error: Exception, settings: Any, envelope: Any
) -> None:
    site = Site(**settings)
    site.does = error
    first = site.envelope(**envelope)
    assert await site.run(first) is None
    assert site.letter() == first
    # Its worker died before the engine forgot it: that it failed for good is not forgotten.
    assert await site.run(first) is None
    assert site.attempts == [1]
    assert site.state() == ("failed", 1)


@pytest.mark.parametrize(
    ("settings", "envelope", "wait"),
    [
        ({"options": {}, "retry": FIXED}, {}, 10),
        ({"options": {}}, {"retry": '{"attempts": 2, "delay": 3, "jitter": false}'}, 3),
        ({}, {"retry": '{"attempts": 2, "delay": 4, "jitter": false}'}, 4),
    ],
)
async def test_the_policy_is_the_calls_or_the_jobs_or_the_apps(
    settings: Any, envelope: Any, wait: float
) -> None:
    site = Site(**settings)
    site.does = ValueError("no")
    first = site.envelope(**envelope)
    assert await site.run(first) == replace(first, attempt=2, run_at=site.in_(wait))


async def test_retry_later_says_when() -> None:
    site = Site()
    site.does = RetryLater(77)
    first = site.envelope()
    second = replace(first, attempt=2, run_at=site.in_(77))
    assert await site.run(first) == second
    assert await site.run(first) == second  # also after a crash


async def test_an_async_job_that_times_out_is_tried_again_and_a_sync_one_is_not() -> None:
    site = Site(options={"retry": FIXED, "timeout": 0.01})
    site.does = asyncio.Event().wait
    first = site.envelope()
    await site.next(first)
    assert site.state() == ("failed", 1)
    let_go = threading.Event()
    sync = Site(job=lambda: let_go.wait(5), options={"retry": FIXED, "timeout": 0.01})
    envelope = sync.envelope()
    assert await sync.run(envelope) is None
    let_go.set()
    assert sync.state() == ("timed_out", 1)
    assert sync.letter() == envelope
    assert await sync.run(envelope) is None
    await drain()


# -- crashes and duplicates


async def test_a_call_whose_worker_died_runs_again_once_its_lease_is_over() -> None:
    site, other = (first := Site()), Site(of=first)
    envelope = site.envelope()
    await site.hang(envelope)
    waiting = await other.next(envelope)
    assert waiting == replace(envelope, run_at=site.in_(LEASE + BEHIND_SECONDS))
    site.clock.advance(LEASE + BEHIND_SECONDS)
    assert await other.run(waiting) is None
    assert (site.attempts, other.attempts) == ([1], [2])
    assert other.state() == ("succeeded", 2)


async def test_a_run_that_is_seen_to_be_dead_between_look_and_claim_comes_again() -> None:
    """As where several calls of a dead worker come back at once, and another one's claim reaps."""
    site, other = (first := Site()), Site(of=first)
    envelope = site.envelope()
    await site.hang(envelope)
    look = other.store.run

    def late(run_id: str) -> Any:
        before = look(run_id)
        site.clock.advance(LEASE + 1)
        other.store.reap()
        return before

    other.store.run = late  # type: ignore[method-assign]
    waiting = await other.next(envelope)
    assert waiting == replace(envelope, run_at=site.in_(WAIT_SECONDS))
    del other.store.run
    site.clock.advance(WAIT_SECONDS)
    assert await other.run(waiting) is None
    assert (other.attempts, other.state()) == ([2], ("succeeded", 2))


async def test_of_two_deliveries_at_the_same_moment_one_runs() -> None:
    site, other = (first := Site()), Site(of=first)
    envelope = site.envelope(key="k")
    site.store.add("starting:call", "somebody")  # has begun, and has no record yet
    later = await other.run(envelope)
    assert later == replace(envelope, key=None, run_at=site.in_(LEASE + BEHIND_SECONDS))
    site.store.delete("starting:call")
    assert await site.run(envelope) is None
    assert other.attempts == []


async def test_a_run_that_kills_its_worker_each_time_is_given_up() -> None:
    site = Site()
    envelope = site.envelope()  # the same each time: the engine delivers it again
    for number in range(MOST_CRASHES + 1):
        worker = Site(of=site)
        await worker.hang(envelope)
        assert worker.attempts == [number + 1]
        site.clock.advance(LEASE + 1)
    last = Site(of=site)
    assert await last.run(envelope) is None
    assert last.attempts == []
    assert last.state()[0] == "failed"
    assert last.letter() == envelope
    assert [str(run.outcome) for run in last.reported] == ["abandoned", "failed"]
    assert "11 of its runs ended with their process" in str(last.reported[1].error)


async def test_an_envelope_that_tells_of_too_many_crashes_is_given_up() -> None:
    site = Site()
    envelope = site.envelope(crashes=MOST_CRASHES + 1, attempt=MOST_CRASHES + 2)
    assert await site.run(envelope) is None
    assert (site.attempts, site.letter()) == ([], envelope)


async def test_crashes_are_no_failures_that_a_policy_counts() -> None:
    site = Site(options={"retry": Retry(2, delay=0, jitter=False)})
    envelope = site.envelope()
    for _ in range(3):
        await Site(of=site).hang(envelope)
        site.clock.advance(LEASE + 1)
    site.does = ValueError("no")
    following = await site.next(envelope)
    assert following == replace(envelope, attempt=5, crashes=3, run_at=site.clock.now())
    assert await site.run(following) is None
    assert site.attempts == [4, 5]


async def test_a_plan_survives_a_crash_before_the_engine_has_it() -> None:
    site = Site()
    envelope = site.envelope()
    await Site(of=site).hang(envelope)
    site.clock.advance(LEASE + 1)
    site.does = ValueError("no")
    lost = await site.next(envelope)
    assert (lost.attempt, lost.crashes) == (3, 1)
    site.clock.advance(3)
    assert await site.run(envelope) == lost  # the same, also its moment
    site.clock.advance(7)
    site.does = None
    assert await site.run(lost) is None
    assert await site.run(envelope) is None
    assert site.state() == ("succeeded", 3)


async def test_a_store_that_is_down_while_a_plan_is_looked_for_loses_no_call() -> None:
    site = Site()
    site.does = ValueError("no")
    envelope = site.envelope()
    await site.run(envelope)
    site.store.down = {"read a note"}
    assert await site.run(envelope) == replace(envelope, run_at=site.in_(WAIT_SECONDS))


async def test_what_is_cut_with_its_process_is_given_back() -> None:
    site = Site()
    envelope = site.envelope(key="k")
    task = await site.hang(envelope)
    await shut_down(site)
    following = await task
    assert following is not None
    assert following == replace(envelope, key=None, attempt=2, crashes=1)
    assert site.state() == ("cancelled", 1)
    assert site.letter() is None
    assert await site.run(envelope) == following  # it died before the engine had that
    assert await site.run(following) is None
    assert site.state() == ("succeeded", 2)


async def test_a_thread_that_is_left_behind_is_given_back() -> None:
    started, let_go = threading.Event(), threading.Event()

    def job() -> None:
        started.set()
        let_go.wait(5)

    site = Site(job=job)
    task = asyncio.create_task(site.deliveries.run(site.envelope()))
    await until(started.is_set)
    await shut_down(site)
    following = await task
    let_go.set()
    assert following is not None
    assert (following.attempt, following.crashes) == (2, 1)
    assert site.state() == ("abandoned", 1)


async def test_a_run_that_lost_its_lease_says_nothing_of_the_call() -> None:
    left, let_go = threading.Event(), threading.Event()

    def job() -> None:
        left.set()
        let_go.wait(5)
        raise ValueError("nobody wants to know")

    site, other = (first := Site(job=job)), Site(of=first)
    envelope = site.envelope()
    task = asyncio.create_task(site.deliveries.run(envelope))
    await until(left.is_set)
    site.clock.advance(LEASE + 1)
    assert await other.run(envelope) is None
    site.renew()
    await asyncio.sleep(0)
    let_go.set()
    following = await task
    assert following is not None
    assert (other.state(), other.letter()) == (("succeeded", 2), None)
    assert await other.run(following) is None
    assert other.attempts == [2]


async def test_a_run_that_was_cancelled_by_somebody_is_over() -> None:
    site = Site()
    envelope = site.envelope()
    task = await site.hang(envelope)
    site.work.dispatch.cancel("call", "nobody wants it any more")
    site.renew()
    assert await task is None
    assert site.state() == ("cancelled", 1)
    assert site.store.get(STOP_PREFIX + "call") is None
    # Nor does a second delivery of it run.
    assert await site.run(envelope) is None
    assert site.attempts == [1]
    assert site.letter() is None


# -- the store is down


@pytest.mark.parametrize("step", ["all", "claim a run", "read a run", "start a run"])
async def test_without_a_store_nothing_runs_and_the_call_comes_again(
    step: str, caplog: Any
) -> None:
    site = Site()
    envelope = site.envelope(key="k")
    site.store.down = {step}
    again = await site.run(envelope)
    assert again == replace(envelope, key=None, run_at=site.in_(WAIT_SECONDS))
    assert site.reported == []  # nothing has failed for good
    assert fields(caplog, "run.skipped")["reason"] == "the store is not available"
    site.store.down = set()
    assert (site.attempts, site.letter()) == ([], None)
    site.clock.advance(LEASE + WAIT_SECONDS)
    while again is not None:
        site.clock.advance(LEASE)
        again = await site.run(again)
    assert site.state()[0] == "succeeded"
    assert len(site.attempts) == 1


async def test_an_answer_of_the_claim_that_got_lost_does_not_make_it_a_duplicate() -> None:
    site = Site()
    site.does = ValueError("no")
    following = await site.next(site.envelope())
    site.clock.advance(10)
    site.does = None
    claim, failures = site.store.claim, [True]

    def lossy(*args: Any, **kwargs: Any) -> Any:
        answer = claim(*args, **kwargs)
        if failures:
            failures.pop()
            raise StoreError("test", "claim a run", "its answer got lost")
        return answer

    site.store.claim = lossy  # type: ignore[method-assign]
    assert await site.run(following) is None
    assert site.attempts == [1, 2]


async def test_a_run_without_a_store_knows_its_attempt() -> None:
    site = Site(on_store_error="run")
    site.store.down = {"all"}
    site.does = ValueError("no")
    third = site.envelope(attempt=3, crashes=1)
    assert await site.run(third) == replace(third, attempt=4, run_at=site.in_(10))
    assert site.attempts == [3]
    fourth = site.envelope(attempt=4, crashes=1)
    # Over, but nobody could write down that it is a dead letter: better once more than never.
    again = replace(fourth, attempt=5, crashes=2, run_at=site.in_(WAIT_SECONDS))
    assert await site.run(fourth) == again


@pytest.mark.parametrize("fails", [ValueError("again"), PermanentFailure("never")])
async def test_what_follows_is_kept_before_the_end_is_written(fails: Exception) -> None:
    site = Site()
    site.does = fails
    original = site.store.put

    def put(key: str, value: str, *, ttl: float | None = None) -> None:
        raise StoreError("test", "keep a note", "it is down")

    site.store.put = put  # type: ignore[method-assign]
    envelope = site.envelope()
    following = await site.next(envelope)
    assert site.state() == ("running", 1)  # as if it had died: it is not over
    site.store.put = original  # type: ignore[method-assign]
    site.clock.advance(LEASE + 1)
    site.does = None
    assert await site.run(following) is None
    assert site.state() == ("succeeded", 2)


async def test_a_result_that_the_store_does_not_take_changes_nothing(caplog: Any) -> None:
    site = Site()
    site.store.down = {"keep a note"}
    original = site.store.add
    site.store.add = lambda *args, **kwargs: True  # type: ignore[method-assign]
    assert await site.run(site.envelope(payload="[[1], {}]")) is None
    site.store.add = original  # type: ignore[method-assign]
    assert site.state() == ("succeeded", 1)
    assert "store.error" in events(caplog)


# -- results


class Odd:
    pass


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, None),
        ({"a": (1,)}, '{"a": {"$tuple": [1]}}'),
        ("x" * (MOST_CHARACTERS - 2), "whole"),
        ("x" * (MOST_CHARACTERS - 1), None),
        (Odd(), None),
        ([10**5000], None),
    ],
)
async def test_a_result_is_kept_if_it_can_be(value: Any, kept: str | None, caplog: Any) -> None:
    async def job() -> Any:
        return value

    site = Site(job=job)
    assert await site.run(site.envelope()) is None
    found = site.store.get("result:call")
    assert found == (f'"{value}"' if kept == "whole" else kept)
    assert ("result.not_kept" in events(caplog)) is (kept is None and value is not None)


async def test_results_of_sync_jobs_and_of_those_that_return_an_awaitable() -> None:
    async def inner() -> int:
        return 3

    for job, kept in ((lambda: 7, "7"), (inner, "3"), (lambda: inner(), "3"), (lambda: None, None)):
        site = Site(job=job)
        assert await site.run(site.envelope()) is None
        assert site.store.get("result:call") == kept


async def test_a_call_that_failed_has_no_result() -> None:
    site = Site()
    site.does = PermanentFailure("never")
    await site.run(site.envelope())
    assert site.store.get("result:call") is None


# -- the rest


async def test_what_a_delivery_is_remembered_by_outlasts_the_longest_delay_of_its_policy() -> None:
    long = 20 * 86_400.0
    site = Site(options={"retry": Retry(3, delay=long, max_delay=long, jitter=False)})
    site.does = ValueError("no")
    first = site.envelope()
    second = await site.next(first)
    site.clock.advance(long)
    assert await site.run(first) == second
    assert site.store.get(PLANNED + "call") is not None
    ticket = DeliveryTicket(site.work.dispatch, site.job, first)
    assert ticket._keep_seconds() == KEEP_SECONDS


async def test_a_run_that_somebody_else_ended_while_it_was_claimed_comes_again() -> None:
    site = Site()
    acquire = site.store.acquire

    def late(run_id: str, lock: str | None, *, ttl: float) -> Any:
        site.clock.advance(LEASE + 1)
        site.store.reap()
        return acquire(run_id, lock, ttl=ttl)

    site.store.acquire = late  # type: ignore[method-assign]
    envelope = site.envelope()
    later = await site.run(envelope)
    assert later == replace(envelope, run_at=site.in_(LEASE + BEHIND_SECONDS))


async def test_a_later_delivery_of_an_attempt_that_a_newer_one_left_behind_is_over() -> None:
    site = Site()
    site.does = ValueError("no")
    first = site.envelope()
    second = await site.next(first)
    site.clock.advance(10)
    site.does = PermanentFailure("never")
    assert await site.run(second) is None
    assert await site.run(first) is None
    assert site.state() == ("failed", 2)


async def test_the_waiter_of_a_run_may_be_cancelled_and_it_goes_on() -> None:
    site = Site()
    let_go = asyncio.Event()
    site.does = let_go.wait
    task = asyncio.create_task(site.deliveries.run(site.envelope()))
    await until(lambda: site.attempts)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert site.state() == ("running", 1)
    let_go.set()
    await drain()
    assert site.state() == ("succeeded", 1)


def test_on_trio() -> None:
    clock = FakeClock()
    site_work = new_work(clock=clock)
    seen: list[Any] = []

    @site_work.job(durable=True, retry=FIXED)
    async def job(value: int) -> int:
        await trio.sleep(0)
        seen.append(value)
        if len(seen) == 1:
            raise ValueError("no")
        return value

    async def main() -> None:
        with trio.fail_after(5):
            run = Deliveries(site_work.dispatch).run
            following = await run(Envelope(id="call", job="job", payload="[[1], {}]"))
            assert following is not None
            clock.advance(10)
            assert await run(following) is None

    trio.run(main)
    assert seen == [1, 1]
    assert site_work.store.get("result:call") == "1"


async def test_an_engine_is_bound_once_and_runs_what_it_was_given() -> None:
    from afterwork import after
    from tests.durable_unit.support import ListEngine

    engine = ListEngine()
    work = new_work(engine)
    ran: list[int] = []

    @work.job(durable=True, retry=FIXED)
    async def job(value: int) -> None:
        ran.append(value)

    await after.enqueue(job, 5)
    assert work.engine is engine
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    await engine.serve(concurrency=1, stop=stop)
    assert (ran, engine.envelopes) == ([5], [])


async def test_with_a_store_that_blocks_it_is_the_same(tmp_path: Path) -> None:
    def worker() -> tuple[Afterwork, Deliveries]:
        store = SQLiteStore(str(tmp_path / "runs.db"))
        work = new_work(store=store, lease=0.2)
        work.job(name="job", durable=True, retry=Retry(2, delay=0, jitter=False))(job)
        return work, deliveries(work)

    attempts: list[int] = []

    async def job(value: int) -> int:
        attempts.append(current_run().attempt)
        if len(attempts) == 1:
            raise ValueError("no")
        return value

    envelope = Envelope(id="call", job="job", payload="[[5], {}]")
    first, run = worker()
    following = await run.run(envelope)
    assert following is not None
    assert await worker()[1].run(envelope) == following
    assert await worker()[1].run(following) is None
    assert await worker()[1].run(following) is None
    assert attempts == [1, 2]
    assert first.store.get("result:call") == "5"
    record = first.store.run("call")
    assert record is not None
    assert (str(record.state), record.attempt) == ("succeeded", 2)

"""Durable calls that requests make, in the store's own journal: from the call to its end."""

from __future__ import annotations

import asyncio
import os
import time
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from afterwork import Afterwork, MemoryStore, Retry, SQLiteStore, after, current_run, status
from afterwork._envelope import MOST_CRASHES, Envelope
from afterwork._ids import run_id
from afterwork._journal import _after_fork
from afterwork._outcome import Outcome
from afterwork.errors import NoRequestError, PermanentFailure, RetryLater, StoreError
from afterwork.testing import drain
from tests.journal.support import (
    BrokenFile,
    BrokenMemory,
    calls,
    durable,
    enqueue,
    journal_of,
    order,
    serving,
    states,
    tables,
)
from tests.support import Wire, answering, events, fields, http_scope, lifespan, respond, until

user: ContextVar[str] = ContextVar("user", default="nobody")


@pytest.fixture(params=["memory", "file"])
def work(request: pytest.FixtureRequest, tmp_path: Any) -> Afterwork:
    """An app on each kind of store, by the machine's clock."""
    store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "a.db")
    return Afterwork(store=store, lease=0.6)


async def ended(work: Afterwork, run_id: str, state: str = "succeeded") -> Any:
    store = work.dispatch.store()
    await until(lambda: getattr(store.run(run_id), "state", None) == state)
    return store.run(run_id)


# -- the run


async def test_a_run_knows_what_it_is_and_where_it_came_from(work: Afterwork) -> None:
    seen: dict[str, Any] = {}
    made: list[Any] = []

    @work.job(durable=True)
    async def job(number: int, *, name: str) -> dict[str, Any]:
        run = current_run()
        seen.update(id=run.id, attempt=run.attempt, user=user.get(), trigger=run.trigger)
        seen.update(status=run.response and run.response.status, last=run.last_success)
        return {"number": number, "name": name}

    def handler() -> None:
        user.set("ann")
        made.append(after(job, 1, name="x"))

    await order(work, handler, 201)
    record = await ended(work, made[0].run_id)
    assert seen == {
        "id": made[0].run_id,
        "attempt": 1,
        "user": "ann",
        "trigger": "after",
        "status": 201,
        "last": None,
    }
    assert (record.attempt, record.trigger, record.job) == (1, "after", "job")
    assert record.duration is not None
    found = await work.status(made[0].run_id)
    assert found is not None
    assert (found.state, found.result) == ("succeeded", {"number": 1, "name": "x"})
    assert states(work.store) == {}
    await order(work, handler)
    await until(lambda: seen["last"] is not None)
    await drain()


async def test_sync_jobs_and_what_cannot_be_kept(work: Afterwork) -> None:
    made: list[Any] = []

    @work.job(durable=True)
    def sync(value: int) -> int:
        return value + 1

    @work.job(durable=True)
    def odd() -> object:
        return object()

    await order(work, lambda: made.extend([after(sync, 1), after(odd)]))
    results = []
    for each in made:
        await ended(work, each.run_id)
        found = await work.status(each.run_id)
        assert found is not None
        results.append(found.result)
    assert results == [2, None]


async def test_the_status_in_a_handler_and_in_a_run(work: Afterwork) -> None:
    seen: list[Any] = []

    @work.job(durable=True)
    async def job() -> None:
        found = await status(current_run().id)
        seen.append(found and (found.state, found.over, found.started_at is not None))

    async def handler() -> None:
        seen.append(await status("unknown"))
        after(job)

    await order(work, handler)
    await until(lambda: len(seen) == 2)
    assert seen == [None, ("running", False, True)]
    with pytest.raises(NoRequestError):
        await status("x")
    await drain()


async def test_a_failure_is_tried_again_by_a_worker_and_then_a_dead_letter(
    work: Afterwork,
) -> None:
    attempts: list[int] = []
    made: list[Any] = []

    @work.job(durable=True, retry=Retry(3, delay=0.01, backoff="fixed"))
    async def job() -> None:
        attempts.append(current_run().attempt)
        raise ValueError(f"number {len(attempts)}")

    await order(work, lambda: made.append(after(job)))
    await until(lambda: states(work.store).get(made[0].run_id) == "waiting")
    found = await work.status(made[0].run_id)
    assert found is not None
    assert (found.state, found.attempt, found.error) == ("waiting", 2, "ValueError: number 1")
    assert found.run_at is not None
    async with serving(work):
        record = await ended(work, made[0].run_id, "failed")
    assert attempts == [1, 2, 3]
    assert (record.attempt, record.error) == (3, "ValueError: number 3")
    (letter,) = await work.dead_letters()
    assert (letter.id, letter.attempts, letter.error) == (record.id, 3, "ValueError: number 3")
    found = await work.status(record.id)
    assert found is not None
    assert (found.state, found.ended_at is not None, found.duration is not None) == (
        "failed",
        True,
        True,
    )


async def test_retry_later_and_permanent_failure(work: Afterwork) -> None:
    attempts: list[float] = []
    made: list[Any] = []

    @work.job(durable=True, retry=Retry(5, delay=50))
    async def job(permanent: bool) -> None:
        if permanent:
            raise PermanentFailure("the address is wrong")
        attempts.append(time.time())
        if len(attempts) == 1:
            raise RetryLater(0.15)

    await order(work, lambda: made.extend([after(job, True), after(job, False)]))
    async with serving(work):
        await ended(work, made[0].run_id, "failed")
        record = await ended(work, made[1].run_id)
    assert record.attempt == 2
    assert attempts[1] - attempts[0] >= 0.15
    assert [each.id for each in await work.dead_letters()] == [made[0].run_id]


async def test_a_run_that_takes_too_long_is_a_dead_letter(work: Afterwork) -> None:
    made: list[Any] = []

    @work.job(durable=True, timeout=0.02)
    async def job() -> None:
        await asyncio.sleep(60)

    await order(work, lambda: made.append(after(job)))
    await ended(work, made[0].run_id, "timed_out")
    found = await work.status(made[0].run_id)
    assert found is not None
    assert found.state == "timed_out"
    assert len(await work.dead_letters(job="job")) == 1


async def test_a_delayed_call_is_never_early_and_needs_a_worker(work: Afterwork) -> None:
    job, seen = durable(work)
    at: list[float] = []
    before = time.time()
    await order(work, lambda: at.append(bool(after.options(delay=0.2)(job, "later"))))
    await drain()
    assert set(states(work.store).values()) == {"waiting"}
    async with serving(work):
        await until(lambda: seen)
    assert time.time() - before >= 0.2


async def test_a_call_that_waits_where_no_worker_ever_was_is_said_once(
    tmp_path: Any, caplog: Any
) -> None:
    """As on a server without a lifespan. Who chose `worker=False` knows it."""
    silent = Afterwork(store=SQLiteStore(tmp_path / "a.db"), worker=False)
    job, _ = durable(silent)
    await order(silent, lambda: after.options(delay=60)(job, 0) and None)
    assert events(caplog) == []

    work = Afterwork(store=SQLiteStore(tmp_path / "b.db"), retry=Retry(2, delay=60))

    @work.job(durable=True)
    async def fails() -> None:
        raise ValueError

    caplog.set_level("WARNING", "afterwork")
    await order(work, lambda: after(fails) and None)
    await until(lambda: "worker.missing" in events(caplog))
    assert "afterwork worker" in fields(caplog, "worker.missing")["note"]
    await order(work, lambda: after.options(delay=60)(fails) and None)
    assert events(caplog).count("worker.missing") == 1
    await drain()


async def test_without_a_worker_nothing_is_this_process(tmp_path: Any) -> None:
    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"), worker=False)
    job, seen = durable(work)
    await order(work, lambda: after(job, 1))
    await drain()
    assert set(states(work.store).values()) == {"waiting"}
    other = Afterwork(store=SQLiteStore(tmp_path / "a.db"))
    _, seen_there = durable(other)
    async with serving(other):
        await until(lambda: seen_there == [1])
    assert seen == []


async def test_a_second_call_with_a_key_is_the_first_one(work: Afterwork) -> None:
    job, seen = durable(work)
    made: list[Any] = []
    for _ in range(2):
        await order(work, lambda: made.append(after.options(key="k", delay=0.1)(job, 1)))
    assert made[1].run_id == made[0].run_id
    assert await enqueue(job, 1, key="k") == made[0].run_id
    async with serving(work):
        await until(lambda: seen == [1])
        await until(lambda: not states(work.store))
    assert await enqueue(job, 2, key="k") != made[0].run_id


async def test_a_limit_over_all_processes_is_kept(work: Afterwork) -> None:
    running = most = 0

    @work.job(durable=True, concurrency=2)
    async def job() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1

    await order(work, lambda: [after(job) for _ in range(8)] and None)
    async with serving(work):
        await until(lambda: not states(work.store))
    assert most == 2
    assert work.store.jobs()["job"].counts == {"succeeded": 8}


async def test_jobs_that_are_registered_later_have_their_limits(work: Afterwork) -> None:
    durable(work)
    assert journal_of(work).limits() == {}

    @work.job(durable=True, rate="1/m")
    async def limited() -> None:
        raise AssertionError("nobody serves")

    assert list(journal_of(work).limits()) == ["limited"]


# -- the end of a run that did not end by itself


async def test_what_the_deadline_cuts_runs_again(tmp_path: Any) -> None:
    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"), budget=0.03)
    attempts: list[int] = []

    @work.job(durable=True)
    async def job() -> None:
        attempts.append(current_run().attempt)
        if len(attempts) == 1:
            await asyncio.sleep(60)

    made: list[Any] = []
    await order(work, lambda: made.append(after(job)))
    async with serving(work):
        record = await ended(work, made[0].run_id)
    assert (attempts, record.attempt) == ([1, 2], 2)


async def test_what_the_shutdown_cuts_waits_for_others(tmp_path: Any, caplog: Any) -> None:
    abandoned: list[Any] = []
    work = Afterwork(
        store=SQLiteStore(tmp_path / "a.db"), grace=0.02, worker=True, on_abandon=abandoned.extend
    )
    started: list[str] = []

    @work.job(durable=True)
    async def job(name: str) -> None:
        started.append(name)
        await asyncio.sleep(60)

    def handler() -> None:
        after(job, "request")
        after(asyncio.sleep, 60)

    app = work.wrap(answering(handler))
    async with lifespan(app):
        wire = Wire(http_scope(), [{"type": "http.request", "body": b""}])
        await app(wire.scope, wire.receive, wire.send)
        await enqueue(job, "worker")
        await until(lambda: len(started) == 2)
    left = calls(work.store).values()
    assert {each.state for each in left} == {"waiting"}
    assert [(each.envelope.attempt, each.envelope.crashes) for each in left] == [(2, 1)] * 2
    assert fields(caplog, "after.dropped")["callbacks"] == ["sleep"]
    assert events(caplog).count("after.given_back") == 2
    assert [run.name for run in abandoned] == ["sleep"]
    with tables(work.store) as rows:  # it has left
        assert rows._connection.execute("SELECT count(*) FROM owners").fetchone() == (0,)


async def test_who_leaves_while_something_runs_stays_known(work: Afterwork) -> None:
    """So that what it had is taken over once its lease is over."""
    go = asyncio.Event()

    @work.job(durable=True)
    async def job() -> None:
        await go.wait()

    await order(work, lambda: after(job) and None)
    await work.engine.close()
    with tables(work.store, writes=False) as rows:
        assert rows._connection.execute("SELECT count(*) FROM owners").fetchone() == (1,)
    go.set()
    await drain()
    await work.engine.close()
    await work.engine.close()
    assert states(work.store) == {}


async def test_a_call_that_kills_its_process_each_time_is_given_up(
    work: Afterwork, caplog: Any
) -> None:
    _, seen = durable(work)
    run = run_id()
    lost = Envelope(id=run, job="job", attempt=MOST_CRASHES + 2, crashes=MOST_CRASHES + 1)
    await work.engine.enqueue([lost])
    async with serving(work):
        record = await ended(work, run, "failed")
    lost_runs = f"given up: {MOST_CRASHES + 1} of its runs ended with their process"
    assert record.error == f"PermanentFailure: {lost_runs}"
    assert fields(caplog, "run.failed")["run_id"] == run
    assert [each.id for each in await work.dead_letters()] == [run]
    last = Envelope(id=run_id(), job="job", attempt=MOST_CRASHES + 1, crashes=MOST_CRASHES)
    await work.engine.enqueue([last])
    async with serving(work):
        await ended(work, last.id)
    assert seen == [None]


@pytest.mark.parametrize("payload", ["no json", '[["x", 1, 2], {}]', '[[], {"other": 1}]'])
async def test_what_cannot_be_read_is_a_dead_letter(work: Afterwork, payload: str) -> None:
    @work.job(durable=True)
    async def job(number: int) -> None:
        raise AssertionError("it cannot be called")

    run = run_id()
    await work.engine.enqueue([Envelope(id=run, job="job", payload=payload)])
    good = await enqueue(job, 1)
    async with serving(work):
        await ended(work, run, "failed")
        await ended(work, good, "failed")  # by its assertion, so it was called
    assert {each.id for each in await work.dead_letters()} == {run, good}


async def test_calls_of_unknown_jobs_wait_and_are_said(work: Afterwork, caplog: Any) -> None:
    job, seen = durable(work)
    await work.engine.enqueue([Envelope(id="x", job="other"), Envelope(id="y", job="another")])
    await enqueue(job, 1)
    async with serving(work):
        await until(lambda: seen)
        await until(lambda: "engine.unknown_job" in events(caplog))
    assert fields(caplog, "engine.unknown_job")["jobs"] == ["another", "other"]
    await until(lambda: states(work.store) == {"x": "waiting", "y": "waiting"})


# -- cancelling


async def test_a_call_that_waits_is_taken_back_with_a_record(work: Afterwork) -> None:
    job, _ = durable(work)
    run = await enqueue(job, 1, delay=60)
    assert await work.engine.status(run) == "waiting"
    assert await work.cancel(run)
    assert not await work.cancel(run)
    found = await work.status(run)
    assert found is not None
    assert (found.state, found.over) == ("cancelled", True)
    assert await work.engine.status(run) is None


async def test_a_run_is_cancelled_from_another_process(tmp_path: Any) -> None:
    here, there = (Afterwork(store=SQLiteStore(tmp_path / "a.db"), lease=0.15) for _ in range(2))
    started = asyncio.Event()
    made: list[Any] = []

    @here.job(durable=True, retry=Retry(3))
    async def job() -> None:
        started.set()
        await asyncio.sleep(60)

    durable(there)
    await order(here, lambda: made.append(after(job)))
    await started.wait()
    assert not await there.cancel(made[0].run_id, "no longer needed")
    record = await ended(here, made[0].run_id, "cancelled")
    assert record.reason == "no longer needed"
    assert states(here.store) == {}
    assert here.store.notes("stop:") == {}
    await drain()


async def test_a_request_takes_its_own_call_back_before_it_runs(tmp_path: Any) -> None:
    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"), limit=1)
    job, seen = durable(work)
    go = asyncio.Event()
    made: list[Any] = []

    def handler() -> None:
        after(go.wait)
        made.append(after(job))

    await order(work, handler)
    assert states(work.store) == {made[0].run_id: "running"}
    assert made[0].cancel()
    go.set()
    await ended(work, made[0].run_id, "cancelled")
    assert (states(work.store), seen) == ({}, [])
    await drain()


# -- losing it


async def test_a_run_that_another_process_has_taken_over_is_stopped(
    tmp_path: Any, caplog: Any
) -> None:
    here, there = (Afterwork(store=SQLiteStore(tmp_path / "a.db"), lease=0.15) for _ in range(2))
    ran: list[str] = []

    def register(work: Afterwork, name: str, seconds: float) -> Any:
        @work.job(durable=True)
        async def job() -> str:
            ran.append(name)
            await asyncio.sleep(seconds)
            return name

        return job

    job = register(here, "here", 60)
    register(there, "there", 0)
    made: list[Any] = []
    await order(here, lambda: made.append(after(job)))
    await until(lambda: ran == ["here"])
    with tables(here.store) as rows:  # as if it had been frozen
        rows._connection.execute("UPDATE owners SET alive_until_seconds = 1")
        (left,) = rows.take_over(journal_of(here).owner)
        assert left.envelope.id == made[0].run_id
    async with serving(there):
        record = await ended(there, made[0].run_id)
    await until(lambda: made[0].outcome is Outcome.CANCELLED)
    await drain()
    await until(lambda: "run.lease_lost" in events(caplog))
    assert ran == ["here", "there"]
    assert (record.attempt, record.state) == (2, "succeeded")
    assert here.store.run(made[0].run_id).state == "succeeded"  # type: ignore[union-attr]


async def test_what_a_dead_process_had_is_taken_over_and_said(work: Afterwork, caplog: Any) -> None:
    _, seen = durable(work)
    with tables(work.dispatch.store()) as rows:
        rows.enter("dead", "gone:1", 0)
        rows.add([(Envelope(id="x", job="job"), "dead")])
    async with serving(work):
        await until(lambda: seen)
    assert fields(caplog, "run.taken_over")["run_id"] == "x"
    record = await ended(work, "x")
    assert record.attempt == 2


async def test_a_run_that_is_lost_before_it_starts_does_not_start(tmp_path: Any) -> None:
    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"), limit=1, lease=0.15)
    job, seen = durable(work)
    go = asyncio.Event()
    made: list[Any] = []
    await order(work, lambda: made.extend([after(go.wait), after(job)]))
    made.pop(0)
    with tables(work.store) as rows:
        rows.take_over(journal_of(work).owner)
    await until(lambda: made[0].outcome is Outcome.CANCELLED)
    go.set()
    await drain()
    assert (seen, states(work.store)) == ([], {made[0].run_id: "waiting"})


async def test_a_lost_ticket_lets_nothing_run(work: Afterwork) -> None:
    job, _ = durable(work)
    ordered = journal_of(work).order(Envelope(id="x", job="job"))
    ticket: Any = ordered.ticket
    assert ticket.enter(ordered).outcome is None
    assert (ticket.delivery, ticket.earlier_attempts, ticket.admitted) == (None, 0, True)
    ticket.lost = True
    assert ticket.enter(ordered).outcome is Outcome.CANCELLED
    assert job is not None


# -- a request that is cancelled while its call is being written


class Slow(SQLiteStore):
    """A file whose writes take as long as a test wants."""

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self.gates: dict[str, Any] = {}
        self.reached: list[str] = []

    def journal(self, doing: str, *, writes: bool = True) -> Any:
        self.reached.append(doing)
        gate = self.gates.get(doing)
        if gate is not None:
            assert gate.wait(5)
        return super().journal(doing, writes=writes)


@pytest.mark.parametrize("worker", ["auto", False])
async def test_a_cancelled_request_leaves_no_call_that_nobody_runs(
    tmp_path: Any, worker: Any
) -> None:
    """Whenever it is cancelled: before, while and just after its call is written."""
    import threading

    for late in (False, True):
        store = Slow(tmp_path / f"{late}.db")
        work = Afterwork(store=store, worker=worker)
        job, seen = durable(work)
        work.dispatch.store()
        gate = store.gates["write down calls"] = threading.Event()
        wire = Wire(http_scope(), [{"type": "http.request", "body": b""}])
        app = work.wrap(answering(lambda job=job: after(job) and None))
        task: Any = asyncio.create_task(app(wire.scope, wire.receive, wire.send))
        await until(lambda store=store: store.reached)
        if late:
            gate.set()
            while not states(store):
                time.sleep(0.001)  # the loop does not hear of it
            time.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        gate.set()
        await until(lambda store=store: not states(store))
        await drain()
        assert (wire.messages, seen) == ([], [])


async def test_a_call_that_could_not_be_written_is_nobodys(tmp_path: Any) -> None:
    for store in (BrokenFile(tmp_path / "a.db"), BrokenMemory()):
        work = Afterwork(store=store)
        job, seen = durable(work)
        seen_errors: list[Any] = []
        work.dispatch.store()
        store.down = True

        async def app(scope: Any, receive: Any, send: Any, job: Any = job, log: Any = seen_errors):  # type: ignore[no-untyped-def]
            after(job)
            try:
                await respond(send)
            except StoreError as error:
                log.append(error)
                await respond(send, 503)

        wire = Wire(http_scope(), [{"type": "http.request", "body": b""}])
        await work.wrap(app)(wire.scope, wire.receive, wire.send)
        with pytest.raises(StoreError):
            await enqueue(job)
        store.down = False
        await drain()
        assert (wire.status, len(seen_errors), seen, states(store)) == (503, 1, [], {})


# -- a store that fails for a while


async def test_an_end_that_could_not_be_written_is_written_later(
    tmp_path: Any, caplog: Any
) -> None:
    for store in (BrokenFile(tmp_path / "a.db"), BrokenMemory()):
        work = Afterwork(store=store, lease=0.15)
        made: list[Any] = []

        @work.job(durable=True)
        async def job(how: str, store: Any = store) -> None:
            store.down = True
            if how == "fails":
                raise ValueError(how)

        for how in ("ends", "fails"):
            await order(
                work, partial(lambda job, how, made: made.append(after(job, how)), job, how, made)
            )
            await until(lambda work=work: journal_of(work)._late)
            store.down = False
            await ended(work, made[-1].run_id, "succeeded" if how == "ends" else "failed")
        assert "store.error" in events(caplog)
        assert list(states(store).values()) == ["failed"]
        assert list(states(store)) == [made[1].run_id]


async def test_a_beat_that_fails_is_said_and_the_next_one_comes(tmp_path: Any, caplog: Any) -> None:
    """A stop that cannot be taken off the store's notes does not end the beats."""
    store = BrokenFile(tmp_path / "a.db")
    work = Afterwork(store=store, lease=0.15)
    started = asyncio.Event()
    made: list[Any] = []

    @work.job(durable=True)
    async def job() -> None:
        started.set()
        await asyncio.sleep(60)

    await order(work, lambda: made.append(after(job)))
    await started.wait()
    store.fails = frozenset({"delete a note"})
    await work.cancel(made[0].run_id)
    await until(lambda: "store.error" in events(caplog))
    store.fails = frozenset()
    await ended(work, made[0].run_id, "cancelled")
    await drain()


# -- several apps, several processes


async def test_two_apps_in_one_file_do_not_see_each_other(tmp_path: Any) -> None:
    path = tmp_path / "a.db"
    one, two = (Afterwork(store=SQLiteStore(path, namespace=name)) for name in ("one", "two"))
    job, seen = durable(one)
    _, seen_two = durable(two)
    run = await enqueue(job, 1)
    async with serving(two):
        assert await two.status(run) is None
        await enqueue(two.jobs[0], 2)
        await until(lambda: seen_two == [2])
    async with serving(one):
        await until(lambda: seen == [1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_is_another_owner(tmp_path: Any) -> None:
    from tests.journal.test_group_commit import in_child

    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"), lease=0.6)
    job, _ = durable(work)
    journal = journal_of(work)

    async def one() -> str:
        made: list[Any] = []
        await order(work, lambda: made.append(after(job, 1)))
        await drain()
        await work.engine.close()
        return str(made[0].run_id)

    asyncio.run(one())
    owner = journal.owner

    def child() -> bool:
        run = asyncio.run(one())
        assert journal.owner != owner
        record = work.store.run(run)
        return record is not None and record.state == "succeeded"

    with journal._lock, journal.commits._lock:
        assert in_child(child) == 0
    assert journal.owner == owner
    assert states(work.store) == {}


async def test_a_request_in_a_forked_child_lives_as_its_own_owner(tmp_path: Any) -> None:
    """Where nobody told Python of the fork."""
    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"))
    durable(work)
    journal = journal_of(work)
    owner = journal.owner
    journal._process = -1
    assert journal.owner != owner


async def test_after_a_fork_nothing_of_the_parents_is_left(work: Afterwork) -> None:
    """What the hook does in a child, here."""
    job, _ = durable(work)
    journal = journal_of(work)
    await enqueue(job, 1, delay=60)
    lock, commits = journal._lock, journal.commits._lock
    thread = journal.commits._thread
    journal.listen(lambda: None)
    _after_fork()
    assert journal._lock is not lock
    assert journal.commits._lock is not commits
    assert journal._wakers == {}
    await enqueue(job, 2)
    assert journal.commits._thread is not thread
    assert len(states(work.store)) == 2


async def test_of_two_threads_one_names_the_process(work: Afterwork) -> None:
    durable(work)
    journal = journal_of(work)

    class Late:
        """The other one was first."""

        def __enter__(self) -> None:
            journal._owner, journal._process = "other", os.getpid()

        def __exit__(self, *error: object) -> None:
            return None

    lock: Any = Late()
    journal._lock = lock
    assert journal.owner == "other"


async def test_a_beat_passes_what_is_no_run_of_the_journal(work: Afterwork) -> None:
    """A call that ended while it was looked at is no lost one, and a run goes on."""
    job, _ = durable(work)
    journal = journal_of(work)
    assert journal.owner
    ordered = journal.order(Envelope(id="x", job="job"))
    ordered.ticket = None
    journal._beat()
    assert ordered.cut is None
    journal._running.clear()
    await enqueue(job, 1, delay=60)
    run = await enqueue(job, 2)
    (taken,) = journal.take(1)
    kept = journal.order(taken)
    journal._beat()
    assert (taken.id, kept.cut) == (run, None)


async def test_what_a_delay_can_be(work: Afterwork) -> None:
    job, seen = durable(work)
    await enqueue(job, 1, delay=timedelta(0))
    async with serving(work):
        await until(lambda: seen == [1])
    assert journal_of(work).name == f"journal in {type(work.store).__name__}"

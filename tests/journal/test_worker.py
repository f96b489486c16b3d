"""The worker of a journal."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from afterwork import Afterwork, MemoryStore, SQLiteStore
from afterwork import _journal_worker as worker
from afterwork._rate import Rate
from afterwork._settings import Settings
from afterwork.errors import InvalidOptionError
from afterwork.testing import drain
from tests.journal.support import (
    BrokenMemory,
    calls,
    durable,
    enqueue,
    journal_of,
    serving,
    states,
    tables,
)
from tests.support import PATIENCE, events, until


async def test_a_worker_that_is_cancelled_while_it_takes_gives_back(tmp_path: Any) -> None:
    """What was taken out for nobody waits again, in the same attempt."""

    class Slow(SQLiteStore):
        gate = threading.Event()
        reached = False

        def journal(self, doing: str, *, writes: bool = True) -> Any:
            if doing == "take calls":
                self.reached = True
                assert self.gate.wait(PATIENCE)
            return super().journal(doing, writes=writes)

    store = Slow(tmp_path / "a.db")
    work = Afterwork(store=store)
    job, seen = durable(work)
    run = await enqueue(job, 1)
    task = asyncio.create_task(work.engine.serve(concurrency=1, stop=asyncio.Event().wait()))
    await until(lambda: store.reached)
    task.cancel()
    await asyncio.wait([task])
    store.gate.set()
    await until(lambda: "running" in states(store).values() or journal_of(work)._beats)
    async with serving(work):
        await until(lambda: seen == [1])
    await until(lambda: store.run(run))
    record = store.run(run)
    assert record is not None
    assert record.attempt == 1


async def test_what_was_taken_and_not_begun_is_given_back() -> None:
    """Also when the worker ends between the two."""
    work = Afterwork(store=MemoryStore())
    job, _ = durable(work)
    for number in range(2):
        await enqueue(job, number)
    journal = journal_of(work)
    one = worker.JournalWorker(journal, 10)
    assert one._take_out(1) == 1
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    stop.set_result(None)
    one._stopped = True
    await one.run(stop)
    await until(lambda: set(states(work.store).values()) == {"waiting"})
    assert one._take_out(2) == 2
    await until(lambda: set(states(work.store).values()) == {"waiting"})
    assert {each.envelope.attempt for each in calls(work.store).values()} == {1}


async def test_a_store_that_is_down_is_asked_again(
    caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FAILED_SECONDS", 0.001)
    store = BrokenMemory()
    work = Afterwork(store=store)
    job, seen = durable(work)
    await enqueue(job, 1)
    store.down = True
    async with serving(work):
        await until(lambda: "store.error" in events(caplog))
        store.down = False
        await until(lambda: seen == [1])


async def test_what_nobody_expected_does_not_end_it(
    caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "FAILED_SECONDS", 0.001)
    work = Afterwork(store=MemoryStore())
    job, seen = durable(work)
    run = await enqueue(job, 1)
    journal = journal_of(work)
    monkeypatch.setattr(journal, "take", lambda most: 1 / 0)
    async with serving(work):
        await until(lambda: "worker.failed" in events(caplog))
        monkeypatch.undo()
        await until(lambda: seen == [1])
    assert run


async def test_a_call_that_cannot_be_started_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = Afterwork(store=MemoryStore())
    job, seen = durable(work)
    runs = [await enqueue(job, number) for number in range(3)]
    order = journal_of(work).order

    def fail_once(envelope: Any) -> Any:
        if envelope.id == runs[0]:
            raise ZeroDivisionError
        return order(envelope)

    monkeypatch.setattr(journal_of(work), "order", fail_once)
    async with serving(work):
        await until(lambda: sorted(seen) == [1, 2])
        await until(lambda: work.store.run(runs[0]))
    assert [each.id for each in await work.dead_letters()] == [runs[0]]


async def test_it_runs_no_more_at_a_time_than_it_may_and_stops_in_time() -> None:
    work = Afterwork(store=MemoryStore())
    running = most = ended = 0
    go = asyncio.Event()

    @work.job(durable=True)
    async def job() -> None:
        nonlocal running, most, ended
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1
        ended += 1

    for _ in range(5):
        await enqueue(job)
    async with serving(work, concurrency=2) as stop:
        await until(lambda: running == 2)
        stop.set()
        await asyncio.sleep(0.01)
        go.set()
    assert (most, ended, running) == (2, 2, 0)
    assert list(states(work.store).values()).count("waiting") == 3
    async with serving(work, concurrency=2):
        await until(lambda: ended == 5)
    assert most == 2


async def test_a_ring_before_it_sleeps_is_heard() -> None:
    work = Afterwork(store=MemoryStore())
    durable(work)
    one = worker.JournalWorker(journal_of(work), 1)
    one.ring()
    async with asyncio.timeout(PATIENCE):
        await one._sleep(work.dispatch.running_loop(), 60)


async def test_what_is_written_elsewhere_is_found_by_itself(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.01)
    work, other = (Afterwork(store=SQLiteStore(tmp_path / "a.db")) for _ in range(2))
    _, seen = durable(work)
    job, _ = durable(other)
    async with serving(work):
        await asyncio.sleep(0.02)
        await enqueue(job, "from there")
        await until(lambda: seen == ["from there"])


async def test_only_who_owns_something_is_known(tmp_path: Any) -> None:
    """Whoever is known dies after a lease without a sign of life."""
    work = Afterwork(store=SQLiteStore(tmp_path / "a.db"), lease=0.15)
    job, seen = durable(work)

    def owners() -> int:
        with tables(work.dispatch.store(), writes=False) as rows:
            found = rows._connection.execute("SELECT count(*) FROM owners").fetchone()
            return int(found[0])

    await enqueue(job, 1)
    assert owners() == 0
    async with serving(work):
        await until(lambda: seen)
        assert owners() == 1
    with tables(work.store) as rows:
        rows.forget_owner(journal_of(work).owner)
    await until(lambda: owners() == 1)  # by its next beat
    await work.engine.close()
    assert owners() == 0
    await drain()


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/m", Rate(10, 60)), ("1/30s", Rate(1, 30)), (" 500 / h ", Rate(500, 3600))],
)
def test_rates(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


@pytest.mark.parametrize("text", [5, "10", "0/m", "1/0s", "x/m", "-1/m", "²/m", "9" * 10 + "/m"])
def test_what_is_no_rate(text: Any) -> None:
    with pytest.raises(InvalidOptionError, match="rate must be"):
        Rate.parse(text)


def test_the_settings_of_a_worker_are_checked() -> None:
    with pytest.raises(InvalidOptionError, match="worker must be"):
        Settings(worker="sometimes")

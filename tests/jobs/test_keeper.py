"""The keeper of leases: one thread, there only while there is something to keep."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import pytest

from afterwork import MemoryStore, _keeper, current_run
from afterwork._job_ticket import JobTicket
from afterwork._keeper import Keeper
from tests.jobs.support import caller, new_work, until


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_keeper, "IDLE_SECONDS", 0.0)


def counting() -> tuple[list[int], Callable[[], None]]:
    calls: list[int] = []
    return calls, lambda: calls.append(threading.get_ident())


async def test_what_is_held_is_called_until_it_is_dropped() -> None:
    """By one thread for all, which ends when nothing is held."""
    keeper = Keeper(0.005)
    (one, renew_one), (two, renew_two) = counting(), counting()
    keeper.hold(renew_one)
    keeper.hold(renew_two)
    await until(lambda: len(one) > 2 and len(two) > 2)
    assert len({*one, *two}) == 1
    assert threading.get_ident() not in one

    keeper.drop(renew_one)
    keeper.drop(renew_two)
    keeper.drop(renew_two)  # a second time is no mistake
    await until(lambda: keeper._thread is None)
    counted = len(one)

    keeper.hold(renew_two)
    counted_two = len(two)
    await until(lambda: len(two) > counted_two)
    assert len(one) == counted
    keeper.drop(renew_two)
    await until(lambda: keeper._thread is None)


async def test_holding_again_puts_nothing_off() -> None:
    """O4: a run that waits for its lease is held at every look; it is renewed all the same."""
    keeper = Keeper(0.02)
    calls, renew = counting()

    def hold_again() -> bool:
        keeper.hold(renew)
        return len(calls) > 2

    await until(hold_again)

    keeper.drop(renew)
    await until(lambda: keeper._thread is None)


async def test_it_does_not_wait_for_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread ends soon, and not at the next renewal."""
    monkeypatch.setattr(_keeper, "MAX_SLEEP_SECONDS", 0.005)
    keeper = Keeper(3600)
    _, renew = counting()
    keeper.hold(renew)
    thread = keeper._thread
    assert thread is not None
    assert thread.daemon

    keeper.drop(renew)

    await until(lambda: not thread.is_alive())


async def test_a_run_leaves_nothing_behind() -> None:
    """No ticket and no lease, in either mode, and however it ended."""
    work = new_work(store=MemoryStore())

    @work.cron("0 * * * *")
    async def job() -> None:
        if current_run().payload is not None:
            raise RuntimeError

    call = caller(work)
    for mode in ("wait", "accept"):
        for body in (b"", b"1"):
            await call(f"/job?slot=manual&mode={mode}", content=body)
            await until(lambda: not work.pipeline.queues)

    def left() -> list[object]:
        gc.collect()
        tickets = [each for each in gc.get_objects() if type(each) is JobTicket]
        return [each for each in tickets if each.dispatch is work.dispatch]

    assert len(work.store.runs()) == 4
    await until(lambda: not left())
    assert work.dispatch._kept == {}
    assert work.dispatch._keeper._held == {}

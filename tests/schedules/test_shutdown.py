"""When a process is told to end, or stands still: L4 and F5 of the cases."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from afterwork import Afterwork, SQLiteStore
from tests.schedules.rows import UVICORN
from tests.schedules.slots import assert_none_ran_twice, ran, recorded
from tests.servers.journal import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.schedules.conftest import Start

STANDSTILL_SECONDS = 5.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """The store of the server under test, as another process of the machine sees it."""
    store = SQLiteStore(tmp_path / "clockwork.db")
    store.open()
    yield store
    store.close()


def test_sigterm_lets_a_run_finish_and_starts_none(start: Start, store: SQLiteStore) -> None:
    """L4: what runs has the grace."""
    server = start(UVICORN, CLOCKWORK_SECONDS="2.5", CLOCKWORK_OVERLAP="skip")
    until(lambda: server.journal.lines("started"), "a run to start")
    server.terminate()
    server.exited()

    (started,) = server.journal.lines("started")
    (over,) = server.journal.lines("ran")
    assert over.at > server.signalled
    assert recorded(store, "succeeded") == {int(started.name)}
    assert not recorded(store, "running")


async def test_what_outlasts_the_grace_is_cancelled_and_its_lease_free(
    start: Start, store: SQLiteStore
) -> None:
    """L4: recorded as cancelled; another process runs the job at once, not only when the lease of
    an hour has ended."""
    server = start(
        UVICORN,
        CLOCKWORK_SECONDS="60",
        CLOCKWORK_OVERLAP="skip",
        CLOCKWORK_GRACE="0.5",
        CLOCKWORK_LEASE="3600",
    )
    until(lambda: server.journal.lines("started"), "a run to start")
    server.terminate()
    assert server.exited() < 10

    (run,) = store.runs(job="beat", state="cancelled")
    assert (run.slot, run.reason) == (int(server.journal.lines("started")[0].name), "shutdown")
    assert not server.journal.lines("ran")
    work = Afterwork(store=store)

    @work.job(name="beat", overlap="skip")
    async def beat() -> None: ...

    assert (await work.run("beat")).outcome == "succeeded"


def test_a_machine_that_stood_still_catches_up_with_the_newest(
    start: Start, store: SQLiteStore
) -> None:
    """F5: SIGSTOP for some slots, then SIGCONT. Of what passed the newest slot runs and the others
    are recorded as missed; then it goes on as before, and nothing runs twice."""
    server = start(UVICORN, CLOCKWORK_MISFIRE="once")
    until(lambda: len(ran(server.journal)) >= 2, "two slots")
    os.kill(server.process.pid, signal.SIGSTOP)
    stopped = time.time()
    until(lambda: time.time() > stopped + STANDSTILL_SECONDS, "time to pass")
    before = set(ran(server.journal))
    went_on = int(time.time())
    os.kill(server.process.pid, signal.SIGCONT)
    until(lambda: len(set(ran(server.journal)) - before) >= 4, "four more slots")
    server.terminate()
    server.exited()

    slots, missed = set(ran(server.journal)), recorded(store, "missed")
    passed = set(range(max(before) + 1, went_on))
    assert len(passed & missed) >= 3
    assert min(slots - before - {max(before) + 1}) >= went_on
    assert_none_ran_twice(server.journal)
    assert not slots & missed
    assert slots | missed == set(range(min(slots), max(slots) + 1))

"""A run is asked to stop through the store, by its id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from afterwork import Outcome
from afterwork._job_ticket import STOP_PREFIX
from tests.jobs.support import new_work, until

if TYPE_CHECKING:
    from afterwork import Run


async def test_one_of_two_runs_that_overlap_is_stopped() -> None:
    """It holds no lock, and the other goes on."""
    work = new_work(lease=0.06)
    go_on = asyncio.Event()

    @work.job
    async def waits() -> None:
        await go_on.wait()

    runs = [asyncio.create_task(work.run("waits")) for _ in range(2)]
    await until(lambda: len(work.store.runs(state="running")) == 2)
    newest, oldest = work.store.runs(state="running")
    work.dispatch.cancel(newest.id, "enough")
    await until(lambda: len(work.store.runs(state="running")) == 1)

    stopped = work.store.run(newest.id)
    assert stopped is not None
    assert (stopped.state, stopped.reason) == ("cancelled", "enough")
    go_on.set()
    ended: list[Run] = await asyncio.gather(*runs)
    assert {run.id: run.outcome for run in ended} == {
        newest.id: Outcome.CANCELLED,
        oldest.id: Outcome.SUCCEEDED,
    }
    assert not work.store.notes(STOP_PREFIX)  # a later attempt of the same run is not meant

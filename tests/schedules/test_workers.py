"""One server, several processes: each slot runs once. Group L of the cases."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.schedules.rows import (
    OTHER_ROWS,
    RELOADING,
    THREE_WORKERS,
    TWO_WORKERS,
    UVICORN,
)
from tests.schedules.slots import assert_each_ran_once, assert_none_ran_twice, observed, ran
from tests.servers.journal import until

if TYPE_CHECKING:
    from tests.schedules.conftest import Start
    from tests.servers.rows import Row


def test_three_workers_run_ten_slots_ten_times(start: Start) -> None:
    """L1, O1: `uvicorn --workers 3` on one SQLite file. All three have a scheduler."""
    server = start(THREE_WORKERS)
    until(lambda: len(observed(server.journal)) >= 10, "ten slots")
    server.terminate()
    server.exited()

    assert_each_ran_once(server.journal, observed(server.journal))
    assert server.log.count("Started server process") == 3


@pytest.mark.parametrize("row", OTHER_ROWS, ids=str)
def test_other_servers_run_the_scheduler_too(row: Row, start: Start) -> None:
    """L1: hypercorn with two workers, hypercorn on trio, granian."""
    server = start(row)
    until(lambda: len(observed(server.journal)) >= 3, "three slots")
    server.terminate()
    server.exited()

    assert_each_ran_once(server.journal, observed(server.journal))


def test_a_reloader_runs_each_slot_once(start: Start, tmp_path: Path) -> None:
    """L2: `uvicorn.run(..., reload=True)` under `__main__`. The parent registers the job as well,
    and runs nothing; after a reload it goes on in a new process, without doubles."""
    shutil.copy(Path(__file__).with_name("reloading.py"), tmp_path)  # a copy that may be touched
    server = start(RELOADING)
    until(lambda: len(observed(server.journal)) >= 2, "two slots")
    first = {line.pid for line in server.journal.lines("ran")}
    os.utime(tmp_path / "reloading.py")
    until(lambda: {line.pid for line in server.journal.lines("ran")} - first, "the new process")
    again = max(ran(server.journal))
    until(lambda: max(ran(server.journal)) >= again + 2, "two more slots")
    server.terminate()
    server.exited()

    pids = [line.pid for line in server.journal.lines("started")]
    assert len(first) == 1
    assert len(set(pids)) == 2
    assert server.process.pid not in pids
    assert_each_ran_once(server.journal, observed(server.journal))


def test_a_store_of_its_own_for_each_worker_is_said(start: Start) -> None:
    """L3: on stderr, at the start, with the fix."""
    server = start(TWO_WORKERS, CLOCKWORK_STORE="memory:")
    until(lambda: server.log.count("store.not_shared") == 2, "both workers to warn")
    assert "Afterwork(store='sqlite:///afterwork.db')" in server.log


def test_a_single_process_is_not_warned(start: Start) -> None:
    """L3: its store is its own, and that is enough. Where a parent starts the only worker, as
    granian and reloaders do, nobody can know that it is the only one."""
    server = start(UVICORN, CLOCKWORK_STORE="memory:")
    until(lambda: ran(server.journal), "a slot")
    assert_none_ran_twice(server.journal)
    assert "store.not_shared" not in server.log

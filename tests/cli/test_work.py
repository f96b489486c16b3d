"""`work`: the scheduler as a process of its own."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from afterwork import SQLiteStore
from tests.cli.support import started, wait_for
from tests.cli.test_run import make_due, records

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.support import Shell

EVERY_SECOND = """
import asyncio, pathlib
from afterwork import Afterwork

work = Afterwork(scheduler=False)

@work.every("1s", overlap="allow")
async def ticks():
    with open("ticks", "a") as file:
        file.write("x")
    while pathlib.Path("hold").exists():
        await asyncio.sleep(0.01)
"""

STOPPING = """
import asyncio, os, signal
from afterwork import Afterwork, after

work = Afterwork(grace={grace})

@work.every("1h")
async def hourly():
    after(print, "a callback")
    os.kill(os.getpid(), signal.{signal})
    {rest}
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_runs_jobs_until_it_is_stopped(tmp_path: Path, number: int, code: int) -> None:
    """A run that is on its way may end, and nobody misses the scheduler afterwards."""
    (tmp_path / "main.py").write_text(EVERY_SECOND)
    (tmp_path / "hold").touch()
    process = started(tmp_path, "work", "--json")
    try:
        wait_for((tmp_path / "ticks").exists)
        process.send_signal(number)
        wait_for(lambda: not heartbeats(tmp_path))
        (tmp_path / "hold").unlink()
        out, _ = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    runs = [json.loads(line)["run"] for line in out.splitlines()]
    assert runs
    assert {run["state"] for run in runs} == {"succeeded"}
    assert len(runs) == len(records(tmp_path)) == len((tmp_path / "ticks").read_text())


def heartbeats(folder: Path) -> dict[str, str]:
    store = SQLiteStore(folder / "afterwork.db")
    store.open()
    try:
        return store.notes("scheduler:")
    finally:
        store.close()


def test_one_line_for_each_run(empty: Shell) -> None:
    empty.write(STOPPING.format(grace=5, signal="SIGTERM", rest="await asyncio.sleep(0.1)"))
    make_due(empty.folder, 1)
    done = empty("work")
    assert done.code == 143
    (line,) = [line for line in done.out.splitlines() if "hourly" in line]
    assert "hourly succeeded in" in line
    assert "running 1 job of main:work" in done.err
    assert "waiting up to 5 s for " in done.err
    assert "a callback" in done.out


def test_lines_of_json(empty: Shell) -> None:
    """What the job prints is not among them."""
    empty.write(STOPPING.format(grace=5, signal="SIGTERM", rest="pass"))
    make_due(empty.folder, 1)
    done = empty("work", "--json")
    assert json.loads(done.out)["run"]["job"] == "hourly"
    assert "a callback" in done.err


def test_what_does_not_end_in_time_is_cut(empty: Shell) -> None:
    empty.write(STOPPING.format(grace=0, signal="SIGTERM", rest="await asyncio.sleep(60)"))
    make_due(empty.folder, 1)
    done = empty("work")
    assert done.code == 143
    assert "hourly cancelled in" in done.out
    assert records(empty.folder)[0].state == "cancelled"


def test_a_second_signal_cuts(empty: Shell) -> None:
    twice = (
        "await asyncio.sleep(0.05); os.kill(os.getpid(), signal.SIGINT); await asyncio.sleep(60)"
    )
    empty.write(STOPPING.format(grace=50, signal="SIGINT", rest=twice))
    make_due(empty.folder, 1)
    done = empty("work")
    assert done.code == 130
    assert "hourly cancelled" in done.out


def test_a_failure_is_on_its_line(empty: Shell) -> None:
    empty.write(STOPPING.format(grace=5, signal="SIGTERM", rest="raise ValueError('no')"))
    make_due(empty.folder, 1)
    assert "hourly failed in 0 ms: ValueError: no" in empty("work").out


def test_a_store_that_goes_away_does_not_hold_it_up(
    empty: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from afterwork.errors import StoreError

    empty.write(STOPPING.format(grace=5, signal="SIGTERM", rest="pass"))
    make_due(empty.folder, 1)

    def fail(self: SQLiteStore, key: str) -> bool:
        raise StoreError("test", "delete", "it is down")

    monkeypatch.setattr(SQLiteStore, "delete", fail)
    assert empty("work").code == 143


def test_a_scheduler_that_ends_by_itself(empty: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it logs says why."""
    empty.write(STOPPING.format(grace=5, signal="SIGTERM", rest="pass"))

    async def nothing(self: object) -> None: ...

    monkeypatch.setattr("afterwork._scheduler.Shift.run", nothing)
    assert empty("work").code == 1


def test_where_it_cannot_run(shop: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.write("from afterwork import Afterwork\nwork = Afterwork()\nwork.job(name='x')(int)")
    done = shop("work")
    assert done.code == 1
    assert "no job of main:work has a schedule" in done.err
    monkeypatch.setenv("VERCEL", "1")
    done = shop("work")
    assert done.code == 1
    assert "the scheduler cannot run here: the host 'vercel'" in done.err

"""Many small writes as one."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from afterwork import _group_commit, _threadless
from afterwork._group_commit import GroupCommit, Write
from afterwork._loop import current_loop
from afterwork.errors import StoreError
from tests.support import PATIENCE, events, until


class Disk:
    """What is written, one list per transaction. `gate`: it takes its time."""

    def __init__(self) -> None:
        self.written: list[list[Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = 0
        self.down: BaseException | None = None

    @contextmanager
    def begin(self, doing: str) -> Iterator[list[Any]]:
        self.begun += 1
        assert self.gate.wait(PATIENCE)
        if self.down is not None:
            raise self.down
        rows: list[Any] = []
        yield rows
        self.written.append(rows)

    def apply(self, rows: list[Any], batch: list[Write[list[Any]]]) -> None:
        for write in batch:
            write.answer = write.call(rows)

    @property
    def rows(self) -> list[Any]:
        return [row for rows in self.written for row in rows]


def commits(disk: Disk) -> GroupCommit[list[Any]]:
    return GroupCommit(disk.begin, disk.apply)


def here() -> Any:
    loop = current_loop()
    assert loop is not None
    return loop


def note(what: Any) -> Any:
    def write(rows: list[Any]) -> Any:
        if isinstance(what, BaseException):
            raise what
        rows.append(what)
        return what

    return write


async def test_what_comes_meanwhile_goes_together() -> None:
    disk = Disk()
    group = commits(disk)
    disk.gate.clear()
    first = asyncio.create_task(group.write(note("first"), here()))
    await until(lambda: disk.begun == 1)
    others = [asyncio.create_task(group.write(note(n), here())) for n in range(700)]
    await asyncio.sleep(0)
    disk.gate.set()
    assert await first == "first"
    assert await asyncio.gather(*others) == list(range(700))
    assert [len(rows) for rows in disk.written] == [1, _group_commit.MOST_AT_ONCE, 200]
    assert disk.rows == ["first", *range(700)]


async def test_one_that_raises_harms_no_other() -> None:
    disk = Disk()
    group = commits(disk)
    disk.gate.clear()
    tasks = [asyncio.create_task(group.write(note(0), here()))]
    await until(lambda: disk.begun == 1)
    whats: list[Any] = [1, ValueError("two"), 3, KeyError("four"), 5]
    tasks += [asyncio.create_task(group.write(note(what), here())) for what in whats]
    await asyncio.sleep(0)
    disk.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [repr(each) for each in answers] == [repr(each) for each in (0, *whats)]
    assert disk.rows == [0, 1, 3, 5]


async def test_an_error_of_the_store_is_everybodys_and_nothing_is_written() -> None:
    disk = Disk()
    group = commits(disk)
    disk.gate.clear()
    disk.down = StoreError("test", "write", "it is down")
    tasks = [asyncio.create_task(group.write(note(n), here())) for n in range(5)]
    await until(lambda: disk.begun == 1)
    disk.gate.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(each) for each in answers} == {StoreError}
    assert disk.rows == []
    disk.down = None
    assert await group.write(note("later"), here()) == "later"


async def test_from_many_threads_and_loops_at_once() -> None:
    disk = Disk()
    group = commits(disk)
    answers: list[int] = []

    def one(start: int) -> None:
        async def write_all() -> None:
            loop = here()
            writes = (group.write(note(start + n), loop) for n in range(50))
            answers.extend(await asyncio.gather(*writes))

        asyncio.run(write_all())

    threads = [threading.Thread(target=one, args=(n * 50,)) for n in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        await asyncio.sleep(0.001)
    assert sorted(answers) == sorted(disk.rows) == list(range(300))


async def test_its_thread_ends_when_nothing_comes_and_is_there_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_group_commit, "IDLE_SECONDS", 0.01)
    disk = Disk()
    group = commits(disk)
    for number in range(3):
        assert await group.write(note(number), here()) == number
        thread = group._thread
        assert thread is not None
        await until(lambda thread=thread: not thread.is_alive())
        assert group._thread is None


async def test_what_comes_as_it_ends_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its last look and its end: it looks again."""
    disk = Disk()
    group = commits(disk)
    looked: list[object] = []

    class Late(queue.SimpleQueue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if not looked:
                looked.append(None)
                raise queue.Empty
            return super().get(block, timeout)

    monkeypatch.setattr(queue, "SimpleQueue", Late)
    assert await group.write(note("late"), here()) == "late"
    assert looked


async def test_a_waiter_that_is_cancelled_leaves_the_write_alone() -> None:
    disk = Disk()
    group = commits(disk)
    disk.gate.clear()
    task = asyncio.create_task(group.write(note("x"), here()))
    await until(lambda: disk.begun == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    disk.gate.set()
    await until(lambda: disk.rows == ["x"])
    assert await group.write(note("y"), here()) == "y"


def test_a_loop_that_is_closed_meanwhile_harms_no_other() -> None:
    disk = Disk()
    group = commits(disk)
    disk.gate.clear()

    async def leave() -> None:
        task = asyncio.create_task(group.write(note("gone"), here()))
        await until(lambda: disk.begun == 1)
        task.cancel()

    asyncio.run(leave())

    async def stay() -> Any:
        task = asyncio.create_task(group.write(note("here"), here()))
        await asyncio.sleep(0)
        disk.gate.set()
        return await task

    assert asyncio.run(stay()) == "here"
    assert disk.rows == ["gone", "here"]


async def test_who_is_told_cannot_stop_it(caplog: pytest.LogCaptureFixture) -> None:
    """What is called in its thread may fail; the others have their answers all the same."""
    disk = Disk()
    group = commits(disk)
    bad = Write(note("bad"))

    def fail(write: Any) -> None:
        raise ZeroDivisionError

    bad.then = fail
    disk.gate.clear()
    waiting = asyncio.create_task(group.begun(bad, here()))
    other = asyncio.create_task(group.write(note("good"), here()))
    await until(lambda: disk.begun == 1)
    disk.gate.set()
    async with asyncio.timeout(PATIENCE):
        await waiting
        assert await other == "good"
    assert events(caplog) == ["journal.failed"]


def in_child(call: Any) -> int:
    """Forks, calls that in the child, and returns its exit status: 0 if it returned true."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if call() else 1)
        except BaseException:
            os._exit(2)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return -1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_its_own_and_nothing_of_its_parents() -> None:
    """Also where the fork came while its parent was writing, and somebody held the lock."""
    disk = Disk()
    group = commits(disk)
    disk.gate.clear()
    group.submit(Write(note("on its way")))
    while disk.begun == 0:
        time.sleep(0.001)
    group.submit(Write(note("in line")))

    def child() -> bool:
        group.forked()
        disk.gate = threading.Event()
        disk.gate.set()
        done = threading.Event()
        write: Write[list[Any]] = Write(note("child"))
        write.then = lambda write: done.set()
        group.submit(write)
        return done.wait(PATIENCE / 2) and disk.rows == ["child"]

    with group._lock:
        status = in_child(child)
    disk.gate.set()
    assert status == 0
    end = time.monotonic() + PATIENCE
    while disk.rows != ["on its way", "in line"] and time.monotonic() < end:
        time.sleep(0.001)
    assert disk.rows == ["on its way", "in line"]


async def test_without_threads_each_write_has_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_threadless, "THREADS", False)
    disk = Disk()
    group = commits(disk)
    assert await asyncio.gather(*(group.write(note(n), here()) for n in range(3))) == [0, 1, 2]
    assert disk.written == [[0], [1], [2]]
    assert group._thread is None


def test_it_is_generic_at_run_time_too() -> None:
    assert GroupCommit[int] is not None

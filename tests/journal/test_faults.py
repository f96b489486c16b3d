"""Faults of the file lose nothing that was acknowledged, and hang nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from afterwork import Afterwork, SQLiteStore, after
from afterwork.errors import StoreError
from tests.journal.support import calls, durable, enqueue, journal_of, serving, states
from tests.schedules.rows import ROOT
from tests.support import PATIENCE, Wire, http_scope, respond, until

FRAME_HEAD = 24
"""Bytes before the page of a frame in a WAL (sqlite.org/fileformat2.html, 4.1); its head has 32."""


# -- a WAL that was cut


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The files of a process that was killed with -9, and how many calls it had on the disk."""
    path = tmp_path_factory.mktemp("killed") / "a.db"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.crash", str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""},
    )
    assert process.stdout is not None
    said = 0
    while said < 60:
        line = process.stdout.readline()
        assert line, "it ended by itself"
        said = int(line)
    process.kill()
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    return path, int(rest[-1]) if rest else said


def frames(wal: bytes) -> list[int]:
    """Where each commit of a WAL ends, in bytes."""
    page = int.from_bytes(wal[8:12], "big")
    salt = wal[16:24]
    size = FRAME_HEAD + page
    ends = []
    for start in range(32, len(wal) - size + 1, size):
        head = wal[start : start + FRAME_HEAD]
        if head[8:16] != salt:
            break
        if int.from_bytes(head[4:8], "big"):  # the last frame of a commit
            ends.append(start + size)
    return ends


def copied(path: Path, folder: Path) -> Path:
    folder.mkdir()
    for end in ("", "-wal"):  # not the -shm: it is memory, and gone with the machine
        shutil.copy(f"{path}{end}", folder / f"a.db{end}")
    return folder / "a.db"


def cuts(wal: bytes) -> Iterator[int]:
    ends = frames(wal)
    assert len(ends) > 30
    yield from (0, 1, 31, 32, 33, 32 + 23, 32 + 24, len(wal), len(wal) - 1)
    for end in ends[:: len(ends) // 6]:
        yield from (end - 4097, end - 100, end - 1, end, end + 1, end + 23, end + 24, end + 2000)


def test_what_lies_before_a_cut_is_there(killed: tuple[Path, int], tmp_path: Path) -> None:
    path, said = killed
    wal = Path(f"{path}-wal").read_bytes()
    ends = frames(wal)
    whole = copied(path, tmp_path / "whole")
    store = SQLiteStore(whole)
    store.open()
    there = sorted(states(store))
    store.close()
    assert there[:said] == [f"{number:06}" for number in range(1, said + 1)]
    assert said <= len(there) <= said + 1
    # What a checkpoint had put into the file is there without any WAL.
    for number, cut in enumerate(sorted({min(each, len(wal)) for each in cuts(wal)})):
        file = copied(path, tmp_path / f"{number}")
        os.truncate(f"{file}-wal", cut)
        store = SQLiteStore(file)
        store.open()
        found = sorted(states(store))
        lost = sum(end > cut for end in ends)
        assert found == there[: len(there) - lost] or (lost == len(ends) and not found), cut
        with store.journal("it goes on") as tables:
            tables.bury(found)
        store.close()


# -- a disk that is full, or read-only


@contextmanager
def disk(folder: Path, size: str = "2m") -> Iterator[Path]:
    """A small file system of its own."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "afterwork-test", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting needs root: {mounted.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(ballast: Path) -> None:
    """Leaves no space on a disk."""
    file = os.open(ballast, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, b"x" * 1024)
    except OSError:
        os.close(file)


class Shop:
    """An app that promises work, and what it promised."""

    def __init__(self, store: Any) -> None:
        self.work = Afterwork(store=store, worker=False, max_payload=100_000)
        self.job, self.seen = durable(self.work)
        self.promised: list[str] = []
        self.refused: list[str] = []

    async def order(self, what: str = "x" * 3000) -> None:
        made: list[str] = []
        refused: list[BaseException] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            made.append(after(self.job, what).run_id)
            try:
                await respond(send)
            except StoreError as error:
                refused.append(error)
                await respond(send, 503)

        wire = Wire(http_scope(), [{"type": "http.request", "body": b""}])
        async with asyncio.timeout(PATIENCE):
            await self.work.wrap(app)(wire.scope, wire.receive, wire.send)
        assert (wire.status == 200) is (not refused)
        (self.promised if wire.status == 200 else self.refused).extend(made)


async def test_a_full_disk_refuses_and_goes_on_once_there_is_space(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder:
        store = SQLiteStore(folder / "a.db")
        shop = Shop(store)
        await shop.order()
        ballast = folder / "ballast"
        fill(ballast)
        while len(shop.refused) < 5:
            await asyncio.gather(*(shop.order() for _ in range(3)))
        with pytest.raises(StoreError, match="full"):
            await enqueue(shop.job, "x" * 3000)
        ballast.unlink()
        for _ in range(3):
            await shop.order()
        assert sorted(calls(store)) == sorted(shop.promised)
        # What was acknowledged is in the file, for whoever opens it next.
        shutil.copytree(folder, tmp_path / "copy")
        other = SQLiteStore(tmp_path / "copy" / "a.db")
        other.open()
        assert sorted(calls(other)) == sorted(shop.promised)
        other.close()
        store.close()


async def test_a_run_that_ends_while_the_disk_is_full_ends_later(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder:
        store = SQLiteStore(folder / "a.db")
        work = Afterwork(store=store, lease=0.15)
        ballast = folder / "ballast"

        @work.job(durable=True)
        async def job() -> None:
            fill(ballast)

        run = await enqueue(job)
        async with serving(work):
            await until(ballast.exists)
            await until(lambda: journal_of(work)._late or not states(store))
            ballast.unlink()
            await until(lambda: not states(store))
        record = store.run(run)
        assert record is not None
        assert (record.state, record.attempt) == ("succeeded", 1)
        store.close()


async def test_a_read_only_disk_refuses_within_the_timeout(tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as folder:
        store = SQLiteStore(folder / "a.db")
        shop = Shop(store)
        await shop.order()
        before = shop.promised
        store.close()
        store = SQLiteStore(folder / "a.db")
        shop = Shop(store)
        remount = ["mount", "-o", "remount,{}", str(folder)]
        subprocess.run([each.format("ro") for each in remount], check=True)
        try:
            began = time.monotonic()
            with pytest.raises(StoreError, match="read-only|cannot be opened"):
                store.open()
            await shop.order()
            assert time.monotonic() - began < 2
            assert (len(shop.promised), len(shop.refused)) == (0, 1)
        finally:
            subprocess.run([each.format("rw") for each in remount], check=True)
        while not shop.promised:
            await shop.order()
        assert sorted(calls(store)) == sorted(before + shop.promised)
        store.close()


# -- a file that somebody else keeps locked


async def test_a_locked_file_refuses_within_the_timeout(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "a.db", timeout=0.2)
    shop = Shop(store)
    await shop.order()
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    await asyncio.gather(*(shop.order() for _ in range(5)))
    assert time.monotonic() - began < 2
    assert (len(shop.promised), len(shop.refused)) == (1, 5)
    with pytest.raises(StoreError, match=r"locked for more than 0\.2 s"):
        await enqueue(shop.job, 1)
    other.execute("ROLLBACK")
    other.close()
    await shop.order()
    assert sorted(calls(store)) == sorted(shop.promised)


async def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "a.db")
    shop = Shop(store)
    await shop.order()
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        locked.set()
        release.wait(PATIENCE)
        other.execute("ROLLBACK")
        other.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert locked.wait(PATIENCE)
    asyncio.get_running_loop().call_later(0.1, release.set)
    await shop.order()
    thread.join()
    assert len(shop.promised) == 2

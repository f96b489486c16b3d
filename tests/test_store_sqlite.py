"""The store in a SQLite file."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import _local_store, _sqlite_file, _sqlite_schema
from afterwork._store_sqlite import SQLiteStore
from afterwork.errors import InvalidOptionError, StoreError
from afterwork.testing._store_tests import (
    LONG,
    claim,
    claimed,
    end,
    ended,
    holding,
    in_threads,
    record,
)
from tests.clock import HandClock
from tests.contracts.store import SharedStoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from afterwork._store import Store


def open_file(path: str) -> Store:
    """How the processes of the contract open the store."""
    return SQLiteStore(path)


class TestSQLiteStore(SharedStoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, path: Path) -> None:
        self.path = path

    def make_store(self) -> Store:
        self.clock = HandClock()
        return SQLiteStore(self.path, clock=self.clock)

    def advance(self, store: Store, seconds: float) -> None:
        self.clock.advance(seconds)

    def opener(self) -> tuple[str, str]:
        return f"{__name__}:open_file", str(self.path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "afterwork.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    store = SQLiteStore(path)
    store.open()
    yield store
    store.close()


def database(path: Path) -> sqlite3.Connection:
    """The file as another program sees it."""
    return sqlite3.connect(path, isolation_level=None, timeout=0)


def refused(path: Path) -> str:
    """What opening a file is refused with."""
    with pytest.raises(StoreError) as caught:
        SQLiteStore(path).open()
    assert caught.value.store == f"sqlite:///{path}"
    message = str(caught.value)
    assert message.startswith(f"the store sqlite:///{path} could not open: ")
    return message


# -- what it is made with


@pytest.mark.parametrize("path", ["", ":memory:", "file:x?mode=memory", b"x"])
def test_a_path_that_is_no_file_is_refused(path: Any) -> None:
    """In memory each connection would see a database of its own."""
    with pytest.raises(InvalidOptionError, match=r"a store in memory is a MemoryStore\(\)"):
        SQLiteStore(path)


@pytest.mark.parametrize("timeout", [-1, float("inf"), float("nan"), True])
def test_an_impossible_timeout_is_refused(path: Path, timeout: Any) -> None:
    with pytest.raises(InvalidOptionError, match="timeout must be"):
        SQLiteStore(path, timeout=timeout)


def test_it_is_for_one_machine() -> None:
    assert SQLiteStore.shared == "machine"


def test_namespaces_keep_apps_apart(path: Path, store: SQLiteStore) -> None:
    other = SQLiteStore(path, namespace="other")
    other.open()
    run = claim(store, keys=["k"]).run.id
    store.acquire(run, "lock", ttl=LONG)
    store.put("note", "1")
    store.pause("job")

    assert claim(other, keys=["k"]).mine
    assert other.run(run) is None
    assert other.renew(run, ttl=LONG) == "lease lost"
    assert not other.stop("lock", "reason")
    assert other.notes("") == {}
    assert other.jobs()["job"].pause is None
    for _ in range(2):
        ended(other)
    assert other.prune(age=0, keep=0) == 2
    assert len(store.runs()) == 1
    other.close()


def test_it_means_the_same_file_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("relative.db")
    monkeypatch.chdir("/")
    store.open()
    store.close()
    assert (tmp_path / "relative.db").exists()


def test_its_clock_is_the_machines(store: SQLiteStore) -> None:
    """O10: what the caller says of the time counts for nothing."""
    assert abs(claim(store, record(claimed_at=1.0)).run.claimed_at - store.now()) < 60


# -- opening and closing


def test_only_the_owner_may_read_what_it_makes(path: Path, store: SQLiteStore) -> None:
    claimed(store)
    made = list(path.parent.iterdir())
    assert len(made) == 3, "the file, -wal and -shm"
    assert {stat.S_IMODE(file.stat().st_mode) for file in made} == {0o600}


def test_a_file_that_is_there_keeps_its_rights(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    store = SQLiteStore(path)
    store.open()
    store.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    store = SQLiteStore(path)
    with pytest.raises(StoreError, match=r"could not read runs: it is not open. Call open\(\)"):
        store.runs()
    store.open()
    store.close()
    with pytest.raises(StoreError, match="it is not open"):
        store.runs()


def test_a_store_that_could_not_be_opened_is_not_open(path: Path) -> None:
    store = SQLiteStore(path.parent / "missing" / "afterwork.db")
    with pytest.raises(StoreError):
        store.open()
    with pytest.raises(StoreError, match="it is not open"):
        store.runs()


def test_many_may_make_the_file_at_once(path: Path) -> None:
    """As the workers of a server do when they start."""
    stores = [SQLiteStore(path) for _ in range(8)]
    in_threads(lambda index: stores[index].open())
    for index, store in enumerate(stores):
        store.put(str(index), "")
    assert len(stores[0].notes("")) == 8
    for store in stores:
        store.close()


def test_it_tries_again_while_another_prepares_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate = _sqlite_schema.migrate
    tries: list[bool] = []

    def busy(connection: sqlite3.Connection) -> None:
        tries.append(connection.in_transaction)
        if len(tries) < 3:
            if len(tries) == 1:
                connection.execute("BEGIN")
            failure = sqlite3.OperationalError("database is locked")
            failure.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise failure
        migrate(connection)

    monkeypatch.setattr(_sqlite_schema, "migrate", busy)
    store = SQLiteStore(path)
    store.open()
    store.close()
    assert tries == [False, False, False]


def test_every_commit_is_on_the_disk(store: SQLiteStore) -> None:
    """A claim that is lost with the power would let its slot run twice."""
    connection = store._file._connection
    assert connection is not None
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# -- what is refused


def test_a_folder_that_is_missing_is_not_made(path: Path) -> None:
    message = refused(path.parent / "missing" / "afterwork.db")
    assert "cannot be made: No such file or directory. Make the folder first" in message
    assert not (path.parent / "missing").exists()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "the file cannot be opened. It must not be a folder" in refused(tmp_path)


def test_a_read_only_disk_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on serverless hosts."""

    def read_only(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    assert "Read-only file system. Put it where this process may write" in refused(path)


def test_a_read_only_file_is_named(
    path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    store.close()
    with_mode(monkeypatch, connect, "mode=ro")
    assert "is read-only. Put it on a disk that this process may write to" in refused(path)


def test_a_disk_without_shared_memory_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_mode(monkeypatch, sqlite3.connect, "vfs=unix-dotfile")
    assert "has no shared memory, as on a network drive. Put the file on a" in refused(path)


def with_mode(monkeypatch: pytest.MonkeyPatch, connect: Callable[..., Any], mode: str) -> None:
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, **more: connect(f"file:{path}?{mode}", uri=True, **more)
    )


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE theirs (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 7"],
)
def test_a_database_of_something_else_is_left_as_it_is(path: Path, statement: str) -> None:
    other = database(path)
    other.execute(statement)
    other.close()
    before = path.read_bytes()
    assert "is a SQLite database of something else. Give afterwork a file of its" in refused(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_is_taken(path: Path) -> None:
    path.touch()
    store = SQLiteStore(path)
    store.open()
    assert store.runs() == []
    store.close()


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("no database at all, but long enough to have a head" * 10)
    assert "is damaged, or no SQLite database. Put a backup in its place" in refused(path)


def test_a_file_that_gets_damaged_is_named(path: Path, store: SQLiteStore) -> None:
    for _ in range(50):
        ended(store)
    store.close()
    other = database(path)
    roots = other.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE 'runs%'").fetchall()
    (size,) = other.execute("PRAGMA page_size").fetchone()
    other.close()
    with path.open("r+b") as file:  # the schema stays whole
        for (root,) in roots:
            file.seek((root - 1) * size)
            file.write(b"\xff" * size)
    store.open()
    with pytest.raises(StoreError, match="could not claim a run: the file is damaged") as caught:
        claim(store)
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)


def test_a_file_of_a_newer_version_is_refused(path: Path, store: SQLiteStore) -> None:
    store.close()
    other = database(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    message = refused(path)
    known = len(_sqlite_schema.MIGRATIONS)
    assert f"has version 99, and this afterwork knows {known} at most." in message
    assert "pip install -U afterwork" in message


def test_an_older_file_is_brought_to_the_newest_version(
    path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds stays."""
    run = claimed(store)
    store.close()
    second = ("ALTER TABLE runs ADD COLUMN extra TEXT", "CREATE TABLE more (x)")
    third = ("INSERT INTO more VALUES (3)",)
    monkeypatch.setattr(_sqlite_schema, "MIGRATIONS", (*_sqlite_schema.MIGRATIONS, second, third))
    for _ in range(2):
        store.open()
        assert store.run(run) is not None
        store.close()
    other = database(path)
    assert other.execute("SELECT x FROM more").fetchall() == [(3,)]
    assert other.execute("PRAGMA user_version").fetchone() == (len(_sqlite_schema.MIGRATIONS),)
    other.close()


def test_a_migration_that_fails_changes_nothing(
    path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.close()
    wrong = ("CREATE TABLE more (x)", "CREATE TABLE runs (x)")
    monkeypatch.setattr(_sqlite_schema, "MIGRATIONS", (*_sqlite_schema.MIGRATIONS, wrong))
    assert "SQLite says table runs already exists." in refused(path)
    monkeypatch.undo()
    store.open()
    assert store.runs() == []


# -- steps that cannot be done


def test_a_file_that_is_locked_for_too_long_is_named(path: Path, store: SQLiteStore) -> None:
    """O11: it fails closed, and nothing is changed."""
    impatient = SQLiteStore(path, timeout=0.01)
    impatient.open()
    other = database(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="kept the file locked for more than 0.01 s. Look for"):
        claim(impatient, keys=["k"])
    assert impatient.runs() == [], "reading does not wait for who writes"
    other.execute("ROLLBACK")
    assert claim(impatient, keys=["k"]).mine
    other.close()
    impatient.close()


def test_a_thread_does_not_wait_for_another_for_too_long(path: Path) -> None:
    store = SQLiteStore(path, timeout=0.01)
    store.open()
    with store._step("hold"):
        in_threads(lambda _: fails_as_locked(store), 1)
    assert claim(store).mine
    store.close()


def fails_as_locked(store: SQLiteStore) -> None:
    with pytest.raises(StoreError, match="could not claim a run: somebody else kept the file"):
        claim(store)


def test_a_full_disk_is_named_and_nothing_is_half_done(store: SQLiteStore) -> None:
    connection = store._file._connection
    assert connection is not None
    connection.execute("PRAGMA max_page_count = 1")
    done: list[str] = []
    with pytest.raises(StoreError, match="could not claim a run: the disk is full. Free some"):
        while len(done) < 1000:
            done.append(claim(store, keys=[str(len(done))]).run.id)
    connection.execute("PRAGMA max_page_count = 100000")
    assert sorted(run.id for run in store.runs(limit=1000)) == sorted(done)
    assert claim(store, keys=[str(len(done))]).mine


def test_a_step_that_fails_in_its_middle_changes_nothing(store: SQLiteStore) -> None:
    keys: Any = ["good", object()]
    with pytest.raises(StoreError, match="could not claim a run: SQLite says"):
        claim(store, keys=keys)
    assert store.runs() == []
    assert store.jobs() == {}
    assert claim(store, keys=["good"]).mine


# -- processes


def test_a_second_store_in_a_process_does_not_end_the_locks_of_the_first(
    path: Path, store: SQLiteStore
) -> None:
    """To close any handle of a file ends all locks of the process on it, so none is opened."""
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=0); "
        "c.execute('BEGIN IMMEDIATE')"
    )
    with store._step("hold"):
        second = SQLiteStore(path, timeout=0.01)
        with pytest.raises(StoreError, match="locked"):
            second.open()
        done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert "database is locked" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_both_sides_of_a_fork_go_on(path: Path, store: SQLiteStore) -> None:
    """As under a server that loads the app before it makes its workers."""
    run = holding(store, "lock")
    child = os.fork()
    if child == 0:
        fine = end(store, run) and claim(store, keys=["k"]).mine
        os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0

    assert not end(store, run)
    assert not claim(store, keys=["k"]).mine
    other = database(path)
    assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()


def test_a_connection_of_another_process_is_not_touched(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where something forked without telling Python before."""
    of_parent = store._file._connection
    assert of_parent is not None
    kept: list[sqlite3.Connection] = []
    monkeypatch.setattr(_sqlite_file, "_OF_PARENTS", kept)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert claim(store).mine
    assert kept == [of_parent]
    assert of_parent.execute("SELECT 1").fetchone() == (1,), "it is not closed"
    assert store._file._connection is not of_parent
    monkeypatch.undo()
    of_parent.close()


def test_threads_that_end_leave_no_connection(path: Path, store: SQLiteStore) -> None:
    for _ in range(5):
        in_threads(lambda index: store.put(str(index), ""))
    # one each for the file, -wal and -shm
    assert len(handles(path)) == 3
    store.close()
    assert handles(path) == []


def handles(path: Path) -> list[str]:
    """What this process has open of the files of a store."""
    names = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    return [name for name in names if name.startswith(os.path.realpath(path))]


# -- speed


def test_one_call_of_prune_deletes_a_bounded_number(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_local_store, "PRUNED_AT_ONCE", 10)
    for job in ("a", "b", "c"):
        for _ in range(9):
            ended(store, job=job)
    assert [store.prune(age=LONG, keep=1) for _ in range(4)] == [10, 10, 4, 0]
    assert [run.job for run in store.runs()] == ["c", "b", "a"]
    assert [store.prune(age=-1, keep=1) for _ in range(2)] == [3, 0]


def test_no_step_reads_a_whole_table(store: SQLiteStore) -> None:
    """So a million records are as quick as a thousand."""
    connection = store._file._connection
    assert connection is not None
    statements: set[str] = set()
    connection.set_trace_callback(statements.add)
    first = holding(store, "lock", slot=60)
    store.wait(claimed(store), "lock")
    claim(store, record(state="failed"), ["k"])
    claim(store, keys=["k"], reopen=True)
    store.renew(first, ttl=LONG)
    end(store, first)
    for job in (None, "job"):
        for state in (None, "failed"):
            for before in (None, first):
                store.runs(job=job, state=state, before=before)
    store.reap()
    store.prune(age=0, keep=0)
    store.put("k", "v", ttl=1)
    store.get("k")
    connection.set_trace_callback(None)

    checked = [s for s in statements if s.startswith(("SELECT", "DELETE", "REPLACE"))]
    assert len(checked) > 20
    for statement in checked:
        plan = str(connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
        assert "SCAN" not in plan, statement
        if "(namespace=?)" in plan:
            # What is small: locks and jobs. And the page of all runs, which the LIMIT ends.
            assert "FROM runs" not in statement or "WHERE namespace = 'default' ORDER" in statement
        if "DESC" in statement:
            assert "TEMP B-TREE" not in plan, statement
        if "OFFSET" in statement:
            assert "COVERING INDEX" in plan, statement

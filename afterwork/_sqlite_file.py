"""One connection to a SQLite file, for all threads of a process.

1. One connection behind one lock: SQLite lets one write at a time anyway, and no thread that ends
   leaves a connection behind.
2. A process that forks closes it first, and both sides connect again when they need to: a
   connection must not be used or even closed in a child (sqlite.org/howtocorrupt.html, 2.6).
3. Nobody waits for more than `timeout` seconds for another thread, and as long for another process.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager

from . import _sqlite_errors, _sqlite_schema
from .errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    Answer = TypeVar("Answer")

TRY_SECONDS = 0.01
"""How long SQLite waits for a lock before it is asked anew. Left alone, it looks less often the
longer it waits, so those that come later go first: one of 8 busy processes got almost no turn."""
PAUSE_SECONDS = 0.001
"""How long to wait before asking again; not in all steps does SQLite wait by itself."""


class SQLiteFile:
    """A file, and the connection to it while it is open."""

    def __init__(self, path: str, timeout: float) -> None:
        self.path = path
        self.name = f"sqlite:///{path}"
        self._timeout = timeout
        self._guard = threading.Lock()
        self._opened = False
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        """The process that made the connection."""
        _FILES.add(self)

    def open(self) -> None:
        """Connects, and makes or migrates the tables."""
        with self._alone("open"):
            self._opened = True
            try:
                self._connected()
            except BaseException:
                self._opened = False
                raise

    def close(self) -> None:
        """Lets go of the connection."""
        with self._alone("close"):
            self._opened = False
            self._disconnect()

    @contextmanager
    def transaction(self, doing: str, *, writes: bool) -> Iterator[sqlite3.Connection]:
        """A transaction that is written at the end, or not at all."""
        with self._alone(doing):
            if not self._opened:
                raise StoreError(self.name, doing, "it is not open", "Call open() first.")
            connection = self._connected()
            try:
                self._again(connection, _begin_writing if writes else _begin_reading)
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def vacuum(self) -> None:
        """Writes the file anew without what was deleted. Others wait meanwhile."""
        with self._alone("vacuum"):
            if not self._opened:
                raise StoreError(self.name, "vacuum", "it is not open", "Call open() first.")
            connection = self._connected()
            # What is still in the WAL counts only once it is back in the file.
            self._again(connection, _vacuum)

    @contextmanager
    def _alone(self, doing: str) -> Iterator[None]:
        if not self._guard.acquire(timeout=self._timeout):
            raise StoreError(self.name, doing, *_sqlite_errors.locked(self._timeout))
        try:
            yield
        except sqlite3.Error as error:
            meaning = _sqlite_errors.meaning(error, self._timeout)
            raise StoreError(self.name, doing, *meaning) from error
        finally:
            self._guard.release()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._process != os.getpid():
            # Forked by something that did not tell Python before.
            _OF_PARENTS.append(self._connection)
            self._connection = None
        if self._connection is None:
            self._connection = self._connect()
            self._process = os.getpid()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self._make_file()
        connection = sqlite3.connect(
            self.path, timeout=TRY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_file(self) -> None:
        """Makes an empty file for its owner alone; SQLite gives the same rights to those beside it.
        What is there already keeps its rights. The folder is not made: where it is missing, the
        path is wrong or a disk is not there."""
        try:
            # Only one that is new is opened here, and nobody connects to it meanwhile: to close any
            # handle of a file ends all locks that this process has on it (howtocorrupt.html, 2.2).
            with _MAKING:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            problem = f"{self.path!r} cannot be made: {error.strerror}"
            raise StoreError(self.name, "open", problem, _hint(error)) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        problem = self._again(connection, _sqlite_schema.problem_with)
        if problem is not None:
            raise StoreError(self.name, "open", *problem)
        # WAL: readers do not wait for the one that writes.
        mode = self._again(connection, _use_wal)
        if mode != "wal":
            raise StoreError(
                self.name,
                "open",
                "the file system there has no shared memory, as on a network drive",
                "Put the file on a local disk.",
            )
        # Each commit is on the disk when it returns. With NORMAL the last ones may be gone after a
        # power cut: slots whose runs had begun would be claimed and run again.
        connection.execute("PRAGMA synchronous = FULL")
        self._again(connection, _sqlite_schema.migrate)

    def _again(
        self, connection: sqlite3.Connection, action: Callable[[sqlite3.Connection], Answer]
    ) -> Answer:
        """Asks for what another process may keep locked until it is had, or the time is over."""
        end = time.monotonic() + self._timeout
        while True:
            try:
                return action(connection)
            except sqlite3.Error as error:
                if not _sqlite_errors.is_locked(error) or time.monotonic() > end:
                    raise
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            time.sleep(PAUSE_SECONDS)

    def _disconnect(self) -> None:
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()
            self._connection = None

    def before_fork(self) -> None:
        """Nobody else is inside, and there is no connection, until `after_fork`."""
        self._guard.acquire()
        self._disconnect()

    def after_fork(self) -> None:
        """Called in the parent and in the child."""
        self._guard.release()


_FILES: weakref.WeakSet[SQLiteFile] = weakref.WeakSet()
_OF_PARENTS: list[sqlite3.Connection] = []
"""Connections that are not ours to close."""
_MAKING = threading.Lock()
_FORK = threading.Lock()
_forking: list[SQLiteFile] = []


def _before_fork() -> None:
    _FORK.acquire()
    _forking.extend(_FILES)
    for file in _forking:
        file.before_fork()
    _MAKING.acquire()


def _after_fork() -> None:
    _MAKING.release()
    while _forking:
        _forking.pop().after_fork()
    _FORK.release()


def _begin_writing(connection: sqlite3.Connection) -> None:
    # At once: one that begins by reading may find itself outdated when it writes.
    connection.execute("BEGIN IMMEDIATE")


def _begin_reading(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    # Only the first read looks at the file, which may have to be repaired after a crash first.
    connection.execute("PRAGMA user_version")


def _vacuum(connection: sqlite3.Connection) -> None:
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _use_wal(connection: sqlite3.Connection) -> str:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    return str(mode)


def _hint(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "Make the folder first; afterwork does not, since a missing one is often a mistake."
    return (
        "Put it where this process may write. Serverless hosts have no disk that lasts: use a "
        "store on Redis or PostgreSQL there."
    )


# Windows has no fork.
getattr(os, "register_at_fork", dict)(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
)

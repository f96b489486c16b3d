"""A store in a SQLite file: for all processes of one machine."""

from __future__ import annotations

import os
from contextlib import contextmanager

from ._clock import SYSTEM_CLOCK
from ._journal_tables import JournalTables
from ._local_store import LocalStore
from ._sqlite_file import SQLiteFile
from ._sqlite_records import take_down
from ._sqlite_tables import SQLiteTables
from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from ._clock import Clock


class SQLiteStore(LocalStore):
    """A store that all processes of one machine share, in a file that outlives them.

    `path`
        The file, such as `"afterwork.db"`. It is made, readable for its owner only, where it does
        not exist; its folder is not. SQLite keeps a `-wal` and a `-shm` beside it. It has to be on
        a local disk: replicas on several machines need a store on Redis or PostgreSQL.
    `namespace`
        Default `"default"`. Keeps apart what several apps have in one file.
    `timeout`
        Default 5.0. How many seconds a step waits for another process that is writing, and for
        another thread, before it raises `StoreError`. At least 0. Example: `timeout=1`.
    `clock`
        For tests. Its `now` is the store's clock, the same machine's for all processes.

    What a method has written is on the disk when it returns, also after a power cut. It may be used
    from any thread, and on both sides of a fork.
    """

    shared: Literal["process", "machine", "network"] = "machine"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        namespace: str = "default",
        timeout: float = 5.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        name = os.fspath(path)
        if not isinstance(name, str) or not name or name.startswith((":memory:", "file:")):
            expected = (
                "the path of a file, such as 'afterwork.db'; a store in memory is a MemoryStore()"
            )
            raise InvalidOptionError("path", expected, path)
        if isinstance(timeout, bool) or not 0 <= timeout < float("inf"):
            raise InvalidOptionError("timeout", "a number of seconds, from 0 on", timeout)
        # A process that changes its folder later means the same file.
        self._file = SQLiteFile(os.path.abspath(name), timeout)
        self._namespace = namespace
        self._clock = clock

    def open(self) -> None:
        """Makes the file, and its tables or the newest version of them, where they are missing."""
        self._file.open()

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()

    @property
    def path(self) -> str:
        """The file."""
        return self._file.path

    def vacuum(self) -> None:
        """Gives the space of deleted records back to the disk. Other processes wait meanwhile.
        Raises `StoreError`."""
        self._file.vacuum()

    def now(self) -> float:
        """The clock of this machine, or the one that was given."""
        return self._clock.now()

    @contextmanager
    def journal(self, doing: str, *, writes: bool = True) -> Iterator[JournalTables]:
        """The journal's rows, for one transaction. `doing` is for the error if it fails."""
        with self._file.transaction(doing, writes=writes) as connection:
            now = self.now()
            tables = SQLiteTables(connection, self._namespace, now)
            yield JournalTables(
                connection, self._namespace, now, lambda runs: take_down(tables, runs)
            )

    @contextmanager
    def _step(self, doing: str, *, writes: bool = True) -> Iterator[SQLiteTables]:
        with self._file.transaction(doing, writes=writes) as connection:
            # The time once it is this step's turn: after the wait for others, not before.
            yield SQLiteTables(connection, self._namespace, self.now())

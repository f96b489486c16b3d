"""How workers know of each other whether they live: each holds a lock for as long as it does.

DBOS keeps no such thing; it leaves that to its commercial Conductor. Nobody has to renew these: the
system lets go of a lock of a process that is no more, and so does PostgreSQL when a connection
ends, or when its other end is silent for too long.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from afterwork.errors import EngineError

__all__ = ["FileLock", "Lock", "ServerLock"]


class Lock(Protocol):
    """What a worker holds while it lives. Everything blocks."""

    def take(self) -> bool:
        """Takes it, or keeps it. Returns whether it is held."""
        ...

    def is_dead(self, executor: str) -> bool:
        """Whether another worker lives no more."""
        ...

    def release(self) -> None:
        """Lets go of it."""
        ...


class FileLock:
    """For SQLite: one worker for each file. `flock` on a file beside it, which stays."""

    def __init__(self, database: Path, engine: str) -> None:
        self._path = database.with_name(database.name + ".worker")
        self._engine = engine
        self._file: Any = None

    def take(self) -> bool:
        try:
            import fcntl
        except ImportError as error:
            problem = "there is no flock on this system"
            raise EngineError(self._engine, "serve", problem, "Use PostgreSQL.") from error
        if self._file is not None:
            return True
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def is_dead(self, executor: str) -> bool:
        return True  # there can be no other one

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class ServerLock:
    """For PostgreSQL: an advisory lock of a session that is kept for it. `silent`: see
    `DBOSEngine`. A pooler that gives each transaction another session breaks it."""

    def __init__(self, engine: sa.Engine, executor: str, silent: float) -> None:
        self._engine = engine
        self._executor = executor
        self._silent = silent
        self._session: sa.Connection | None = None

    def take(self) -> bool:
        if self._session is not None:
            try:
                self._session.execute(sa.text("SELECT 1"))
                return True
            except DBAPIError:
                self.release()
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        quarter = max(1, round(self._silent / 4))
        for setting, value in (
            ("tcp_keepalives_idle", quarter),
            ("tcp_keepalives_interval", quarter),
            ("tcp_keepalives_count", 3),
            ("tcp_user_timeout", int(self._silent * 1000)),
        ):
            session.execute(sa.text(f"SET {setting} = {value}"))
        self._session = session
        if self._lock(self._executor):
            return True
        self.release()  # somebody looks at this moment whether it is free
        return False

    def is_dead(self, executor: str) -> bool:
        assert self._session is not None, "who asks holds one"
        if not self._lock(executor):
            return False
        self._session.execute(sa.text(f"SELECT pg_advisory_unlock({_number(executor)})"))
        return True

    def release(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(DBAPIError):
                session.invalidate()  # back in the pool it would keep the lock
            session.close()

    def _lock(self, executor: str) -> bool:
        assert self._session is not None
        found = self._session.execute(sa.text(f"SELECT pg_try_advisory_lock({_number(executor)})"))
        return bool(found.scalar())


def _number(executor: str) -> int:
    digest = hashlib.blake2b(f"afterwork dbos {executor}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)

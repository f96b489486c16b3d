"""The database: opened when it is first needed, with the settings that DBOS leaves out."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from dbos import DBOSClient
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError

from afterwork.errors import EngineError, InvalidOptionError

from .._urls import without_password
from ._errors import engine_errors
from ._json import JSON

__all__ = ["APPLICATION", "Place"]

APPLICATION = "afterwork"
"""Ours, among the applications that share DBOS's tables."""
OLDEST_SQLITE = (3, 42)
"""On an older one DBOS 3.4 fails with a NOT NULL constraint when it writes."""
CONNECTIONS = 5


class Place:
    """Where the calls are. `timeout`: seconds to connect, and to wait for a lock."""

    def __init__(
        self, url: str, schema: str, timeout: float, migrate: bool, sqlite: ModuleType | None
    ) -> None:
        self.url = _read(url)
        self.name = f"dbos at {without_password(url)}"
        self.schema = schema
        self.timeout = timeout
        self._migrate = migrate
        self._sqlite: Any = sqlite or sqlite3
        self._guard = threading.Lock()
        self._opened: tuple[sa.Engine, DBOSClient] | None = None
        if self.file is not None:
            self._check_sqlite()

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for PostgreSQL."""
        if self.url.get_backend_name() != "sqlite":
            return None
        return Path(self.url.database or "").absolute()

    @property
    def prefix(self) -> str:
        """What stands before the name of a table."""
        return "" if self.file is not None else f'"{self.schema}".'

    def opened(self) -> tuple[sa.Engine, DBOSClient]:
        """The database, with DBOS's tables in it. May block. Raises `EngineError`."""
        with self._guard:
            if self._opened is None:
                with engine_errors(self.name, "connect"):
                    self._opened = self._open()
            return self._opened

    def close(self) -> None:
        """Lets go of the connections."""
        with self._guard:
            opened, self._opened = self._opened, None
        if opened is not None:
            engine, client = opened
            client.destroy()
            engine.dispose()

    def _open(self) -> tuple[sa.Engine, DBOSClient]:
        engine = self._postgresql() if self.file is None else self._sqlite_engine()
        try:
            client = DBOSClient(
                system_database_engine=engine,
                dbos_system_schema=self.schema,
                serializer=JSON(),
                application_name=APPLICATION,
                retry_connection_errors=False,  # an enqueue has a client that waits
                lazy=True,
            )
            if self._migrate:
                client._sys_db.run_migrations()
            else:
                client._sys_db.verify_migrations()
        except BaseException:
            engine.dispose()
            raise
        return engine, client

    def _postgresql(self) -> sa.Engine:
        milliseconds = int(self.timeout * 1000)
        return sa.create_engine(
            self.url,
            pool_size=CONNECTIONS,
            max_overflow=2 * CONNECTIONS,
            pool_timeout=self.timeout,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": max(2, int(self.timeout)),  # libpq takes 1 for 2
                "tcp_user_timeout": milliseconds,
                "options": f"-c lock_timeout={milliseconds}",
            },
        )

    def _sqlite_engine(self) -> sa.Engine:
        engine = sa.create_engine(
            self.url, module=self._sqlite, pool_size=CONNECTIONS, pool_timeout=self.timeout
        )

        @event.listens_for(engine, "connect")
        def _set(connection: Any, _: object) -> None:
            # A transaction that begins with reading and then writes would fail, and not wait.
            connection.isolation_level = "IMMEDIATE"
            connection.execute(f"PRAGMA busy_timeout={int(self.timeout * 1000)}")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")

        return engine

    def _check_sqlite(self) -> None:
        if self.url.database in (None, "", ":memory:") or "mode=memory" in str(self.url):
            expected = "a file, such as sqlite:///dbos.db, or PostgreSQL"
            raise InvalidOptionError("url", expected, "SQLite in memory")
        found = self._sqlite.sqlite_version_info
        if found < OLDEST_SQLITE:
            raise EngineError(
                self.name,
                "use SQLite",
                f"DBOS needs SQLite {'.'.join(map(str, OLDEST_SQLITE))} or newer, and this Python "
                f"has {self._sqlite.sqlite_version}",
                "Use PostgreSQL, or a Python with a newer one, or: pip install pysqlite3-binary, "
                "and DBOSEngine(..., sqlite=pysqlite3.dbapi2).",
            )


def _read(url: str) -> sa.URL:
    try:
        read = sa.make_url(url)
    except ArgumentError:
        # The reason may quote a part of the password.
        raise EngineError(
            "dbos", "read its URL", "it is none", "Write special characters as %XX."
        ) from None
    backend = read.get_backend_name()
    if backend == "postgresql":
        return read.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return read.set(drivername="sqlite")
    raise InvalidOptionError("url", "one of PostgreSQL or SQLite", backend)

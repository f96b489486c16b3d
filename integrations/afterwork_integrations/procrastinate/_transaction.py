"""Where calls are written: on a connection of the app's pool, or in the caller's own transaction.

1. In the caller's transaction each writing has a savepoint: a key that is taken must not end it.
2. On a connection without a transaction nothing is written: it would be committed at once, which is
   not what was asked for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, LiteralString, Protocol

import psycopg
from procrastinate.manager import JobManager
from procrastinate.sync_psycopg_connector import SyncPsycopgConnector
from psycopg.pq import TransactionStatus

from afterwork.errors import InvalidOptionError

from .._sqlalchemy import driver_connection

if TYPE_CHECKING:
    from procrastinate import App
    from procrastinate.jobs import Job

    Row = dict[str, Any]


class Writer(Protocol):
    """What writes and reads."""

    async def defer(self, jobs: list[Job]) -> None:
        """Takes in all, or raises and takes in none: `AlreadyEnqueued` where a lock is taken."""
        ...

    async def rows(self, query: LiteralString, **values: Any) -> list[Row]:
        """The rows of a statement."""
        ...


class OwnWriter:
    """Writes on connections of the app's pool."""

    def __init__(self, app: App) -> None:
        self._manager = app.job_manager

    async def defer(self, jobs: list[Job]) -> None:
        await self._manager.batch_defer_jobs_async(jobs)

    async def rows(self, query: LiteralString, **values: Any) -> list[Row]:
        return await self._manager.connector.execute_query_all_async(query, **values)


class AsyncWriter:
    """Writes in the transaction of a `psycopg.AsyncConnection`."""

    def __init__(self, app: App, connection: psycopg.AsyncConnection[Any]) -> None:
        self._manager = app.job_manager
        self._connection = connection

    async def defer(self, jobs: list[Job]) -> None:
        await self.begin()
        async with self._connection.transaction():
            await self._manager.batch_defer_jobs_async(jobs, connection=self._connection)

    async def begin(self) -> None:
        """Opens the transaction as any other statement would."""
        if _is_to_begin(self._connection):
            await self._connection.execute("SELECT 1")

    async def rows(self, query: LiteralString, **values: Any) -> list[Row]:
        return await self._manager.connector.execute_query_all_async_with_connection(
            self._connection, query, **values
        )


class SyncWriter:
    """Writes in the transaction of a `psycopg.Connection`, in a thread."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._manager = JobManager(SyncPsycopgConnector())
        self._connection = connection

    async def defer(self, jobs: list[Job]) -> None:
        await asyncio.to_thread(self._defer, jobs)

    def _defer(self, jobs: list[Job]) -> None:
        if _is_to_begin(self._connection):
            self._connection.execute("SELECT 1")
        with self._connection.transaction():
            self._manager.batch_defer_jobs(jobs, connection=self._connection)

    async def rows(self, query: LiteralString, **values: Any) -> list[Row]:
        return await asyncio.to_thread(
            self._manager.connector.execute_query_all_with_connection,
            self._connection,
            query,
            **values,
        )


async def writer_on(app: App, connection: Any) -> Writer:
    """What writes on a connection of the caller's, or on the app's own for None. Raises
    `InvalidOptionError` for anything but a connection of psycopg, or one of SQLAlchemy on it."""
    if connection is None:
        return OwnWriter(app)
    driver = await driver_connection(connection)
    if isinstance(driver, psycopg.AsyncConnection):
        return AsyncWriter(app, driver)
    if isinstance(driver, psycopg.Connection):
        return SyncWriter(driver)
    expected = "a connection of psycopg 3, or one of SQLAlchemy with that driver"
    raise InvalidOptionError("connection", expected, type(connection))


def _is_to_begin(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return False
    if connection.autocommit:
        raise InvalidOptionError("connection", "in a transaction", "one in autocommit mode")
    return True

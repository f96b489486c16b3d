"""How PgQueuer's `Queries` write in a transaction of the caller's.

PgQueuer's own drivers for psycopg insist on autocommit, which would be the end of that transaction.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.ports.driver import Driver

from afterwork.errors import InvalidOptionError

from .._sqlalchemy import driver_connection


class PsycopgTransaction(PsycopgDriver):
    """On a `psycopg.AsyncConnection`."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection


class SyncPsycopgTransaction(PsycopgTransaction):
    """On a `psycopg.Connection`, in a thread."""

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return await asyncio.to_thread(self._fetch, query, args)

    def _fetch(self, query: str, args: tuple[object, ...]) -> list[dict[str, object]]:
        from psycopg import RawCursor
        from psycopg.rows import dict_row

        connection: Any = self._connection
        with RawCursor(connection, row_factory=dict_row) as cursor:
            cursor.execute(query.encode(), args)
            return list(cursor)


async def driver_on(connection: Any) -> Driver:
    """Raises `InvalidOptionError` for what is no connection of asyncpg or psycopg, nor one of
    SQLAlchemy on these, and for one without a transaction: what is written there would be
    committed at once, which is not what was asked for."""
    found: Any = await driver_connection(connection)
    if isinstance(found, (asyncpg.Connection, asyncpg.pool.PoolConnectionProxy)):
        if not found.is_in_transaction():
            raise InvalidOptionError("connection", "in a transaction", "one without")
        return AsyncpgDriver(cast("asyncpg.Connection", found))  # the pool's does as much
    psycopg: Any = sys.modules.get("psycopg")  # where it is not imported, this is none of its own
    if psycopg is not None and isinstance(found, (psycopg.AsyncConnection, psycopg.Connection)):
        if found.autocommit and not found.info.transaction_status:
            raise InvalidOptionError("connection", "in a transaction", "one in autocommit mode")
        is_async = isinstance(found, psycopg.AsyncConnection)
        return PsycopgTransaction(found) if is_async else SyncPsycopgTransaction(found)
    expected = "a connection of asyncpg or psycopg 3, or one of SQLAlchemy with these"
    raise InvalidOptionError("connection", expected, type(connection))

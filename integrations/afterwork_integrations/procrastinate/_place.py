"""The database, and Procrastinate's tables in it: opened when they are first needed, checked, and
made on demand.

1. A server that cannot be reached shows at once and with its reason, which a pool does not tell.
2. A pool belongs to its event loop. With a URL, each loop gets one; an app of the user's is theirs.
3. An app that was open already is left open.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Literal

import psycopg
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AppNotOpen
from procrastinate.schema import SchemaManager
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from afterwork.errors import EngineError, InvalidOptionError

from .._in_time import in_time
from .._per_loop import PerLoop
from .._urls import without_password
from ._errors import MIGRATIONS, engine_errors

TABLES = """
    WITH path AS (SELECT oid FROM pg_namespace WHERE nspname = ANY(current_schemas(false)))
    SELECT EXISTS (
        SELECT FROM pg_class WHERE relname = 'procrastinate_workers'
            AND relnamespace IN (SELECT oid FROM path)
    ), 2 = (
        SELECT count(DISTINCT proname) FROM pg_proc
        WHERE proname IN ('procrastinate_fetch_job_v2', 'procrastinate_defer_jobs_v1')
            AND pronamespace IN (SELECT oid FROM path)
    )
"""
"""Whether its tables are there, and of a version that this one can use. Not by `to_regclass`, which
goes on saying no to who has waited for the one that made them."""
LOCK = 0x61_66_74_65_72_77_6F_72
"""Number of the advisory lock under which the tables are made: several processes may start at
once."""
MAX_CONNECTIONS = 4


class Place:
    """Where the calls are. `app` is for who has asked `opened` first."""

    def __init__(
        self, source: App | str, schema: Literal["check", "apply"], timeout: float
    ) -> None:
        self._app = source if isinstance(source, App) else None
        self._dsn = source if isinstance(source, str) else ""
        connector = getattr(source, "connector", None)
        if not isinstance(source, str) and not isinstance(connector, PsycopgConnector):
            expected = "a URL, or a procrastinate.App with a PsycopgConnector"
            raise InvalidOptionError("app_or_dsn", expected, type(connector or source))
        where = without_password(self._dsn) if "://" in self._dsn else "postgresql"
        self.name = "procrastinate" if self._app else f"procrastinate at {where}"
        self.timeout = timeout
        self._schema = schema
        # Connecting, and all that is asked then.
        self._open_app = PerLoop(self.name, lambda: in_time(self._open(), 2 * timeout + 1))
        self._ours = False

    async def opened(self) -> App:
        """The app, open in this event loop. Raises `EngineError`."""
        with engine_errors(self.name, "connect"):
            return await self._open_app.get()

    async def close(self) -> None:
        """Closes what was opened here."""
        app = self._open_app.pop()
        if app is None or not self._ours:
            return
        connector: Any = app.connector
        if self._app is None:
            await connector.pool.close()
        else:
            await connector.close_async()

    async def _open(self) -> App:
        app, pool = self._app, None
        if app is None:
            async with await psycopg.AsyncConnection.connect(
                self._dsn, connect_timeout=ceil(self.timeout), autocommit=True
            ) as connection:
                await self._check(connection)
            pool = AsyncConnectionPool(
                self._dsn,
                min_size=1,
                max_size=MAX_CONNECTIONS,
                open=False,
                timeout=self.timeout,
                kwargs={"connect_timeout": ceil(self.timeout)},
                check=AsyncConnectionPool.check_connection,
            )
            app = App(connector=PsycopgConnector())
            await pool.open()
        connector: Any = app.connector
        self._ours = not _is_open(connector)
        await connector.open_async(pool)
        if pool is None:
            async with connector.pool.connection(timeout=self.timeout) as connection:
                await self._check(connection)
        return app

    async def _check(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Makes sure that the tables are there. Raises `EngineError`."""
        there, current = await self._tables(connection)
        if not there and self._schema == "apply":
            there, current = await self._make(connection)
        if not there:
            raise EngineError(
                self.name,
                "use the database",
                "Procrastinate's tables are not there",
                "Make them with `procrastinate --app=your.app schema --apply`, or give the engine "
                'schema="apply".',
            )
        if not current:
            raise EngineError(
                self.name,
                "use the database",
                "Procrastinate's tables are of an older version",
                f"Apply its migrations: {MIGRATIONS}",
            )

    async def _make(self, connection: psycopg.AsyncConnection[Any]) -> tuple[bool, bool]:
        """Makes the tables, and returns what `_tables` does."""
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            found = await self._tables(connection)
            if found[0]:  # somebody else was faster
                return found
            await connection.execute(SchemaManager.get_schema().encode())
            return True, True

    async def _tables(self, connection: psycopg.AsyncConnection[Any]) -> tuple[bool, bool]:
        async with connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(TABLES)
            ((there, current),) = await cursor.fetchall()
        return there, current


def _is_open(connector: PsycopgConnector) -> bool:
    try:
        return connector.pool is not None
    except AppNotOpen:
        return False

"""The database, and PgQueuer's tables in it: opened when they are first needed, checked, and made
on demand."""

from __future__ import annotations

from typing import Any, Literal

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.core.qm import QueueManager
from pgqueuer.queries import Queries

from afterwork.errors import EngineError, InvalidOptionError

from .._in_time import in_time
from .._per_loop import PerLoop
from .._urls import without_password
from ._errors import engine_errors

LOCK = 0x61_66_74_65_72_77_6F_72
"""Number of the advisory lock under which the tables are made: several processes may start at
once."""
MAX_CONNECTIONS = 5
"""One of a worker's listens."""


class Place:
    """Where the calls are: a URL, or a pool of the user's, which is left open."""

    def __init__(self, source: Any, schema: Literal["check", "apply"], timeout: float) -> None:
        if not isinstance(source, (str, asyncpg.Pool)):
            expected = "a URL or an asyncpg.Pool"
            raise InvalidOptionError("dsn_or_pool", expected, type(source))
        self._source: Any = source
        self._own = isinstance(source, str)
        where = f" at {without_password(source)}" if isinstance(source, str) else ""
        self.name = f"pgqueuer{where}"
        self.timeout = timeout
        self._schema = schema
        # Connecting, and all that is asked then.
        self._pools: PerLoop[Any] = PerLoop(
            self.name, lambda: in_time(self._open(), 2 * timeout + 1)
        )

    async def pool(self) -> Any:
        """The pool of this event loop. Raises `EngineError`."""
        with engine_errors(self.name, "connect"):
            return await self._pools.get()

    async def close(self) -> None:
        """Closes what was opened here."""
        pool = self._pools.pop()
        if pool is None or not self._own:
            return
        try:
            await in_time(pool.close(), self.timeout)
        except TimeoutError:  # something still has a connection, and no answer on it
            pool.terminate()

    async def _open(self) -> Any:
        if not self._own:
            await self._check(self._source)
            return self._source
        pool = asyncpg.create_pool(
            self._source,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=self.timeout,
            command_timeout=self.timeout,
        )
        await pool
        try:
            await self._check(pool)
        except BaseException:
            pool.terminate()
            raise
        return pool

    async def _check(self, pool: Any) -> None:
        """Makes sure that the tables are there and current. Raises `EngineError`."""
        queries = Queries(AsyncpgPoolDriver(pool))
        if self._schema == "apply" and not await queries.schema_is_installed():
            async with pool.acquire() as connection:
                own = Queries(AsyncpgDriver(connection))
                await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
                try:
                    if not await own.schema_is_installed():  # nobody else was faster
                        await own.install()
                finally:
                    await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
        try:
            await QueueManager(queries).verify_structure()
        except RuntimeError as error:
            hint = 'Run `pgq install` or `pgq upgrade`, or give the engine schema="apply".'
            problem = str(error).rstrip(".")
            raise EngineError(self.name, "use the database", problem, hint) from error

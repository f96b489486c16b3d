"""The engine on PgQueuer."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Literal

from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.domain.settings import Durability, db_settings

from afterwork.engines import Capabilities
from afterwork.errors import EngineError, InvalidOptionError

from .._engine_log import EngineLog
from .._in_time import in_time
from .._pull_worker import PullWorker
from ._calls import Calls
from ._drivers import driver_on
from ._errors import engine_errors
from ._place import Place
from ._source import PgQueuerSource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from afterwork.engines import Envelope

STATES = {"queued": "waiting", "picked": "running"}
RESOLUTION = 0.1


class PgQueuerEngine:
    """Carries durable calls in PgQueuer's tables, on asyncio and asyncpg.

    `dsn_or_pool`
        A URL: then the pool is the engine's own, of at most five connections. Or an
        `asyncpg.Pool` of yours, of at least two, which is never closed; its time-outs are yours.
    `queue`
        The entrypoint in PgQueuer, default `"afterwork"`. Nothing else may be registered for it.
    `schema`
        `"check"` (default): tables that are missing or old are an error that names the command.
        `"apply"`: missing ones are made. Their names and their durability are PgQueuer's settings,
        `PGQUEUER_...` in the environment.
    `poll`
        Seconds between two looks for calls of dead workers, default 1.0, at least 0.05. New calls
        are heard of at once (LISTEN/NOTIFY), and delayed ones start on time.
    `stalled_after`
        Seconds after which a call whose heartbeat has stopped is taken by another worker, default
        20.0, at least 1. Four are sent in that time.
    `timeout`
        Seconds that connecting and writing may take, default 5.0.

    Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        dsn_or_pool: Any,
        queue: str = "afterwork",
        *,
        schema: Literal["check", "apply"] = "check",
        poll: float = 1.0,
        stalled_after: float = 20.0,
        timeout: float = 5.0,
    ) -> None:
        if not re.fullmatch(r"[\w.:-]{1,100}", queue, re.ASCII):
            expected = "1 to 100 letters, digits, underscores, dots, colons and dashes"
            raise InvalidOptionError("queue", expected, queue)
        if schema not in ("check", "apply"):
            raise InvalidOptionError("schema", '"check" or "apply"', schema)
        for name, value, least, most in (
            ("poll", poll, 0.05, 60.0),
            ("stalled_after", stalled_after, 1.0, 3600.0),
            ("timeout", timeout, 0.1, 60.0),
        ):
            if not least <= value <= most:
                raise InvalidOptionError(name, f"seconds, from {least:g} to {most:g}", value)
        self._place = Place(dsn_or_pool, schema, timeout)
        self._queue = queue
        self._poll = poll
        self._silent = stalled_after
        self._log = EngineLog(self.name)
        self._run: Callable[[Envelope], Awaitable[Envelope | None]] | None = None

    @property
    def name(self) -> str:
        """See `Engine`."""
        return self._place.name

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine`."""
        volatile = db_settings().durability is Durability.volatile
        return Capabilities(
            delay_resolution=RESOLUTION,
            keys="active",
            priority=True,
            status=True,
            cancel=True,
            transaction=True,
            # PostgreSQL empties unlogged tables after a crash of its own.
            survives="machine" if volatile else "power",
            recovery_seconds=self._silent + self._poll,
        )

    def __repr__(self) -> str:
        return f"PgQueuerEngine({self.name!r}, queue={self._queue!r})"

    def bind(self, run: Callable[[Envelope], Awaitable[Envelope | None]]) -> None:
        """See `Engine`."""
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """See `Engine`. All or none.

        `connection`: one of asyncpg with a transaction open, a `psycopg.AsyncConnection` or
        `psycopg.Connection`, or a connection or session of SQLAlchemy on these. It has to see
        PgQueuer's tables. With a key, it waits for another transaction that has just written the
        same key. Raises `InvalidOptionError` for any other.
        """
        pool = await self._place.pool()
        with engine_errors(self.name, "take in calls"):
            if connection is not None:
                # How long the caller's own connection may take is the caller's affair.
                return await Calls(await driver_on(connection), self._queue).add(envelopes)
            calls = Calls(AsyncpgPoolDriver(pool), self._queue)
            return await in_time(calls.add(envelopes), self._place.timeout)

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """See `Engine`. Raises `EngineError` where the database cannot be reached at its start;
        later it is waited for."""
        stopping = asyncio.ensure_future(stop)
        try:
            if self._run is None:
                hint = "Give the engine to Afterwork(engine=...) and ask for work.engine first."
                raise EngineError(self.name, "run calls", "no Afterwork has it", hint)
            pool = await self._place.pool()
            worker = PullWorker(
                PgQueuerSource(pool, self.name, self._queue, self._silent),
                self._run,
                self._log,
                concurrency=concurrency,
                poll=self._poll,
                silent=self._silent,
            )
            await worker.work(stopping)
        finally:
            if stopping is not stop:
                stopping.cancel()

    async def status(self, run_id: str) -> str | None:
        """See `Engine`. None once the call is over. It looks through all that waits."""
        calls = Calls(AsyncpgPoolDriver(await self._place.pool()), self._queue)
        with engine_errors(self.name, "look for a call"):
            found = await in_time(calls.status(run_id), self._place.timeout)
        return None if found is None else STATES.get(found, "failed")

    async def cancel(self, run_id: str) -> bool:
        """See `Engine`. It looks through all that waits."""
        calls = Calls(AsyncpgPoolDriver(await self._place.pool()), self._queue)
        with engine_errors(self.name, "take back a call"):
            return await in_time(calls.cancel(run_id), self._place.timeout)

    async def close(self) -> None:
        """See `Engine`. A pool that was given stays open."""
        await self._place.close()

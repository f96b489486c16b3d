"""The engine on DBOS."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from afterwork.engines import Capabilities
from afterwork.errors import EngineError, InvalidOptionError

from .._engine_log import EngineLog
from .._in_time import in_time
from ._calls import Calls
from ._errors import engine_errors
from ._place import Place
from ._worker import STANDBY_SECONDS, Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import ModuleType

    from afterwork.engines import Envelope

    Run = Callable[[Envelope], Awaitable[Envelope | None]]

__all__ = ["DBOSEngine"]

T = TypeVar("T")

STATES = {"ENQUEUED": "waiting", "DELAYED": "waiting", "PENDING": "running"}
DBOS_DELAY_SECONDS = 1.0
"""How often DBOS looks for delayed calls that are due."""
LAUNCH_SECONDS = 3.0
"""What a worker that stood by may take to launch DBOS."""
PATIENCE = 3
"""How many of the time-outs of a connection one question may take: to connect, to wait for a lock,
and for the answer."""


class DBOSEngine:
    """Carries durable calls as workflows of DBOS, on asyncio. Finished steps of a job are
    remembered: see `step`.

    `url`
        `postgresql://user:password@host/database` (with psycopg), or `sqlite:///dbos.db`. SQLite
        has to be 3.42 or newer, and a file on a disk of this machine; one process serves it, more
        of them stand by until it is gone. It is opened with WAL, `synchronous=FULL` and IMMEDIATE.
    `queue`
        Default `"afterwork"`: workers run the calls of their own queue. Letters, digits and the
        characters `. : _ -`.
    `schema`
        Default `"afterwork_dbos"`: where DBOS's tables are in PostgreSQL. For SQLite it has none.
    `poll`
        Default 0.2: seconds between two looks for calls of other processes, from 0.05 to 60. What
        this process takes in is looked for at once.
    `silent`
        Default 30.0: seconds after which PostgreSQL takes the machine of a worker for dead that is
        not heard of, from 1 to 3600. What a process had that dies on a living machine is put back
        within a quarter of that.
    `timeout`
        Default 5.0: seconds to connect, and to wait for a lock, from 1 to 60.
    `migrate`
        Default True: DBOS's tables are made, and brought up to date. With False they are checked.
    `sqlite`
        Default None: the `sqlite3` of this Python. Or a module like it, for a newer SQLite:
        `pysqlite3.dbapi2` of `pip install pysqlite3-binary`.

    What is forced: the application version is a constant, so that calls outlive a deploy; DBOS's
    retries, its queue thread and pickle are not used; a call that is over is deleted. One process
    can have only one DBOS, so `serve` raises `EngineError` where yours runs already.

    Raises `InvalidOptionError`, and `EngineError` for a SQLite that is too old.
    """

    def __init__(
        self,
        url: str,
        *,
        queue: str = "afterwork",
        schema: str = "afterwork_dbos",
        poll: float = 0.2,
        silent: float = 30.0,
        timeout: float = 5.0,
        migrate: bool = True,
        sqlite: ModuleType | None = None,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.:-]{0,99}", queue, re.ASCII):
            expected = "1 to 100 letters, digits and the characters . : _ -, the first no sign"
            raise InvalidOptionError("queue", expected, queue)
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
            expected = "a name of small letters, digits and _"
            raise InvalidOptionError("schema", expected, schema)
        for name, value, least, most in (
            ("poll", poll, 0.05, 60),
            ("silent", silent, 1, 3600),
            ("timeout", timeout, 1, 60),
        ):
            if not least <= value <= most:
                raise InvalidOptionError(name, f"seconds, from {least} to {most}", value)
        self._place = Place(url, schema, timeout, migrate, sqlite)
        self._calls = Calls(self._place, queue)
        self._queue = queue
        self._poll = poll
        self._silent = silent
        self._patience = PATIENCE * timeout
        self._log = EngineLog(self.name)
        self._run: Run | None = None
        self._workers: set[Worker] = set()
        self._closing = False

    @property
    def name(self) -> str:
        """The kind of engine and where it is, without user and password."""
        return self._place.name

    @property
    def queue(self) -> str:
        """Whose calls its workers run."""
        return self._queue

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine`."""
        on_file = STANDBY_SECONDS + LAUNCH_SECONDS
        return Capabilities(
            delay_resolution=DBOS_DELAY_SECONDS + self._poll,
            keys="active",
            priority=True,
            status=True,
            cancel=True,
            transaction=True,
            survives="power",
            recovery_seconds=self._poll
            + (1.25 * self._silent if not self._place.file else on_file),
        )

    def __repr__(self) -> str:
        return f"DBOSEngine({self.name!r}, queue={self._queue!r})"

    def bind(self, run: Run) -> None:
        """See `Engine`."""
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """See `Engine`. All or none.

        `connection`: a connection or session of SQLAlchemy, sync or async, to the same database.
        With a key, it waits for another transaction that has just written the same key. Raises
        `InvalidOptionError` for any other.
        """
        await self._ask("connect", self._place.opened)
        if connection is None:
            ids = await self._ask("take in calls", lambda: self._calls.add(envelopes))
            for worker in self._workers:
                worker.wake()
            return ids
        with engine_errors(self.name, "take in calls"):
            if isinstance(connection, (AsyncConnection, AsyncSession)):
                return await connection.run_sync(lambda used: self._calls.add(envelopes, used))
            if isinstance(connection, (sa.Connection, Session)):
                # In this thread: the connection is its caller's, and so is the time that it takes.
                return self._calls.add(envelopes, connection)
        expected = "a connection or session of SQLAlchemy"
        raise InvalidOptionError("connection", expected, type(connection))

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """See `Engine`. Raises `EngineError` where the database cannot be reached at its start, or
        where this process has a DBOS already; later the database is waited for."""
        stopping = asyncio.ensure_future(stop)
        try:
            if self._run is None:
                hint = "Give the engine to Afterwork(engine=...) and ask for work.engine first."
                raise EngineError(self.name, "run calls", "no Afterwork has it", hint)
            worker = Worker(
                self._place,
                self._calls,
                self._run,
                self._log,
                queue=self._queue,
                concurrency=concurrency,
                poll=self._poll,
                silent=self._silent,
            )
            self._workers.add(worker)
            try:
                await worker.work(stopping)
            finally:
                self._workers.discard(worker)
                if self._closing and not self._workers:
                    self._closing = False
                    await asyncio.to_thread(self._place.close)
        finally:
            if stopping is not stop:
                stopping.cancel()

    async def status(self, run_id: str) -> str | None:
        """See `Engine`. None once the call is over. It looks through all that waits."""
        found = await self._ask("look for a call", lambda: self._calls.status(run_id))
        return None if found is None else STATES.get(found, "failed")

    async def cancel(self, run_id: str) -> bool:
        """See `Engine`. It looks through all that waits."""
        return await self._ask("take back a call", lambda: self._calls.cancel(run_id))

    async def close(self) -> None:
        """See `Engine`. Where it serves, connections are let go of when that is over."""
        self._closing = bool(self._workers)
        if not self._closing:
            await asyncio.to_thread(self._place.close)

    async def _ask(self, doing: str, call: Callable[[], T]) -> T:
        with engine_errors(self.name, doing):
            return await in_time(asyncio.to_thread(call), self._patience)

"""The engine on Procrastinate."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Literal

from afterwork.engines import Capabilities
from afterwork.errors import EngineError, InvalidOptionError

from .._engine_log import EngineLog
from .._in_time import in_time
from .._pull_worker import PullWorker
from ._calls import Calls
from ._errors import engine_errors
from ._place import Place
from ._source import ProcrastinateSource
from ._transaction import writer_on

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from procrastinate import App

    from afterwork.engines import Envelope

STATES = {"todo": "waiting", "doing": "running"}
SILENT_LIMIT = 40.0


class ProcrastinateEngine:
    """Carries durable calls in Procrastinate's tables, on asyncio and psycopg 3.

    `app_or_dsn`
        A URL or a libpq connection string: then the pool is the engine's own, of at most four
        connections, and a worker has one more, which listens. Or a `procrastinate.App` with a
        `PsycopgConnector`: then that one's are used, and it is opened where it is not open yet. No
        task is registered on it.
    `queue`
        The queue in Procrastinate, default `"afterwork"`. Only `serve` may work on it: a worker of
        Procrastinate's own without `--queues` takes from all, and fails what it does not know. The
        sweeper puts that back, but give it its queues.
    `schema`
        `"check"` (default): tables that are missing or old are an error that names the command.
        `"apply"`: missing ones are made.
    `poll`
        Seconds between two looks for calls that are due, default 1.0, at least 0.05. New calls are
        heard of at once (LISTEN/NOTIFY); it is by how much a delayed one may be late.
    `stalled_after`
        Seconds after which a worker that has not been heard of is dead, default 20.0, from 1 to
        40. Heartbeats are sent four times, and the work of the dead is looked for twice in that
        time, so that a call is delivered again at most 1.5 times that, and a poll, later. A loop
        that is blocked for so long counts as dead; its runs keep their lease in the store.
    `timeout`
        Seconds that connecting and writing may take, default 5.0.

    Raises `InvalidOptionError`.
    """

    def __init__(
        self,
        app_or_dsn: App | str,
        queue: str = "afterwork",
        *,
        schema: Literal["check", "apply"] = "check",
        poll: float = 1.0,
        stalled_after: float = 20.0,
        timeout: float = 5.0,
    ) -> None:
        if not re.fullmatch(r"[\w.:-]{1,40}", queue, re.ASCII):
            # PostgreSQL cuts the name of a channel after 63 bytes, and Procrastinate adds 21.
            expected = "1 to 40 letters, digits, underscores, dots, colons and dashes"
            raise InvalidOptionError("queue", expected, queue)
        if schema not in ("check", "apply"):
            raise InvalidOptionError("schema", '"check" or "apply"', schema)
        for name, value, least, most in (
            ("poll", poll, 0.05, 60.0),
            ("stalled_after", stalled_after, 1.0, SILENT_LIMIT),
            ("timeout", timeout, 0.1, 60.0),
        ):
            if not least <= value <= most:
                raise InvalidOptionError(name, f"seconds, from {least:g} to {most:g}", value)
        self._place = Place(app_or_dsn, schema, timeout)
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
        return Capabilities(
            delay_resolution=self._poll,
            keys="waiting",
            priority=True,
            status=True,
            cancel=True,
            transaction=True,
            survives="power",
            recovery_seconds=1.5 * self._silent + self._poll,
        )

    def __repr__(self) -> str:
        return f"ProcrastinateEngine({self.name!r}, queue={self._queue!r})"

    def bind(self, run: Callable[[Envelope], Awaitable[Envelope | None]]) -> None:
        """See `Engine`."""
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """See `Engine`. All or none.

        `connection`: a `psycopg.AsyncConnection` or `psycopg.Connection` with a transaction open
        or about to be, or a connection or session of SQLAlchemy on psycopg. It has to see
        Procrastinate's tables. With a key, it waits for another transaction that has just written
        the same key. Raises `InvalidOptionError` for any other.
        """
        app = await self._place.opened()
        with engine_errors(self.name, "take in calls"):
            writer = await writer_on(app, connection)
            adding = Calls(app, self._queue).add(envelopes, writer)
            # How long the caller's own connection may take is the caller's affair.
            return await (adding if connection else in_time(adding, self._place.timeout))

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """See `Engine`. Raises `EngineError` where the database cannot be reached at its start;
        later it is waited for."""
        stopping = asyncio.ensure_future(stop)
        try:
            if self._run is None:
                hint = "Give the engine to Afterwork(engine=...) and ask for work.engine first."
                raise EngineError(self.name, "run calls", "no Afterwork has it", hint)
            app = await self._place.opened()
            worker = PullWorker(
                ProcrastinateSource(app, self.name, self._queue, self._silent),
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
        calls = Calls(await self._place.opened(), self._queue)
        with engine_errors(self.name, "look for a call"):
            found = await in_time(calls.status(run_id), self._place.timeout)
        return None if found is None else STATES.get(found, "failed")

    async def cancel(self, run_id: str) -> bool:
        """See `Engine`. It looks through all that waits."""
        calls = Calls(await self._place.opened(), self._queue)
        with engine_errors(self.name, "take back a call"):
            return await in_time(calls.cancel(run_id), self._place.timeout)

    async def close(self) -> None:
        """See `Engine`. An app that was given open stays open."""
        await self._place.close()

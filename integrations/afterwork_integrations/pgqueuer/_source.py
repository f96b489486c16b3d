"""The calls as rows of PgQueuer's tables, for a worker.

It uses PgQueuer's `Queries` and not its `QueueManager`, which (1.6)

- deletes a call whose run is cancelled, and cannot run one at a time;
- ends with its connection.

1. Rows are taken by PgQueuer's own statement, which also takes those of the dead: whose heartbeat
   is old. Nobody has to sweep.
2. A row that is over is deleted, and PgQueuer's log tells of it. What cannot be read is held as
   `failed`: `pgq` lists those.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries

from .._pull_worker import Delivery
from ._calls import seconds_until
from ._errors import engine_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from pgqueuer.models import Job

    from afterwork.engines import Envelope


class PgQueuerSource:
    """One worker's side of a queue. `silent`: see `PullWorker`."""

    def __init__(self, pool: Any, engine: str, queue: str, silent: float) -> None:
        self._pool = pool
        self._queries = Queries(AsyncpgPoolDriver(pool))
        self._table = self._queries.qbe.settings.qualified
        self._engine = engine
        self._queue = QueueEntrypoint(queue)
        self._silent = timedelta(seconds=silent)
        self._id = QueueManagerId(uuid.uuid4())
        self._held: set[int] = set()

    async def start(self) -> None:
        pass  # PgQueuer keeps no list of workers

    async def leave(self) -> None:
        pass

    async def take(self) -> Delivery | None:
        with engine_errors(self._engine, "take a call"):
            jobs = await self._queries.dequeue(
                1, {self._queue: EntrypointExecutionParameter(0)}, self._id, None, self._silent
            )
            if not jobs or jobs[0].id in self._held:
                # With a late heartbeat its own calls look dead, too.
                return None
            (job,) = jobs
            self._held.add(job.id)
            text = (job.payload or b"").decode("utf-8", "replace")
            return Delivery(job, text, await self._crashes(job))

    async def due(self, most: float) -> float:
        with engine_errors(self._engine, "look for the next call"):
            eta = await self._queries.next_deferred_eta([self._queue])
        return most if eta is None else min(max(eta.total_seconds(), 0.0) + 0.001, most)

    async def listen(self, news: Callable[[], None]) -> None:
        gone = asyncio.Event()

        def heard(connection: object, pid: int, channel: str, payload: str) -> None:
            if json.loads(payload).get("operation") == "insert":
                news()

        def ended(connection: object) -> None:
            gone.set()

        with engine_errors(self._engine, "listen for calls"):
            async with self._pool.acquire() as connection:
                connection.add_termination_listener(ended)
                channel = self._queries.qbe.settings.channel
                await connection.add_listener(channel, heard)
                try:
                    await gone.wait()
                finally:
                    connection.remove_termination_listener(ended)
                    await connection.remove_listener(channel, heard)

    async def beat(self, deliveries: list[Delivery]) -> None:
        if deliveries:
            with engine_errors(self._engine, "say that a worker lives"):
                await self._queries.update_heartbeat([delivery.row.id for delivery in deliveries])

    async def sweep(self) -> int:
        return 0

    async def finish(self, delivery: Delivery) -> None:
        with engine_errors(self._engine, "write what became of a call"):
            await self._queries.log_jobs([(delivery.row, "successful", None)])
        self._held.discard(delivery.row.id)

    async def bury(self, delivery: Delivery) -> None:
        with engine_errors(self._engine, "write what became of a call"):
            await self._queries.log_jobs([(delivery.row, "failed", None)])
        self._held.discard(delivery.row.id)

    async def put_back(self, delivery: Delivery, following: Envelope | None) -> None:
        text = None if following is None else following.to_json().encode()
        run_at = None if following is None else following.run_at
        with engine_errors(self._engine, "write what became of a call"):
            # PgQueuer's own has no new payload.
            await self._queries.driver.execute(
                f"""
                WITH again AS (
                    UPDATE {self._table.queue_table}
                    SET status = 'queued', queue_manager_id = NULL, updated = now(),
                        payload = coalesce($3::bytea, payload),
                        execute_after = now() + $4::interval
                    WHERE id = $1 AND queue_manager_id = $2 AND status = 'picked'
                    RETURNING id, entrypoint, priority
                )
                INSERT INTO {self._table.queue_table_log} (job_id, status, entrypoint, priority)
                SELECT id, 'queued', entrypoint, priority FROM again
                """,
                delivery.row.id,
                self._id,
                text,
                timedelta(seconds=seconds_until(run_at)),
            )
        self._held.discard(delivery.row.id)

    async def _crashes(self, job: Job) -> int:
        """How often it was taken before since it was last put in."""
        if job.updated - job.execute_after < self._silent:
            return 0  # nobody who took it before can be taken for dead yet
        rows: list[dict[str, Any]] = await self._queries.driver.fetch(
            f"""
            SELECT count(*) AS taken FROM {self._table.queue_table_log}
            WHERE job_id = $1 AND status = 'picked' AND id > coalesce((
                SELECT max(id) FROM {self._table.queue_table_log}
                WHERE job_id = $1 AND status = 'queued'
            ), 0)
            """,
            job.id,
        )
        taken: int = rows[0]["taken"]
        return taken - 1

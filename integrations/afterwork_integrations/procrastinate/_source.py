"""The calls as rows of Procrastinate's tables, for a worker.

It uses Procrastinate's `JobManager` and not its `Worker`, which (3.10)

- stops its heartbeat once it is told to stop, and when one heartbeat fails: others then take away
  what it is still running;
- leaves a call with a living worker for ever where the write of its end failed;
- leaves the work of dead workers to a task that everybody has to write.

1. Rows are taken by Procrastinate's own function. What it has none for is one statement here, which
   changes a row only where it is still this worker's.
2. A row that is over is deleted: what became of its run is in afterwork's store. What cannot be
   read stays, as `aborted`.
3. Whoever puts a row back takes the lock of its key off: another call may have it by now.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, LiteralString

from .._pull_worker import Delivery
from ._calls import FAR_SECONDS, TASK, arguments
from ._errors import engine_errors
from ._transaction import OwnWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from procrastinate import App

    from afterwork.engines import Envelope

GONE_SECONDS = 3600.0
"""After how long a worker that is silent is deleted: whatever its settings, it is dead."""

PUT_BACK = """
    UPDATE procrastinate_jobs
    SET status = 'todo', worker_id = NULL, queueing_lock = NULL, abort_requested = false,
        attempts = CASE WHEN %(crashed)s THEN attempts + 1 ELSE 0 END,
        args = CASE WHEN %(args)s::text IS NULL THEN args ELSE %(args)s::jsonb END,
        scheduled_at = now() + make_interval(secs => %(seconds)s)
"""


class ProcrastinateSource:
    """One worker's side of a queue. `silent`: see `PullWorker`."""

    def __init__(self, app: App, engine: str, queue: str, silent: float) -> None:
        self._manager = app.job_manager
        self._own = OwnWriter(app)
        self._engine = engine
        self._queue = queue
        self._silent = silent
        self._id = 0

    async def start(self) -> None:
        with engine_errors(self._engine, "register a worker"):
            await self._manager.prune_stalled_workers(GONE_SECONDS)
            self._id = await self._manager.register_worker()

    async def leave(self) -> None:
        with engine_errors(self._engine, "unregister a worker"):
            await self._manager.unregister_worker(self._id)

    async def take(self) -> Delivery | None:
        with engine_errors(self._engine, "take a call"):
            job = await self._manager.fetch_job([self._queue], self._id)
        if job is None:
            return None
        return Delivery(job.id, str(job.task_kwargs.get("envelope")), job.attempts)

    async def due(self, most: float) -> float:
        return most

    async def listen(self, news: Callable[[], None]) -> None:
        async def notified(*, channel: str, notification: Any) -> None:
            news()

        with engine_errors(self._engine, "listen for calls"):
            await self._manager.listen_for_jobs(on_notification=notified, queues=[self._queue])

    async def beat(self, deliveries: list[Delivery]) -> None:
        with engine_errors(self._engine, "say that a worker lives"):
            # Also where it was given up for dead, and deleted, in the meantime.
            await self._own.rows(
                """
                WITH beat AS (
                    INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE
                    VALUES (%(worker)s, now())
                    ON CONFLICT (id) DO UPDATE SET last_heartbeat = excluded.last_heartbeat
                )
                UPDATE procrastinate_jobs SET worker_id = %(worker)s
                WHERE id = ANY(%(rows)s) AND status = 'doing' AND worker_id IS NULL
                RETURNING id
                """,
                worker=self._id,
                rows=[delivery.row for delivery in deliveries],
            )

    async def sweep(self) -> int:
        # What failed was taken by a worker of Procrastinate's, which knows no such task.
        with engine_errors(self._engine, "look for the calls of dead workers"):
            rows = await self._own.rows(
                f"""
                WITH stalled AS (
                    SELECT id AS stalled_id FROM procrastinate_jobs AS job
                    WHERE queue_name = %(queue)s AND task_name = %(task)s
                        AND (status = 'failed' OR status = 'doing' AND NOT EXISTS (
                            SELECT FROM procrastinate_workers AS worker
                            WHERE worker.id = job.worker_id
                                AND last_heartbeat >= now() - make_interval(secs => %(silent)s)
                        ))
                    FOR UPDATE OF job SKIP LOCKED
                )
                {PUT_BACK} FROM stalled WHERE id = stalled_id RETURNING id
                """,
                queue=self._queue,
                task=TASK,
                silent=self._silent,
                crashed=True,
                args=None,
                seconds=0.0,
            )
        return len(rows)

    async def finish(self, delivery: Delivery) -> None:
        await self._write("DELETE FROM procrastinate_jobs", delivery)

    async def put_back(self, delivery: Delivery, following: Envelope | None) -> None:
        run_at = None if following is None else following.run_at
        # A span and not a moment: the clock here may differ from the server's, and a call that is
        # due there and early here would come round and round.
        seconds = 0.0 if run_at is None else min(max(run_at - time.time(), 0.0), FAR_SECONDS)
        await self._write(
            PUT_BACK,
            delivery,
            crashed=False,
            args=None if following is None else json.dumps(arguments(following)),
            seconds=seconds,
        )

    async def bury(self, delivery: Delivery) -> None:
        aborted = "UPDATE procrastinate_jobs SET status = 'aborted', abort_requested = false"
        await self._write(aborted, delivery)

    async def _write(self, change: LiteralString, delivery: Delivery, **values: Any) -> None:
        with engine_errors(self._engine, "write what became of a call"):
            await self._own.rows(
                f"""
                {change}
                WHERE id = %(row)s AND status = 'doing' AND worker_id = %(worker)s RETURNING id
                """,
                row=delivery.row,
                worker=self._id,
                **values,
            )

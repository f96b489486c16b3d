"""The calls as rows of Procrastinate's tables.

1. They are put in, and taken out, by Procrastinate's own functions. What it has none for is one
   statement here: to finish, put back and find again a row only where it is still this worker's.
2. A row that is over is deleted: what became of its run is in afterwork's store. What cannot be
   read stays as `aborted`.
3. The lock of a key stands for a call that waits for the first time. Whoever puts a row back takes
   the lock off, because another call may have it by now.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job

from afterwork.engines import Envelope

from ._transaction import OwnWriter, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from procrastinate import App

TASK = "afterwork"
FAR_SECONDS = 10 * 365 * 86_400.0
"""A delay beyond that is made of several: a date has four digits for its year."""
GONE_SECONDS = 3600.0
"""After how long a worker that is silent is deleted: whatever its settings, it is dead."""

PUT_BACK = """
    UPDATE procrastinate_jobs
    SET status = 'todo', worker_id = NULL, queueing_lock = NULL, abort_requested = false,
        attempts = CASE WHEN %(crashed)s THEN attempts + 1 ELSE 0 END,
        args = CASE WHEN %(args)s::text IS NULL THEN args ELSE %(args)s::jsonb END,
        scheduled_at = now() + make_interval(secs => %(seconds)s)
"""


class Calls:
    """The calls of one queue."""

    def __init__(self, app: App, queue: str) -> None:
        self._manager = app.job_manager
        self._own = OwnWriter(app)
        self._queue = queue

    # -- for callers

    async def add(self, envelopes: Sequence[Envelope], writer: Writer) -> list[str]:
        """Takes calls in, all or none. Returns the ids of those that stand for them."""
        owners: dict[str, str] = {}
        fresh: list[Envelope] = []
        for envelope in envelopes:
            lock = self._lock(envelope)
            if lock is None or owners.setdefault(lock, envelope.id) == envelope.id:
                fresh.append(envelope)
        while fresh:
            try:
                await writer.defer([self._job(envelope) for envelope in fresh])
                break
            except AlreadyEnqueued as error:
                taken = getattr(error.__cause__, "queueing_lock", None)
            owner = await self._owner(taken, writer)
            if owner is not None:  # else it has started since, and the lock is free
                owners[str(taken)] = owner
                fresh = [each for each in fresh if self._lock(each) != taken]
        return [owners.get(self._lock(each) or "", each.id) for each in envelopes]

    async def status(self, run_id: str) -> str | None:
        """The status of the row that has a call, in Procrastinate's words."""
        rows = await self._own.rows(
            """
            SELECT status::text AS status FROM procrastinate_jobs
            WHERE queue_name = %(queue)s AND task_name = %(task)s
                AND strpos(args->>'envelope', %(id)s) > 0
            ORDER BY id DESC LIMIT 1
            """,
            **self._known(run_id),
        )
        return rows[0]["status"] if rows else None

    async def cancel(self, run_id: str) -> bool:
        """Deletes a call that waits."""
        rows = await self._own.rows(
            """
            DELETE FROM procrastinate_jobs
            WHERE queue_name = %(queue)s AND task_name = %(task)s AND status = 'todo'
                AND strpos(args->>'envelope', %(id)s) > 0
            RETURNING id
            """,
            **self._known(run_id),
        )
        return bool(rows)

    # -- for workers

    async def register(self) -> int:
        """The id of a new worker."""
        await self._manager.prune_stalled_workers(GONE_SECONDS)
        return await self._manager.register_worker()

    async def unregister(self, worker: int) -> None:
        """Forgets a worker. What it has left is free for the others."""
        await self._manager.unregister_worker(worker)

    async def take(self, worker: int) -> Job | None:
        """The next call that is due, from now on this worker's."""
        return await self._manager.fetch_job([self._queue], worker)

    async def listen(self, news: Callable[[], None]) -> None:
        """Calls `news` whenever a call was taken in, until it is cancelled."""

        async def notified(*, channel: str, notification: Any) -> None:
            news()

        await self._manager.listen_for_jobs(on_notification=notified, queues=[self._queue])

    async def beat(self, worker: int, running: list[int]) -> None:
        """Says that a worker lives and still has these calls, also where it was given up for dead
        and deleted in the meantime."""
        await self._own.rows(
            """
            WITH beat AS (
                INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE
                VALUES (%(worker)s, now())
                ON CONFLICT (id) DO UPDATE SET last_heartbeat = excluded.last_heartbeat
            )
            UPDATE procrastinate_jobs SET worker_id = %(worker)s
            WHERE id = ANY(%(running)s) AND status = 'doing' AND worker_id IS NULL
            RETURNING id
            """,
            worker=worker,
            running=running,
        )

    async def sweep(self, silent_seconds: float) -> int:
        """Puts back what workers have that were silent for so long, and what a worker without
        afterwork took and could not run. Returns how many."""
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
            silent=silent_seconds,
            crashed=True,
            args=None,
            seconds=0.0,
        )
        return len(rows)

    async def finish(self, job: Job, worker: int) -> None:
        """A call is over."""
        await self._own.rows(
            """
            DELETE FROM procrastinate_jobs
            WHERE id = %(id)s AND status = 'doing' AND worker_id = %(worker)s RETURNING id
            """,
            id=job.id,
            worker=worker,
        )

    async def put_back(self, job: Job, worker: int, following: Envelope | None) -> None:
        """A call goes on waiting: as its next attempt, or, for None, as it was."""
        run_at = None if following is None else following.run_at
        # A span and not a moment: the clock here may differ from the server's, and a call that is
        # due there and early here would come round and round.
        seconds = 0.0 if run_at is None else min(max(run_at - time.time(), 0.0), FAR_SECONDS)
        await self._own.rows(
            f"""
            {PUT_BACK}
            WHERE id = %(id)s AND status = 'doing' AND worker_id = %(worker)s RETURNING id
            """,
            id=job.id,
            worker=worker,
            crashed=False,
            args=None if following is None else json.dumps(_arguments(following)),
            seconds=seconds,
        )

    async def bury(self, job: Job, worker: int) -> None:
        """What cannot be read is kept for people, and not tried again."""
        await self._own.rows(
            """
            UPDATE procrastinate_jobs SET status = 'aborted', abort_requested = false
            WHERE id = %(id)s AND status = 'doing' AND worker_id = %(worker)s RETURNING id
            """,
            id=job.id,
            worker=worker,
        )

    # -- private

    def _job(self, envelope: Envelope) -> Job:
        run_at = envelope.run_at
        return Job(
            queue=self._queue,
            task_name=TASK,
            lock=None,
            queueing_lock=self._lock(envelope),
            priority=envelope.priority,
            task_kwargs=_arguments(envelope),
            scheduled_at=None
            if run_at is None
            else datetime.fromtimestamp(min(run_at, time.time() + FAR_SECONDS), UTC),
        )

    def _lock(self, envelope: Envelope) -> str | None:
        if envelope.key is None:
            return None
        text = json.dumps([self._queue, envelope.job, envelope.key])
        # Procrastinate reads a lock out of an error's text, where a parenthesis would end it.
        return f"{TASK}:{blake2b(text.encode(), digest_size=20).hexdigest()}"

    async def _owner(self, lock: str | None, writer: Writer) -> str | None:
        rows = await writer.rows(
            """
            SELECT args->>'envelope' AS envelope FROM procrastinate_jobs
            WHERE queueing_lock = %(lock)s AND status = 'todo'
            """,
            lock=lock,
        )
        return Envelope.from_json(rows[0]["envelope"]).id if rows else None

    def _known(self, run_id: str) -> dict[str, Any]:
        # In another field the quotes would be escaped.
        return {"queue": self._queue, "task": TASK, "id": f'"id":{json.dumps(run_id)}'}


def _arguments(envelope: Envelope) -> dict[str, Any]:
    return {"envelope": envelope.to_json()}

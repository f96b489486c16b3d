"""The calls as rows of Procrastinate's tables, for those who make them.

1. They are put in by Procrastinate's own function, all or none.
2. The lock of a key stands for a call that waits for the first time.
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
    from collections.abc import Sequence

    from procrastinate import App

TASK = "afterwork"
FAR_SECONDS = 10 * 365 * 86_400.0
"""A delay beyond that is made of several: a date has four digits for its year."""


class Calls:
    """The calls of one queue."""

    def __init__(self, app: App, queue: str) -> None:
        self._own = OwnWriter(app)
        self._queue = queue

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

    # -- private

    def _job(self, envelope: Envelope) -> Job:
        run_at = envelope.run_at
        return Job(
            queue=self._queue,
            task_name=TASK,
            lock=None,
            queueing_lock=self._lock(envelope),
            priority=envelope.priority,
            task_kwargs=arguments(envelope),
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


def arguments(envelope: Envelope) -> dict[str, Any]:
    """What a row carries."""
    return {"envelope": envelope.to_json()}

"""The calls as rows of PgQueuer's tables, for those who make them.

1. They are put in by PgQueuer's own statement, all or none.
2. The `dedupe_key` of a key stands for its call until that is over.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pgqueuer.queries import Queries

from afterwork.engines import Envelope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgqueuer.ports.driver import Driver

FAR_SECONDS = 10 * 365 * 86_400.0
"""A delay beyond that is made of several: a date has four digits for its year."""


class Calls:
    """The calls of one queue, which is an entrypoint of PgQueuer."""

    def __init__(self, driver: Driver, queue: str) -> None:
        self._driver = driver
        self._queries = Queries(driver)
        self._queue = queue
        self._table = self._queries.qbe.settings.qualified

    async def add(self, envelopes: Sequence[Envelope]) -> list[str]:
        """Takes calls in. Returns the ids of those that stand for them."""
        owners: dict[str, str] = {}
        left = list(envelopes)
        while left:
            rows = await self._queries.enqueue(
                [self._queue] * len(left),
                [envelope.to_json().encode() for envelope in left],
                [envelope.priority for envelope in left],
                [timedelta(seconds=seconds_until(envelope.run_at)) for envelope in left],
                [self._key(envelope) for envelope in left],
                on_conflict="skip",
            )
            skipped = [each for each, row in zip(left, rows, strict=True) if row is None]
            left = []
            for envelope in skipped:
                owner = await self._owner(self._key(envelope))
                if owner is None:  # it is over since, and the key is free
                    left.append(envelope)
                else:
                    owners[envelope.id] = owner
        return [owners.get(envelope.id, envelope.id) for envelope in envelopes]

    async def status(self, run_id: str) -> str | None:
        """The status of the row that has a call, in PgQueuer's words."""
        rows = await self._driver.fetch(
            f"""
            SELECT status::text AS status FROM {self._table.queue_table}
            WHERE entrypoint = $1 AND position($2::bytea IN payload) > 0
            """,
            self._queue,
            _known(run_id),
        )
        return str(rows[0]["status"]) if rows else None

    async def cancel(self, run_id: str) -> bool:
        """Deletes a call that waits."""
        rows = await self._driver.fetch(
            f"""
            WITH deleted AS (
                DELETE FROM {self._table.queue_table}
                WHERE entrypoint = $1 AND status = 'queued'
                    AND position($2::bytea IN payload) > 0
                RETURNING id, entrypoint, priority
            )
            INSERT INTO {self._table.queue_table_log} (job_id, status, entrypoint, priority)
            SELECT id, 'canceled', entrypoint, priority FROM deleted RETURNING job_id
            """,
            self._queue,
            _known(run_id),
        )
        return bool(rows)

    def _key(self, envelope: Envelope) -> str | None:
        if envelope.key is None:
            return None
        text = json.dumps([self._queue, envelope.job, envelope.key])
        return f"afterwork:{blake2b(text.encode(), digest_size=20).hexdigest()}"

    async def _owner(self, key: str | None) -> str | None:
        rows: list[dict[str, Any]] = await self._driver.fetch(
            f"""
            SELECT payload FROM {self._table.queue_table}
            WHERE dedupe_key = $1 AND status IN ('queued', 'picked')
            """,
            key,
        )
        return Envelope.from_json(rows[0]["payload"]).id if rows else None


def seconds_until(run_at: float | None) -> float:
    """How long a call has to wait. A span and not a moment: the clock here may differ from the
    server's, and a call that is due there and early here would come round and round."""
    return 0.0 if run_at is None else min(max(run_at - time.time(), 0.0), FAR_SECONDS)


def _known(run_id: str) -> bytes:
    # In another field the quotes would be escaped.
    return f'"id":{json.dumps(run_id)}'.encode()

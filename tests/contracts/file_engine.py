"""A small engine on a SQLite file, to hold the contract against: calls are leased, and a lease that
is not renewed is over."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Sequence
from typing import Any

from afterwork.engines import Capabilities, Envelope
from afterwork.errors import PayloadError

LEASE = 0.5
POLL = 0.05


class FileEngine:
    """No keys, no priorities, but transactions, and a limit."""

    name = "file"
    capabilities = Capabilities(
        delay_resolution=POLL,
        recovery_seconds=LEASE + POLL,
        transaction=True,
        max_payload=10_000,
    )

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._db.execute("CREATE TABLE IF NOT EXISTS calls (id, text, due REAL, mark TEXT)")
        self._run: Any = None

    def bind(self, run: Any) -> None:
        self._run = run

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        for each in envelopes:
            self.put(each.to_json(), each.id, each.run_at or 0.0, connection)
        return [each.id for each in envelopes]

    def put(self, text: str, run_id: str = "", due: float = 0.0, connection: Any = None) -> None:
        db = connection or self._db
        db.execute("INSERT INTO calls VALUES (?, ?, ?, NULL)", (run_id, text, due))

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        stopping = asyncio.ensure_future(stop)
        tasks: set[asyncio.Task[None]] = set()
        try:
            while not stopping.done():
                while len(tasks) < concurrency and (taken := self._take()) is not None:
                    task = asyncio.create_task(self._deliver(*taken))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                await asyncio.wait({stopping}, timeout=POLL)
            if tasks:
                await asyncio.wait(tasks)
        finally:
            stopping.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self) -> tuple[str, str] | None:
        now, mark = time.time(), uuid.uuid4().hex
        row = self._db.execute(
            "UPDATE calls SET mark = ?, due = ? WHERE rowid = "
            "(SELECT rowid FROM calls WHERE due <= ? ORDER BY rowid LIMIT 1) RETURNING text",
            (mark, now + LEASE, now),
        ).fetchall()
        return (mark, row[0][0]) if row else None

    async def _deliver(self, mark: str, text: str) -> None:
        keeping = asyncio.create_task(self._keep(mark))
        try:
            following = await self._run(Envelope.from_json(text))
            if following is not None:
                await self.enqueue([following])
        except asyncio.CancelledError:
            self._db.execute("UPDATE calls SET due = 0 WHERE mark = ?", (mark,))
            raise
        except PayloadError:
            pass
        finally:
            keeping.cancel()
        self._db.execute("DELETE FROM calls WHERE mark = ?", (mark,))

    async def _keep(self, mark: str) -> None:
        while True:
            await asyncio.sleep(LEASE / 5)
            due = time.time() + LEASE
            self._db.execute("UPDATE calls SET due = ? WHERE mark = ?", (due, mark))

    async def status(self, run_id: str) -> str | None:
        return None

    async def cancel(self, run_id: str) -> bool:
        return False

    async def close(self) -> None:
        """Keeps its file open."""

"""DBOS in this process: launched for a worker, and ended with it.

What is not public in DBOS 3.4 is used here and in `_place`, and nowhere else; the extra pins it.
DBOS's own queue thread stays off: it takes no more than its `worker_concurrency` for each poll, or,
without that, all there is. Here as many calls are taken as can begin, as soon as they can.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from dbos import DBOS, _dbos
from dbos._core import execute_dequeued_workflow

from afterwork.errors import EngineError

from ._calls import VERSION, WORKFLOW
from ._json import JSON
from ._place import APPLICATION

if TYPE_CHECKING:
    from ._place import Place

    Deliver = Callable[[str, Any], Awaitable[None]]

__all__ = ["Process", "Taken"]

QUIET_SECONDS = 60.0
"""Between two looks at what we do not use: its queue and its schedules."""
LISTEN_SECONDS = 0.2
"""The same for its messages. Its end takes as long."""

BUSY_SECONDS = 0.005
"""Between two looks whether DBOS has done."""
END_SECONDS = 2.0

_guard = threading.Lock()
_running: Process | None = None


class _Over(BaseException):
    """Ends a workflow whose row is gone, or is given back: DBOS is to write nothing about it. It
    would write what is returned, and any error. It warns of what is cancelled."""


class Taken:
    """A call that was taken: who owns it for DBOS, and how often its worker died."""

    def __init__(self, owner: str, crashes: int = 0) -> None:
        self.owner = owner
        self.crashes = crashes


class Process:
    """DBOS for one worker. `deliver` runs a call, on `loop`: given its workflow and its text, which
    may be no text at all. Everything else blocks."""

    def __init__(
        self,
        place: Place,
        queue: str,
        executor: str,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
    ) -> None:
        self.taken: dict[str, Taken] = {}
        """The calls that this worker has."""
        self.claiming = threading.Lock()
        """Held while there are calls that are taken, and not in `taken` yet."""
        self.loop = loop
        self.deliver = deliver
        self._place = place
        self._queue_name = queue
        self._executor = executor
        self._dbos: Any = None
        self._queue: Any = None

    def launch(self) -> None:
        """Raises `EngineError` where this process has a DBOS already."""
        global _running
        with _guard:
            if _dbos._dbos_global_instance is not None:
                raise EngineError(
                    self._place.name,
                    "serve",
                    "there is a DBOS in this process already, and there can be only one",
                    "Serve in a process of its own: afterwork worker.",
                )
            engine, _ = self._place.opened()
            self._dbos = DBOS(
                config={
                    "name": APPLICATION,
                    "system_database_engine": engine,
                    "dbos_system_schema": self._place.schema,
                    "application_version": VERSION,
                    "executor_id": self._executor,
                    "serializer": JSON(),
                    "run_migrations": False,
                    "use_listen_notify": False,
                    "notification_listener_polling_interval_sec": LISTEN_SECONDS,
                    "scheduler_polling_interval_sec": QUIET_SECONDS,
                    "log_level": "WARNING",
                }
            )
            try:
                if WORKFLOW not in self._dbos._registry.workflow_info_map:
                    DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)(carry)
                DBOS.listen_queues([])
                DBOS.launch()
                self._queue = DBOS.register_queue(
                    self._queue_name,
                    polling_interval_sec=QUIET_SECONDS,
                    on_conflict="always_update",
                )
            except BaseException:
                DBOS.destroy()
                raise
            _running = self

    def take(self, most: int) -> int:
        """Takes calls that are due and lets them run. Returns how many."""
        database = self._dbos._sys_db
        owner = uuid4().hex
        self._queue._worker_concurrency = most
        with self.claiming:
            workflows, _ = database.start_queued_workflows(
                self._queue, self._executor, VERSION, None, owner_xid=owner, is_latest_version=False
            )
            self.taken.update((workflow, Taken(owner)) for workflow in workflows)
        if not workflows:
            return 0
        rows = {row["workflow_uuid"]: row for row in database.get_workflow_statuses(workflows)}
        for workflow in workflows:
            try:
                row = rows[workflow]
                self.taken[workflow].crashes = row["recovery_attempts"] - 1
                execute_dequeued_workflow(self._dbos, row, owner)
            except Exception:  # DBOS has written that it cannot be read, or it was deleted
                self.taken.pop(workflow, None)
        return len(workflows)

    def recover(self, executor: str) -> int:
        """Lets others have what a dead worker had. Returns how many calls."""
        return len(DBOS._recover_pending_workflows([executor]))

    def give_back_executor(self) -> None:
        """Gives the loop a pool of threads of its own again. DBOS has put its own there, which ends
        with it. Only from the loop."""
        if self._dbos is not None and self._dbos._shared_executor_field is not None:
            self.loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))

    def end(self) -> None:
        """Ends DBOS, when it has done with what is over."""
        global _running
        with _guard:
            if _running is self:
                deadline = time.monotonic() + END_SECONDS
                while self._dbos._workflow_tasks and time.monotonic() < deadline:
                    time.sleep(BUSY_SECONDS)
                _running = None
                DBOS.destroy()


async def carry(text: Any = None) -> None:
    """The one workflow of DBOS: an attempt of a call."""
    process, workflow = _running, DBOS.workflow_id
    if process is not None and workflow is not None:
        # The context goes along, and in it what DBOS's steps look for.
        running = asyncio.run_coroutine_threadsafe(_deliver(process, workflow, text), process.loop)
        with suppress(asyncio.CancelledError):
            await asyncio.wrap_future(running)
    raise _Over


async def _deliver(process: Process, workflow: str, text: Any) -> None:
    await process.deliver(workflow, text)

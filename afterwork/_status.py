"""Where a durable call stands, whoever runs it: from the engine, the store, and what was kept."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ._current import current_exchange, current_work
from ._dispatch import Dispatch
from ._redact import redacted
from ._results import PREFIX
from ._store import LIVE, REOPENABLE
from .errors import NoRequestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from ._journal_tables import Call
    from ._store import RunRecord

WAITING = "waiting"
RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Where a run stands. Times are aware (UTC)."""

    id: str
    """The id of the run."""
    job: str | None
    """The name of its job; None where only the engine knows of it."""
    state: str
    """`waiting`, `running`, or how it ended: `succeeded`, `failed`, `timed_out`, `cancelled`,
    `abandoned`, `skipped`, `missed`."""
    attempt: int
    """The attempt that runs, is next, or was the last."""
    run_at: datetime | None = None
    """When it is due, while it waits and that is known."""
    started_at: datetime | None = None
    """When its last attempt began."""
    ended_at: datetime | None = None
    """When it was over."""
    duration: float | None = None
    """Seconds of its last attempt."""
    error: str | None = None
    """Class and text of what its last attempt raised."""
    reason: str | None = None
    """Why it was cancelled, skipped or given up."""
    result: Any = None
    """What the job returned, as JSON, if it was small enough to be kept."""

    @property
    def over(self) -> bool:
        """Whether it will not run (again) by itself."""
        return self.state not in (WAITING, RUNNING)

    def view(self) -> dict[str, Any]:
        """What a page may see: JSON, without errors' texts, and with secrets hidden."""
        fields = {
            "run_id": self.id,
            "job": self.job,
            "state": self.state,
            "over": self.over,
            "attempt": self.attempt,
            "run_at": _text(self.run_at),
            "started_at": _text(self.started_at),
            "ended_at": _text(self.ended_at),
            "duration_seconds": self.duration,
            "error": None if self.error is None else self.error.partition(":")[0],
            "reason": self.reason,
            "result": redacted(self.result),
        }
        return {name: value for name, value in fields.items() if value is not None}


async def status(run_id: str) -> RunStatus | None:
    """Where a run of the current app stands, in a handler or a callback: `waiting`, `running`, or
    how it ended, with what it returned. None if nobody knows it, or not any more.

    `after(job, ...)` returns what has its `run_id`. Elsewhere ask the app: `await work.status(id)`.
    Raises `NoRequestError` where there is no current app, `StoreError`, `EngineError`.
    """
    exchange, work = current_exchange.get(), current_work.get()
    owner: Any = work.queue.owner if work is not None else exchange and exchange.pipeline
    if owner is None:
        raise NoRequestError
    return await status_of(Dispatch.of(owner), run_id)


async def status_of(dispatch: Dispatch, run_id: str) -> RunStatus | None:
    """Where a run stands; None if nobody knows it, or not any more. Raises `StoreError`,
    `EngineError`."""
    call, record, result = await dispatch.ask_here(lambda: _look(dispatch, run_id))
    if call is not None:
        return _of_call(call, record)
    engine = dispatch.durable.chosen_engine()
    known = None if engine is None else await engine.status(run_id)
    if record is None:
        if known is None:
            return None
        return RunStatus(id=run_id, job=None, state=known, attempt=1)
    state = record.state
    if record.state in LIVE:
        state = RUNNING
    elif record.state in REOPENABLE and known == WAITING:
        state = WAITING
    return RunStatus(
        id=run_id,
        job=record.job,
        state=state,
        attempt=record.attempt + (state == WAITING),
        started_at=_moment(record.started_at),
        ended_at=_moment(record.ended_at),
        duration=record.duration,
        error=record.error,
        reason=record.reason,
        result=None if result is None else json.loads(result),
    )


def _look(dispatch: Dispatch, run_id: str) -> tuple[Call | None, RunRecord | None, str | None]:
    store = dispatch.store()
    journal = dispatch.durable.journal
    call = None
    if journal is not None:
        call = journal.read("read a call", lambda tables: tables.find(run_id))
    return call, store.run(run_id), store.get(PREFIX + run_id)


def _of_call(call: Call, record: RunRecord | None) -> RunStatus:
    envelope = call.envelope
    waits = call.state == WAITING
    return RunStatus(
        id=envelope.id,
        job=envelope.job,
        state=record.state if call.state == "failed" and record is not None else call.state,
        attempt=envelope.attempt,
        run_at=_moment(envelope.run_at) if waits else None,
        started_at=_moment(call.changed_at) if call.state == RUNNING else None,
        ended_at=None if call.state != "failed" else _moment(call.changed_at),
        duration=None if record is None else record.duration,
        error=call.error,
    )


def _moment(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")

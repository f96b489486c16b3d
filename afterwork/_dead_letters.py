"""Dead letters: durable calls that are over without success, kept until somebody decides.

The journal keeps its own; those of an engine are kept among the store's notes, with all that is
needed to make the call again. Nothing deletes them but somebody who asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from ._delivery_ticket import DEAD
from ._envelope import Envelope
from ._ids import run_id as new_run_id
from .errors import PayloadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any

    from ._dispatch import Dispatch
    from ._journal_tables import Call

PREFIX = DEAD
FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A durable call that is over without success."""

    id: str
    """The id of its run."""
    job: str
    """The name of its job."""
    attempts: int
    """How many attempts were made."""
    arguments: dict[str, Any]
    """Its arguments as JSON, by name, with secrets hidden."""
    error: str | None
    """Class and text of what its last attempt raised."""
    enqueued_at: datetime
    """When the call was made (UTC)."""
    died_at: datetime | None
    """When it was given up (UTC), where that is known."""


async def dead_letters(
    dispatch: Dispatch, *, job: str | None, before: str | None, limit: int
) -> list[DeadLetter]:
    """Dead letters, the newest first. Raises `StoreError`."""
    return await dispatch.ask_here(lambda: listed(dispatch, job, before, limit))


def listed(dispatch: Dispatch, job: str | None, before: str | None, limit: int) -> list[DeadLetter]:
    """The same, blocking."""
    letters: list[DeadLetter] = []
    journal = dispatch.durable.journal
    if journal is not None:
        calls: list[Call] = journal.read(
            "read dead letters", lambda tables: tables.calls(FAILED, job, before, limit)
        )
        letters = [_letter(dispatch, call.envelope, call.error, call.changed_at) for call in calls]
    store = dispatch.store()
    for envelope in _noted(dispatch):
        if (job is None or envelope.job == job) and (before is None or envelope.id < before):
            record = store.run(envelope.id)
            error = None if record is None else record.error
            ended = None if record is None else record.ended_at
            letters.append(_letter(dispatch, envelope, error, ended))
    return sorted(letters, key=lambda letter: letter.id, reverse=True)[:limit]


async def revive(dispatch: Dispatch, run_ids: Sequence[str]) -> list[str]:
    """Makes new calls of dead letters, of their own ids, and forgets them. Returns the new ids.
    Raises `StoreError`, `EngineError`."""
    journal = dispatch.durable.journal
    revived: list[str] = []
    if journal is not None:
        revived = await journal.revive(run_ids)
    letters = await dispatch.ask_here(lambda: _noted(dispatch))
    for letter in letters:
        if letter.id in run_ids:
            fresh = replace(letter, id=new_run_id(), attempt=1, crashes=0, run_at=None, key=None)
            revived += await dispatch.durable.engine.enqueue([fresh])
            await dispatch.ask_here(partial(dispatch.store().delete, PREFIX + letter.id))
    return revived


async def delete(dispatch: Dispatch, run_ids: Sequence[str]) -> int:
    """Deletes dead letters for good. Returns how many. Raises `StoreError`."""
    journal = dispatch.durable.journal
    count = 0 if journal is None else await journal.bury(run_ids)

    def delete_notes() -> int:
        store = dispatch.store()
        return sum(store.delete(PREFIX + each) for each in run_ids)

    return count + await dispatch.ask_here(delete_notes)


def _noted(dispatch: Dispatch) -> list[Envelope]:
    """Those that are kept among the notes. One that cannot be read is left alone."""
    found: list[Envelope] = []
    for text in dispatch.store().notes(PREFIX).values():
        try:
            found.append(Envelope.from_json(text))
        except PayloadError:
            pass
    return found


def _letter(
    dispatch: Dispatch, envelope: Envelope, error: str | None, died_at: float | None
) -> DeadLetter:
    from datetime import UTC, datetime

    from ._redact import arguments

    job = dispatch.jobs.find(envelope.job)
    names = [] if job is None else job.codec.names
    return DeadLetter(
        id=envelope.id,
        job=envelope.job,
        attempts=envelope.attempt,
        arguments=arguments(envelope.payload, names),
        error=error,
        enqueued_at=datetime.fromtimestamp(envelope.enqueued_at, UTC),
        died_at=None if died_at is None else datetime.fromtimestamp(died_at, UTC),
    )

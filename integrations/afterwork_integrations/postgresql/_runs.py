"""Run records and job states as rows."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from afterwork.stores import DIED, FAILURES, JobState, Pause, RunRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._connections import Transaction

COLUMNS = (
    "id, job, trigger, state, slot, delivery, attempt, worker, claimed_at, started_at, ended_at,"
    " alive_until, duration, reason, error"
)
NAMES = COLUMNS.replace(",", "").split()


def record(row: tuple[Any, ...]) -> RunRecord:
    """A run from a row that begins with `COLUMNS`."""
    return RunRecord(**dict(zip(NAMES, row, strict=False)))


def end(
    transaction: Transaction,
    run_id: str,
    state: str,
    *,
    reason: str | None = None,
    error: str | None = None,
    duration: float | None = None,
    attempt: int | None = None,
    only_dead: bool = False,
) -> RunRecord | None:
    """Ends a live run and counts it. None where it is not live, has a later attempt, or, with
    `only_dead`, is not dead.

    Its row is looked at and changed in one statement: others renew and end runs with no lock but
    that of the row.
    """
    row = transaction.one(
        f"""
        UPDATE "$schema".runs
        SET state = %(state)s, reason = %(reason)s, error = %(error)s, duration = %(duration)s,
            attempt = coalesce(%(attempt)s, attempt), ended_at = %(now)s, alive_until = NULL,
            holds = NULL, waits = NULL, stop = NULL, token = 0
        WHERE namespace = %(namespace)s AND id = %(id)s AND alive_until IS NOT NULL
            AND attempt <= coalesce(%(attempt)s, attempt)
            AND (alive_until <= %(now)s OR NOT %(only_dead)s)
        RETURNING {COLUMNS}
        """,
        id=run_id,
        state=state,
        reason=reason,
        error=error,
        duration=duration,
        attempt=attempt,
        only_dead=only_dead,
    )
    if row is None:
        return None
    run = record(row)
    count(transaction, run)
    return run


def abandon(transaction: Transaction, run_id: str) -> RunRecord | None:
    """Marks a run that has died. None where it lives, or is over."""
    return end(transaction, run_id, "abandoned", reason=DIED, only_dead=True)


def count(transaction: Transaction, run: RunRecord) -> None:
    """Takes a run that is over into the state of its job."""
    counted = run.state not in ("skipped", "missed")
    transaction.do(
        """
        INSERT INTO "$schema".jobs AS job (namespace, name, registered_at, counts, last_run,
            last_success_at, failures_in_a_row)
        VALUES (%(namespace)s, %(name)s, %(now)s, jsonb_build_object(%(state)s::text, 1),
            %(last_run)s::jsonb, %(success)s, %(failures)s)
        ON CONFLICT (namespace, name) DO UPDATE
        SET counts = job.counts || jsonb_build_object(%(state)s::text,
                coalesce((job.counts ->> %(state)s::text)::bigint, 0) + 1),
            last_run = coalesce(excluded.last_run, job.last_run),
            last_success_at = coalesce(excluded.last_success_at, job.last_success_at),
            failures_in_a_row = CASE WHEN excluded.last_success_at IS NULL
                THEN job.failures_in_a_row + excluded.failures_in_a_row ELSE 0 END
        """,
        name=run.job,
        state=run.state,
        last_run=json.dumps(asdict(run)) if counted else None,
        success=run.ended_at if run.state == "succeeded" else None,
        failures=int(run.state in FAILURES),
    )


def know(transaction: Transaction, jobs: Sequence[str], slot: int | None = None) -> None:
    """Takes down when jobs were first seen, and the newest slot."""
    transaction.do(
        """
        INSERT INTO "$schema".jobs AS job (namespace, name, registered_at, last_slot)
        SELECT %(namespace)s, name, %(now)s, %(slot)s::bigint
        FROM unnest(%(jobs)s::text[]) AS name ORDER BY name COLLATE "C"
        ON CONFLICT (namespace, name) DO UPDATE
        SET last_slot = greatest(job.last_slot, excluded.last_slot)
        WHERE job.last_slot IS DISTINCT FROM greatest(job.last_slot, excluded.last_slot)
        """,
        jobs=sorted(set(jobs)),
        slot=slot,
    )


def job_state(row: tuple[Any, ...], now: float) -> JobState:
    """A job from its row, in the order of the columns of `jobs` after the namespace."""
    name, registered_at, slot, last_run, success, failures, counts, since, until, note = row
    pause = None
    if since is not None and (until is None or until > now):
        pause = Pause(since, until, note)
    return JobState(
        name=name,
        registered_at=registered_at,
        last_slot=slot,
        last_run=None if last_run is None else RunRecord(**last_run),
        last_success_at=success,
        failures_in_a_row=failures,
        pause=pause,
        counts=counts,
    )

"""Claims, inside a transaction that has the lock of the job.

Rows are locked in the same order everywhere, so no two transactions wait for each other: runs, by
their ids, then jobs, by their names, then keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterwork.stores import CLAIMED, LIVE, REOPENABLE, Claim, RunRecord, kept_error

from ._runs import COLUMNS, abandon, count, know, record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._connections import Transaction


def claim(
    transaction: Transaction,
    run: RunRecord,
    keys: Sequence[str],
    keep: float,
    ttl: float,
    reopen: bool,
) -> Claim:
    """See `Store.claim`. The transaction has the lock of the job."""
    wanted = list(dict.fromkeys(keys))
    taken: dict[str, str] = dict(
        transaction.all(
            """
            SELECT key, run_id FROM "$schema".keys
            WHERE namespace = %(namespace)s AND job = %(job)s AND key = ANY(%(keys)s)
                AND until > %(now)s
            """,
            job=run.job,
            keys=wanted,
        )
        if wanted
        else ()
    )
    owner = next((taken[key] for key in wanted if key in taken), run.id)
    row = transaction.one(
        f"""
        SELECT {COLUMNS}, claimed_by FROM "$schema".runs
        WHERE namespace = %(namespace)s AND id = %(owner)s FOR UPDATE
        """,
        owner=owner,
    )
    free = [key for key in wanted if taken.get(key, owner) == owner]
    if row is None:
        new = _insert(transaction, run, ttl)
        _take_keys(transaction, new, free, keep)
        return Claim(new, True)

    found = record(row)
    found = abandon(transaction, found.id) or found
    if row[-1] == run.id and found.state == run.state:
        # The same claim once more: its answer got lost on the way.
        return Claim(found, True)
    if not reopen or found.state not in REOPENABLE:
        return Claim(found, False)
    reopened = _reopen(transaction, found, run, ttl)
    _take_keys(transaction, reopened, free, keep)
    return Claim(reopened, True)


def _insert(transaction: Transaction, run: RunRecord, ttl: float) -> RunRecord:
    live = run.state in LIVE
    ((*row,),) = transaction.all(
        f"""
        INSERT INTO "$schema".runs (namespace, {COLUMNS}, claimed_by)
        VALUES (%(namespace)s, %(id)s, %(job)s, %(trigger)s, %(state)s, %(slot)s, %(delivery)s,
            %(attempt)s, %(worker)s, %(now)s, %(started_at)s, %(ended_at)s, %(alive_until)s,
            %(duration)s, %(reason)s, %(error)s, %(id)s)
        RETURNING {COLUMNS}
        """,
        id=run.id,
        job=run.job,
        trigger=run.trigger,
        state=run.state,
        slot=run.slot,
        delivery=run.delivery,
        attempt=run.attempt,
        worker=run.worker,
        started_at=run.started_at,
        ended_at=None if live else transaction.now,
        alive_until=transaction.now + ttl if live else None,
        duration=run.duration,
        reason=kept_error(run.reason),
        error=kept_error(run.error),
    )
    new = record(tuple(row))
    know(transaction, [new.job], new.slot)
    if not live:
        count(transaction, new)
    return new


def _reopen(transaction: Transaction, old: RunRecord, run: RunRecord, ttl: float) -> RunRecord:
    ((*row,),) = transaction.all(
        f"""
        UPDATE "$schema".runs
        SET state = %(claimed)s, attempt = %(attempt)s, worker = %(worker)s, trigger = %(trigger)s,
            claimed_at = %(now)s, alive_until = %(now)s + %(ttl)s, claimed_by = %(by)s,
            started_at = NULL, ended_at = NULL, duration = NULL, reason = NULL, error = NULL
        WHERE namespace = %(namespace)s AND id = %(id)s
        RETURNING {COLUMNS}
        """,
        id=old.id,
        claimed=CLAIMED,
        attempt=max(old.attempt + 1, run.attempt),
        worker=run.worker,
        trigger=run.trigger,
        ttl=ttl,
        by=run.id,
    )
    return record(tuple(row))


def _take_keys(transaction: Transaction, run: RunRecord, keys: list[str], keep: float) -> None:
    if keys:
        transaction.do(
            """
            INSERT INTO "$schema".keys (namespace, job, key, run_id, until)
            SELECT %(namespace)s, %(job)s, key, %(id)s, %(now)s + %(keep)s
            FROM unnest(%(keys)s::text[]) AS key
            ON CONFLICT (namespace, job, key) DO UPDATE
            SET run_id = excluded.run_id, until = excluded.until
            """,
            job=run.job,
            id=run.id,
            keys=keys,
            keep=keep,
        )

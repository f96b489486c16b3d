"""Leases, inside a transaction that has the lock of the lease.

It is a lock of that one transaction. The lease itself is a column of the run, see `_schema`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from afterwork.stores import CLAIMED, LIVE, NEWER_WAITS, RUNNING, Lease, RunRecord

from ._runs import COLUMNS, abandon, end, record

if TYPE_CHECKING:
    from ._connections import Transaction


def acquire(transaction: Transaction, run_id: str, lock: str, ttl: float) -> Lease:
    """See `Store.acquire`. The transaction has the lock of the lease."""
    me, others = _around(transaction, run_id, lock)
    if me is None or me.run.state not in LIVE:
        return Lease("", False)
    token = me.token
    if me.holds != lock:
        if others:
            # Whoever holds it, else whoever waits for it.
            return Lease(min(others, key=lambda other: other.holds != lock).run.id, False)
        ((token,),) = transaction.all("""SELECT nextval('"$schema".tokens')""")
    start(transaction, run_id, ttl)
    transaction.do(
        """
        UPDATE "$schema".runs SET holds = %(lock)s, waits = NULL, token = %(token)s
        WHERE namespace = %(namespace)s AND id = %(id)s
        """,
        id=run_id,
        lock=lock,
        token=token,
    )
    return Lease(run_id, True, token)


def start(transaction: Transaction, run_id: str, ttl: float) -> bool:
    """Makes a live run `running`. Returns whether it was one."""
    return bool(
        transaction.do(
            """
            UPDATE "$schema".runs
            SET state = %(running)s, started_at = coalesce(started_at, %(now)s),
                alive_until = %(now)s + %(ttl)s
            WHERE namespace = %(namespace)s AND id = %(id)s AND alive_until IS NOT NULL
            """,
            id=run_id,
            running=RUNNING,
            ttl=ttl,
        )
    )


def wait(transaction: Transaction, run_id: str, lock: str) -> bool:
    """See `Store.wait`. The transaction has the lock of the lease."""
    me, others = _around(transaction, run_id, lock)
    if me is None or me.run.state != CLAIMED:
        return False
    for other in others:
        if other.waits == lock:
            theirs, mine = other.run.slot, me.run.slot
            newer = theirs is not None and mine is not None and theirs > mine
            end(transaction, run_id if newer else other.run.id, "skipped", reason=NEWER_WAITS)
            if newer:
                return False
    transaction.do(
        """
        UPDATE "$schema".runs SET waits = %(lock)s
        WHERE namespace = %(namespace)s AND id = %(id)s
        """,
        id=run_id,
        lock=lock,
    )
    return True


class _Placed(NamedTuple):
    """A run, and its part in a lease."""

    run: RunRecord
    holds: str | None
    waits: str | None
    token: int


def _around(
    transaction: Transaction, run_id: str, lock: str
) -> tuple[_Placed | None, list[_Placed]]:
    """This run, and those others that hold the lease or wait for it and live. Those that have died
    are abandoned. All their rows are locked at once, before any job's."""
    rows = transaction.all(
        f"""
        SELECT holds, waits, token, {COLUMNS} FROM "$schema".runs
        WHERE namespace = %(namespace)s
            AND (id = %(id)s OR holds = %(lock)s OR waits = %(lock)s)
        ORDER BY id FOR UPDATE
        """,
        id=run_id,
        lock=lock,
    )
    found = [_Placed(record(row[3:]), *row[:3]) for row in rows]
    me = next((placed for placed in found if placed.run.id == run_id), None)
    others = [placed for placed in found if placed is not me]
    return me, [other for other in others if abandon(transaction, other.run.id) is None]

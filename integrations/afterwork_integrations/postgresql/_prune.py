"""Deleting what is no longer needed, a bounded number at a time.

Each statement is a transaction of its own and passes by what is locked, so nobody waits for it and
it waits for nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._connections import Transaction

BATCH = 1000


def expired(transaction: Transaction, table: str) -> None:
    """Keys or notes whose time has passed."""
    transaction.do(
        f"""
        DELETE FROM "$schema".{table} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM "$schema".{table}
            WHERE namespace = %(namespace)s AND until <= %(now)s
            LIMIT {BATCH} FOR UPDATE SKIP LOCKED))
        """
    )


def runs(transaction: Transaction, age: float, keep: int) -> int:
    """Runs that are over and too old, or too many of their job, and that no key stands for."""
    return transaction.do(
        f"""
        DELETE FROM "$schema".runs WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM "$schema".runs AS run
            WHERE namespace = %(namespace)s AND ended_at IS NOT NULL
                AND (ended_at < %(now)s - %(age)s OR id IN (
                    SELECT surplus.id FROM "$schema".jobs AS known CROSS JOIN LATERAL (
                        SELECT id FROM "$schema".runs
                        WHERE namespace = %(namespace)s AND job = known.name
                            AND ended_at IS NOT NULL
                        ORDER BY id DESC OFFSET %(keep)s) AS surplus
                    WHERE known.namespace = %(namespace)s))
                AND NOT EXISTS (
                    SELECT FROM "$schema".keys
                    WHERE namespace = %(namespace)s AND run_id = run.id AND until > %(now)s)
            LIMIT {BATCH} FOR UPDATE OF run SKIP LOCKED))
        """,
        age=age,
        keep=keep,
    )

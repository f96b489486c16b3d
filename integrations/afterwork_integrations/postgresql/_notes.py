"""Notes: small texts under a key, which count until their time has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._connections import Transaction

COUNTS = "namespace = %(namespace)s AND (until IS NULL OR until > %(now)s)"


def write(
    transaction: Transaction, key: str, value: str, ttl: float | None, *, replace: bool
) -> bool:
    """Keeps a text. Without `replace` only if none is kept. Returns whether it did."""
    return bool(
        transaction.do(
            """
            INSERT INTO "$schema".notes AS note (namespace, key, value, until)
            VALUES (%(namespace)s, %(key)s, %(value)s, %(until)s)
            ON CONFLICT (namespace, key) DO UPDATE
            SET value = excluded.value, until = excluded.until
            WHERE %(replace)s OR note.until <= %(now)s
            """,
            key=key,
            value=value,
            until=None if ttl is None else transaction.now + ttl,
            replace=replace,
        )
    )


def read(transaction: Transaction, key: str) -> str | None:
    """The text, or None."""
    row = transaction.one(
        f'SELECT value FROM "$schema".notes WHERE {COUNTS} AND key = %(key)s', key=key
    )
    return None if row is None else row[0]


def delete(transaction: Transaction, key: str) -> bool:
    """Returns whether there was one."""
    return bool(
        transaction.do(f'DELETE FROM "$schema".notes WHERE {COUNTS} AND key = %(key)s', key=key)
    )


def beginning_with(transaction: Transaction, prefix: str) -> dict[str, str]:
    """All of them whose keys begin so. The first comparison lets the index find them."""
    query = f"""
        SELECT key, value FROM "$schema".notes
        WHERE {COUNTS} AND key >= %(prefix)s AND starts_with(key, %(prefix)s)
        """
    return dict(row for row in transaction.all(query, prefix=prefix))

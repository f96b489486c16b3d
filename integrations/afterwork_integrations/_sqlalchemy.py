"""From a connection or session of SQLAlchemy to the driver's connection below it, without importing
SQLAlchemy."""

from __future__ import annotations

from typing import Any

from afterwork.errors import InvalidOptionError

__all__ = ["driver_connection"]

EXPECTED = "in a transaction, as within engine.begin() or a session"


async def driver_connection(connection: Any) -> Any:
    """The driver's own connection of an `AsyncSession`, `AsyncConnection`, `Session` or
    `Connection`, in the transaction that SQLAlchemy has open on it; anything else as it is.

    A session begins its transaction here, as with any statement. Raises `InvalidOptionError` for a
    connection of SQLAlchemy on which none is open: what is written there would be committed by
    nobody.
    """
    if not type(connection).__module__.startswith("sqlalchemy."):
        return connection
    is_async = hasattr(connection, "sync_connection") or hasattr(connection, "sync_session")
    if hasattr(connection, "get_bind"):  # a session
        connection = await connection.connection() if is_async else connection.connection()
    if not connection.in_transaction():
        raise InvalidOptionError("connection", EXPECTED, type(connection))
    return await connection.run_sync(_driver) if is_async else _driver(connection)


def _driver(connection: Any) -> Any:
    # Some drivers are told of a transaction at its first statement only.
    connection.exec_driver_sql("SELECT 1")
    return connection.connection.driver_connection

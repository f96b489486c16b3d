"""What goes wrong between here and the database, said as an `EngineError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from procrastinate.exceptions import ConnectorException

from afterwork.errors import EngineError

MIGRATIONS = "https://procrastinate.readthedocs.io/en/stable/howto/production/migrations.html"
UNDEFINED = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
)


@contextmanager
def engine_errors(engine: str, doing: str) -> Iterator[None]:
    """Turns the errors of Procrastinate, of psycopg and of the network."""
    try:
        yield
    except (ConnectorException, psycopg.Error, OSError) as error:
        cause = error.__cause__ if isinstance(error, ConnectorException) else error
        problem = " ".join(str(cause or error).split()).rstrip(".") or type(error).__name__
        raise EngineError(engine, doing, problem, _hint(cause)) from error


def _hint(cause: BaseException | None) -> str:
    if isinstance(cause, psycopg.errors.InsufficientPrivilege):
        return "Grant it to this user."
    if isinstance(cause, UNDEFINED):
        return f"Apply Procrastinate's schema and its migrations: {MIGRATIONS}"
    if isinstance(cause, (psycopg.OperationalError, OSError)):
        return "Check that the server runs and can be reached from here."
    return ""

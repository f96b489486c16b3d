"""What goes wrong between here and the database, said as an `EngineError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from afterwork.errors import EngineError


@contextmanager
def engine_errors(engine: str, doing: str) -> Iterator[None]:
    """Turns the errors of asyncpg, of psycopg and of the network."""
    try:
        yield
    except Exception as error:
        if not _is_the_databases(error):
            raise
        problem = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise EngineError(engine, doing, problem, _hint(error)) from error


def _is_the_databases(error: Exception) -> bool:
    # psycopg may not be there, unless it is the caller's.
    own = isinstance(error, (asyncpg.PostgresError, asyncpg.InterfaceError, OSError))
    return own or type(error).__module__.startswith("psycopg.")


def _hint(error: Exception) -> str:
    state = str(getattr(error, "sqlstate", None) or "")
    if state == "42501":
        return "Grant it to this user."
    if state.startswith("42"):
        return "Bring PgQueuer's tables up to date: `pgq upgrade`."
    if isinstance(error, OSError):
        return "Check that the server runs and can be reached from here."
    return ""

"""What goes wrong between here and the database, said as an `EngineError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dbos import error as dbos_error
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from afterwork.errors import EngineError

__all__ = ["engine_errors"]


@contextmanager
def engine_errors(engine: str, doing: str) -> Iterator[None]:
    """Turns the errors of SQLAlchemy, of DBOS and of the network."""
    try:
        yield
    except (SQLAlchemyError, dbos_error.DBOSException, OSError) as error:
        # SQLAlchemy's own text quotes the statement and its values.
        told = error.orig if isinstance(error, DBAPIError) else error
        problem = " ".join(str(told).split()).rstrip(".") or type(error).__name__
        raise EngineError(engine, doing, problem, _hint(problem)) from error


def _hint(problem: str) -> str:
    if "locked" in problem:
        return "Something else writes to the file for long."
    if "no such table" in problem or "does not exist" in problem:
        return "DBOS's tables are missing: leave migrate=True, or run `dbos migrate`."
    return "Check that the database can be reached from here."

"""What goes wrong, said as a `StoreError`, and a store's name without a password."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from afterwork.errors import InvalidOptionError, StoreError


@contextmanager
def store_errors(store: str, doing: str) -> Iterator[None]:
    """Turns the errors of psycopg, of the network and of texts that are none."""
    try:
        yield
    except (psycopg.Error, OSError, UnicodeError) as error:
        problem = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise StoreError(store, doing, problem, _hint(error)) from error


def named(conninfo_or_pool: Any) -> str:
    """A name without a password."""
    if not isinstance(conninfo_or_pool, str):
        if not callable(getattr(conninfo_or_pool, "connection", None)):
            expected = "a URL, a connection string or a psycopg_pool.ConnectionPool"
            raise InvalidOptionError("conninfo_or_pool", expected, type(conninfo_or_pool))
        return "postgresql"
    try:
        options: dict[str, Any] = conninfo_to_dict(conninfo_or_pool)
    except psycopg.Error:
        options = {"port": "?"}
    host, port, name = (str(options.get(part, "")) for part in ("host", "port", "dbname"))
    # A password with a special character that was not encoded ends up in any of these.
    if "@" in host[1:] + name or not re.fullmatch(r"[\d,]*", port):
        # Without the reason, which may quote a part of it.
        raise StoreError(
            "postgresql",
            "read its URL",
            "it is none that libpq understands",
            "Write postgresql://user:password@host:5432/database, with special characters as %XX.",
        )
    return f"postgresql://{host}{port and ':'}{port}/{name}"


def _hint(error: Exception) -> str:
    if isinstance(error, psycopg.errors.UndefinedTable):
        return "Call open() first: it makes the tables."
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "Grant it, or have somebody who may make the schema call open() once."
    if isinstance(error, psycopg.OperationalError):
        return "Check that the server runs and can be reached from here."
    return ""

"""What SQLite's errors mean for whoever runs the app, and what to do next."""

from __future__ import annotations

import sqlite3

LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (
    "the file is damaged, or no SQLite database",
    (
        "Put a backup in its place, or move the file away together with its -wal and -shm; "
        "afterwork makes a new one, which knows nothing of what has run."
    ),
)
_MEANING = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space."),
    sqlite3.SQLITE_READONLY: (
        "the file, its folder or the whole file system is read-only",
        (
            "Put it on a disk that this process may write to. Serverless hosts have none that "
            "lasts: use a store on Redis or PostgreSQL there."
        ),
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "the file cannot be opened",
        (
            "It must not be a folder, its own folder has to exist, and this process has to be "
            "allowed to make files there: SQLite keeps a -wal and a -shm beside the database."
        ),
    ),
}


def is_locked(error: sqlite3.Error) -> bool:
    """Whether somebody else was just writing."""
    return _code(error) in LOCKED


def meaning(error: sqlite3.Error, timeout: float) -> tuple[str, str]:
    """The problem, and the next step."""
    if is_locked(error):
        return locked(timeout)
    return _MEANING.get(_code(error), (f"SQLite says {error}", ""))


def locked(timeout: float) -> tuple[str, str]:
    """What is said where somebody else did not let go in time."""
    return (
        f"somebody else kept the file locked for more than {timeout:g} s",
        (
            "Look for a long transaction of another program on it, such as a database browser or "
            "a backup, or give the store a longer `timeout`."
        ),
    )


def _code(error: sqlite3.Error) -> int:
    # The lower byte is the kind; the rest says more about it than anybody needs here.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF

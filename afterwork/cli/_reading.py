"""The store for commands that only look. They register no jobs, and make no file where there is
none: then nothing has run yet."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._dispatch import Dispatch
    from .._store import Store


def opened(dispatch: Dispatch) -> Store | None:
    """The store, open; None where it does not exist yet. Raises `StoreError`."""
    store = dispatch.chosen_store()
    path = file_of(store)
    if path is not None and not os.path.exists(path):
        return None
    store.open()
    return store


def file_of(store: Store) -> str | None:
    """The file of a store that is one."""
    from .._store_sqlite import SQLiteStore

    return store.path if isinstance(store, SQLiteStore) else None


def place_of(store: Store) -> str:
    """Where a store is, for people; without a password."""
    path = file_of(store)
    if path is not None:
        return f"sqlite:///{path}"
    return "memory:" if store.shared == "process" else repr(store)

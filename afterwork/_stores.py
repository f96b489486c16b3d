"""Which store an app has: an object, a URL, or the default."""

from __future__ import annotations

import os

from .errors import InvalidOptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint

    from ._store import Store

EXPECTED = (
    "a store, or a URL such as 'sqlite:///afterwork.db', 'memory:', 'redis://127.0.0.1:6379/0' or "
    "'postgresql://127.0.0.1/app'"
)
VARIABLE = "AFTERWORK_STORE"
DEFAULT_URL = "sqlite:///afterwork.db"
GROUP = "afterwork.stores"
"""Entry points of this group make a store from a URL; their names are the schemes."""


def default_store() -> Store:
    """The store of an app that names none: the URL in `AFTERWORK_STORE`, else a file
    `afterwork.db` in the working directory."""
    return as_store(os.environ.get(VARIABLE) or DEFAULT_URL)


def as_store(value: object) -> Store:
    """The store that is meant. Nothing is opened yet. Raises `InvalidOptionError`; a URL is not in
    its message, since it may hold a password."""
    if isinstance(value, str):
        scheme, colon, rest = value.partition(":")
        if not colon:
            raise InvalidOptionError("store", EXPECTED, f"{value[:20]!r} without a scheme")
        if scheme == "memory":
            from ._store_memory import MemoryStore

            return MemoryStore()
        if scheme == "sqlite":
            from ._store_sqlite import SQLiteStore

            return SQLiteStore(_path(rest))
        return _from_plugin(scheme)(value)
    if not all(hasattr(value, name) for name in ("open", "claim", "acquire", "finish")):
        raise InvalidOptionError("store", EXPECTED, value)
    return value  # type: ignore[return-value]


def _path(rest: str) -> str:
    """The path in `sqlite:///relative.db` or `sqlite:////absolute.db`."""
    if not rest.startswith("///") or len(rest) == 3:
        expected = "'sqlite:///' and a path: 'sqlite:///afterwork.db', 'sqlite:////var/lib/a.db'"
        raise InvalidOptionError("store", expected, f"sqlite:{rest}")
    return rest[3:]


def _from_plugin(scheme: str) -> Callable[[str], Store]:
    from importlib.metadata import entry_points

    found: list[EntryPoint] = list(entry_points(group=GROUP, name=scheme))
    if not found:
        raise InvalidOptionError("store", EXPECTED, f"a URL with the scheme {scheme[:40]!r}")
    make: Callable[[str], Store] = found[0].load()
    return make

"""The store of one app: chosen late, opened once, with all its jobs registered."""

from __future__ import annotations

import time
from threading import Lock

from .errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._jobs import Jobs
    from ._store import Store

REOPEN_SECONDS = 1.0
"""How long a store that could not be opened is left alone."""


class OpenStore:
    """The store that was given, or the default one once somebody asks for it."""

    def __init__(self, store: Store | None, jobs: Jobs) -> None:
        self._store = store
        self._jobs = jobs
        self._registered: int | None = None
        self.failed: tuple[float, StoreError] | None = None
        self._choosing = Lock()
        # Another lock, since opening may take seconds.
        self._opening = Lock()

    @property
    def blocks(self) -> bool:
        """Whether the store may block, so that it is asked in a thread."""
        return self._store is None or getattr(self._store, "blocks", True)

    def chosen(self) -> Store:
        """The store, which may not be open."""
        with self._choosing:
            if self._store is None:
                from ._stores import default_store

                self._store = default_store()
            return self._store

    def opened(self) -> Store:
        """The store, open, with all jobs registered. May block. Raises `StoreError`."""
        if self._registered == len(self._jobs):
            return self.chosen()
        with self._opening:
            if self.failed is not None and time.monotonic() - self.failed[0] < REOPEN_SECONDS:
                raise self.failed[1]
            count = len(self._jobs)
            try:
                store = self.chosen()
                store.open()
                store.register([job.name for job in self._jobs])
            except StoreError as error:
                self.failed = (time.monotonic(), error)
                raise
            self.failed = None
            self._registered = count
            return store

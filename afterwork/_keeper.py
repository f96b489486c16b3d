"""Keeps leases while their runs are on their way.

It is a thread and no timer on the loop: a job that blocks the loop must not lose its lease by that,
or a second run would start beside it.
"""

from __future__ import annotations

import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Keeper:
    """Calls what it holds again and again, until it is dropped. The thread is there only while
    something is held."""

    def __init__(self, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._held: dict[Callable[[], None], float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def hold(self, renew: Callable[[], None]) -> None:
        """Calls `renew` every so many seconds from now on, first after that time. It must not
        raise. What is held already is not put off."""
        with self._changed:
            self._held.setdefault(renew, time.monotonic() + self.every_seconds)
            # After a fork the thread is not there, although its object is.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="afterwork-leases")
                self._thread.daemon = True
                self._thread.start()

    def drop(self, renew: Callable[[], None]) -> None:
        """Stops that. A call that is on its way is not waited for."""
        with self._changed:
            self._held.pop(renew, None)
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._held:
                    self._thread = None
                    return
                renew = min(self._held, key=self._held.__getitem__)
                left = self._held[renew] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                self._held[renew] = time.monotonic() + self.every_seconds
            renew()
            del renew  # or what was dropped meanwhile lives until the next call

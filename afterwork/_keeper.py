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


IDLE_SECONDS = 10.0
"""How long the thread stays although nothing is held: one for each run would cost more."""
MAX_SLEEP_SECONDS = 5.0


class Keeper:
    """Calls what it holds again and again, until it is dropped.

    What is held is first due after `every_seconds`, and the thread never sleeps longer than that:
    so nobody has to wake it.
    """

    def __init__(self, every_seconds: float) -> None:
        self.every_seconds = every_seconds
        self._held: dict[Callable[[], None], float] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._used_at = 0.0

    def hold(self, renew: Callable[[], None]) -> None:
        """Calls `renew` every so many seconds from now on, first after that time. It must not
        raise. What is held already is not put off."""
        with self._lock:
            self._used_at = time.monotonic()
            self._held.setdefault(renew, self._used_at + self.every_seconds)
            # After a fork the thread is not there, although its object is.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="afterwork-leases")
                self._thread.daemon = True
                self._thread.start()

    def drop(self, renew: Callable[[], None]) -> None:
        """Stops that. A call that is on its way is not waited for."""
        with self._lock:
            self._held.pop(renew, None)

    def _run(self) -> None:
        while (due := self._due()) is not None:
            calls, pause = due
            while calls:
                calls.pop()()
            del due, calls  # or what was dropped meanwhile lives until the next call
            time.sleep(min(pause, MAX_SLEEP_SECONDS))

    def _due(self) -> tuple[list[Callable[[], None]], float] | None:
        """What has to be called now, and how long to sleep after that. None: nobody needs it."""
        with self._lock:
            now = time.monotonic()
            if not self._held and now - self._used_at > IDLE_SECONDS:
                self._thread = None
                return None
            calls = [renew for renew, at in self._held.items() if at <= now]
            for renew in calls:
                self._held[renew] = now + self.every_seconds
            following = min(self._held.values(), default=now + self.every_seconds)
            return calls, max(following - now, 0.0)

"""Threads for sync callbacks: a few parked ones over one queue.

Handing a call over costs the loop a queue put and nothing more, and the threads are not those that
the framework runs its sync endpoints in, so callbacks cannot starve requests.
"""

from __future__ import annotations

from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue
    from typing import Any, TypeVar

    T = TypeVar("T")

IDLE_SECONDS = 30.0
"""How long a thread waits for its next call before it ends."""


class Threads:
    """At most `most` threads, each made when it is needed and gone when it is not.

    They are daemons: a callback that never returns must not keep the process alive. What is still
    running when the process ends was reported as abandoned before that.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.alive = 0
        self._unfinished = 0
        self._lock = allocate_lock()
        self._calls: SimpleQueue[tuple[Callable[[Any], object], Any]] | None = None

    def submit(self, call: Callable[[T], object], work: T) -> None:
        """Calls `call(work)` in one of the threads. `call` must not raise.

        Raises `RuntimeError` where the system gives no thread at all.
        """
        with self._lock:
            if self._calls is None:
                from queue import SimpleQueue

                self._calls = SimpleQueue()
            self._unfinished += 1
            grow = self._unfinished > self.alive and self.alive < self.most
            if grow:
                self.alive += 1
        if grow:
            self._grow()
        self._calls.put((call, work))

    def _grow(self) -> None:
        import threading

        try:
            threading.Thread(target=self._run, name="afterwork", daemon=True).start()
        except RuntimeError:
            with self._lock:
                self.alive -= 1
                if not self.alive:
                    self._unfinished -= 1
                    raise

    def _run(self) -> None:
        from queue import Empty

        calls: Any = self._calls
        while True:
            try:
                call, work = calls.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    # Another thread is left for every call that came in just now, or this one
                    # stays.
                    if self._unfinished < self.alive:
                        self.alive -= 1
                        return
                continue
            try:
                call(work)
            finally:
                with self._lock:
                    self._unfinished -= 1
            del call, work  # or the last one's arguments live until the next

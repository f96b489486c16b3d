"""What is unfinished, for each invocation.

1. An invocation is over once it was entered and everything that entered it has left.
2. One that nobody has entered is not over: the extension may hear of it before the handler does.
3. A new invocation makes all others forgotten. What an earlier one left behind, such as a thread
   that nothing can stop, must not hold a later one.

The handler's thread, the app's loop and the extension's thread all use it.
"""

from __future__ import annotations

import asyncio
import time
from threading import Condition
from typing import Any


class Ledger:
    """Counts what is unfinished. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._unfinished: dict[str, int] = {}
        self._tasks: set[asyncio.Future[Any]] = set()

    def __len__(self) -> int:
        return len(self._unfinished)

    def enter(self, request_id: str) -> None:
        """One thing more to wait for."""
        with self._changed:
            self._unfinished[request_id] = self._unfinished.get(request_id, 0) + 1

    def leave(self, request_id: str) -> None:
        """One thing less. For a forgotten invocation it does nothing."""
        with self._changed:
            if request_id in self._unfinished:
                self._unfinished[request_id] -= 1
                self._changed.notify_all()

    def keep(self, request_id: str, task: asyncio.Future[Any]) -> None:
        """Something to wait for until it is done. Only from the task's loop."""
        self.enter(request_id)
        self._tasks.add(task)

        def done(task: asyncio.Future[Any]) -> None:
            self._tasks.discard(task)
            self.leave(request_id)

        task.add_done_callback(done)

    async def cancel_all(self) -> None:
        """Cancels what is kept and waits until it has ended. Only from the tasks' loop."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wait(self, request_id: str, until: float) -> bool:
        """Blocks until an invocation is over, at the latest until `until`, as `time.time()`.
        Returns whether it is over, and forgets it."""
        with self._changed:
            for other in [each for each in self._unfinished if each != request_id]:
                del self._unfinished[other]
            while self._unfinished.get(request_id) != 0:
                left = until - time.time()
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._unfinished.pop(request_id, None) == 0

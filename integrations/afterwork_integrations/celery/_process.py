"""The event loop of a Celery worker's process: Celery calls plain functions, and jobs are async.

1. There is one in each process that runs calls, in a thread of its own. It is made by the first
   call, and so after Celery has forked; a fork never uses its parent's.
2. The app's lifespan, where one is given, is started on it before the first call and ended after
   the last.
3. It ends with the process (Celery's signals): what is under way gets `grace` seconds, and what is
   not over then is given back.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Callable, Coroutine
from threading import Lock, Thread
from typing import Any, TypeVar

from celery import signals

from .._lifespan import Lifespan

T = TypeVar("T")


class StartFailed(Exception):
    """The app did not start in this process."""


LAST_WORDS = 5.0
"""How long the app's own shutdown may take, and cut calls to end."""


class ProcessLoop:
    """Runs coroutines for whoever waits for them in a thread."""

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.lifespan: Any = None
        """The ASGI app whose lifespan is run, if any."""
        self._lock = Lock()
        self._running: _Running | None = None
        # Weak: a loop goes with its engine. `worker_shutdown` is for pools without processes.
        signals.worker_process_shutdown.connect(self.close)
        signals.worker_shutdown.connect(self.close)

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The coroutine's answer. Raises what it raises; `StartFailed` where the app does not
        start; and `concurrent.futures.CancelledError` where the process ends before it."""
        with self._lock:
            if self._running is None or self._running.pid != os.getpid():
                self._running = _Running(self.lifespan)
            running = self._running
        return running.run(make)

    def close(self, **_: object) -> None:
        """Ends the loop, if this process has one. What runs after that makes another."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None and running.pid == os.getpid():
            running.close(self.grace)


class _Running:
    """One loop in its thread. Making it starts the app, and raises `StartFailed` if that fails."""

    def __init__(self, app: Any) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._under_way: set[concurrent.futures.Future[Any]] = set()
        self._thread = Thread(target=self._go, name="afterwork-celery", daemon=True)
        self._thread.start()
        self._lifespan = None if app is None else Lifespan(app, None)
        if self._lifespan is not None:
            try:
                self.run(self._lifespan.startup)
            except RuntimeError as error:
                self._end()
                raise StartFailed(str(error)) from error

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Waits for a coroutine."""
        future = asyncio.run_coroutine_threadsafe(make(), self._loop)
        self._under_way.add(future)
        try:
            return future.result()
        finally:
            self._under_way.discard(future)

    def close(self, grace: float) -> None:
        """Waits for what is under way, cuts the rest, shuts the app down, ends the loop."""
        _, late = concurrent.futures.wait(set(self._under_way), grace)
        for future in late:
            future.cancel()
        if self._lifespan is not None:
            shutdown = asyncio.run_coroutine_threadsafe(self._lifespan.shutdown(), self._loop)
            concurrent.futures.wait({shutdown}, LAST_WORDS)
        self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LAST_WORDS)

    def _go(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        # What is left is cut, so that nothing is destroyed while it is pending.
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=LAST_WORDS))
        self._loop.close()

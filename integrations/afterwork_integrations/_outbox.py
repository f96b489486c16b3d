"""What the reporters share that talk to somebody: a line of errands, and one thread that runs them.

1. Handing an errand in costs a run next to nothing, and never blocks or raises.
2. Errands are run one after the other, in the order they came. So the ping of a start comes before
   the one of the end.
3. The line is bounded. What finds it full is lost, as is an errand that fails; a warning says so,
   at most one a minute, with how many were lost since the last. An error's text is in no warning:
   it may hold the address it was sent to, and that may be a secret.
4. The thread starts with the first errand, and again in a forked process, which inherits none. It
   holds up no process that ends: what is left then is given a few seconds, unless waiting for it
   was given up before.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["MAX_WAITING", "Lost", "Outbox"]

MAX_WAITING = 1000
WARNING_PAUSE = 60.0
"""Seconds between two warnings."""
EXIT_SECONDS = 5.0
"""How long a process that ends without a `flush` waits for what is left."""


class Lost(Exception):
    """An errand's receiver did not get it. `host` and `problem` are for the log."""

    def __init__(self, host: str, problem: str) -> None:
        super().__init__(host, problem)
        self.host = host
        self.problem = problem


class Line:
    """The errands of one process, and the thread that runs them."""

    def __init__(self) -> None:
        self.errands: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.lock = threading.RLock()  # the collector may run under it, and end a run
        self.started = False
        self.given_up = False
        self.lost = 0
        self.warned_at = float("-inf")


class Outbox:
    """Runs errands in a thread of its own. `name` is that of its logger, below `afterwork`."""

    def __init__(
        self, name: str, *, size: int = MAX_WAITING, warning_pause: float = WARNING_PAUSE
    ) -> None:
        self.name = name
        self._log = logging.getLogger(f"afterwork.{name}")
        self._size = size
        self._pause = warning_pause
        self._lines: dict[int, Line] = {}

    def put(self, errand: Callable[[], object]) -> None:
        """Hands an errand in. It may block and raise as it likes, in the outbox's thread."""
        line = self._line()
        if line.errands.qsize() >= self._size:
            self._lose(line, "", f"{self._size} others wait already")
            return
        line.errands.put(errand)
        self._start(line)

    def flush(self, seconds: float) -> bool:
        """Waits until all that was handed in before has been run, at most so long. Returns whether
        it has."""
        line = self._line()
        if not line.started:
            return True
        done = threading.Event()
        line.errands.put(done.set)
        line.given_up = not done.wait(seconds)
        return not line.given_up

    def _line(self) -> Line:
        pid = os.getpid()
        # One step, for threads that come here at once.
        return self._lines.get(pid) or self._lines.setdefault(pid, Line())

    def _start(self, line: Line) -> None:
        with line.lock:
            if line.started:
                return
            line.started = True
            thread = threading.Thread(
                target=self._run, args=(line,), name=f"afterwork-{self.name}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:  # no thread to be had; the next errand tries again
                line.started = False
                problem = type(error).__name__
            else:
                atexit.register(_leave, weakref.ref(self))
                return
        self._lose(line, "", problem)

    def _run(self, line: Line) -> None:
        while True:
            errand = line.errands.get()
            try:
                errand()
            except Lost as lost:
                self._lose(line, lost.host, lost.problem)
            except BaseException as error:  # a hook's SystemExit must not end the thread either
                self._lose(line, "", type(error).__name__)

    def _lose(self, line: Line, host: str, problem: str) -> None:
        with line.lock:
            line.lost += 1
            now = time.monotonic()
            if now - line.warned_at < self._pause:
                return
            line.warned_at = now
            lost, line.lost = line.lost, 0
        try:
            self._log.warning(
                "%s.failed%s problem=%r lost=%d",
                self.name,
                f" host={host!r}" if host else "",
                problem,
                lost,
            )
        except Exception:  # whoever handles the log failed, and nobody can be told
            pass


def _leave(reference: weakref.ref[Outbox]) -> None:
    """The process ends: what is left is sent, where nobody has waited for it in vain."""
    outbox = reference()
    if outbox is not None and not outbox._line().given_up:
        outbox.flush(EXIT_SECONDS)

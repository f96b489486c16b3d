"""The process-wide limit: who runs, and who waits for a place.

1. At most `most` works hold a place; None is no limit.
2. Who finds none waits in line. A place that is given back goes to the first in line.
3. A work that was taken back while it waited is passed over.
4. This file starts nothing: it only says who may.
"""

from __future__ import annotations

from collections import deque

from ._work import LOCK, QUEUED, STARTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._work import Work


class Limit:
    """Places for running works."""

    __slots__ = ("most", "running", "waiting")

    def __init__(self, most: int | None) -> None:
        self.most = most
        self.running: set[Work] = set()
        self.waiting: deque[Work] = deque()

    def enter(self, work: Work) -> bool:
        """Gives a place, which starts the work, or puts it in line. False if it is in line."""
        with LOCK:
            if self.most is not None and len(self.running) >= self.most:
                self.waiting.append(work)
                return False
            self.running.add(work)
            work.state = STARTED
            return True

    def leave(self, work: Work) -> Work | None:
        """Takes a place back; returns whose it is now."""
        with LOCK:
            self.running.discard(work)
            while self.waiting and self.most is not None and len(self.running) < self.most:
                following = self.waiting.popleft()
                if following.state == QUEUED:
                    following.state = STARTED
                    self.running.add(following)
                    return following
            return None

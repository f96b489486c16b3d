"""One request's callbacks. This file decides and does not do: no clock, no loop, no task, no log.

1. A queue is open, draining or closed; `MOVES` is the whole of its life.
2. While open, callbacks gather in the order queued. Nothing starts, but for those marked early once
   the final message is out.
3. While draining, what is added starts at once. Taking turns (`sequential`), one at a time.
4. It closes by itself when the last live callback leaves. A closed queue refuses.
5. `hold_open` lets a queue that drained before its response was over open again, once.
6. Of several callbacks with one key that have not started, the last one added stays. The keys of
   a durable job are its own.
7. Every method may be called from any thread. None calls anybody's code; what has to happen next is
   returned or is told to listeners once the lock is free.
"""

from __future__ import annotations

from ._work import DONE, LOCK, QUEUED, Work
from .errors import QueueClosedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, TypeAlias

    from ._clock import Clock
    from ._loop import Loop, Timer
    from ._settings import Settings

    Listener: TypeAlias = Callable[[], object]

    class Owner(Protocol):
        """Whose settings hold for a queue, and who is told what happens in it."""

        clock: Clock
        settings: Settings

        def withdrawn(self, work: Work, reason: str) -> bool:
            """A callback was taken back before it started. Returns whether the owner lets it leave
            the queue later."""
            ...

        def start_soon(self, works: list[Work]) -> None:
            """These have their turn now."""
            ...

        def settled(self, queue: Queue) -> None:
            """The last live callback of a drain has left."""
            ...


OPEN = "open"
DRAINING = "draining"
CLOSED = "closed"

MOVES = {
    (OPEN, "begin"): DRAINING,
    (DRAINING, "settle"): CLOSED,
    (DRAINING, "reopen"): OPEN,
}


class Queue:
    """The callbacks of one request and who waits for them.

    It does not know the request: that holds the queue, and the two would wait for the collector.
    """

    __slots__ = (
        "current",
        "deadline",
        "due",
        "early",
        "held",
        "hold_open",
        "line",
        "listeners",
        "live",
        "loop",
        "owner",
        "pending",
        "sequential",
        "state",
        "timer",
        "watched",
    )

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.sequential = owner.settings.sequential
        self.state = OPEN
        self.pending: list[Work] = []
        self.live: dict[Work, None] = {}
        self.early = False
        self.watched = False
        self.held = False
        self.hold_open = False
        self.current: Work | None = None
        self.line: list[Work] | None = None
        self.listeners: list[Listener] | None = None
        # Facts of the drain that travel with its callbacks; this file only carries them.
        self.loop: Loop | None = None
        self.deadline: float | None = None
        self.due = False  # the drain will begin in the loop's next turn
        self.timer: Timer | None = None

    def add(self, work: Work) -> list[Work] | None:
        """Takes a callback in; returns what has to start now. Raises `QueueClosedError`."""
        key = work.options.key
        replaced: list[Work] = []
        with LOCK:
            if self.state is CLOSED:
                raise QueueClosedError
            if key is not None:
                replaced = [
                    each
                    for each in self._with_key(key)
                    if _share_keys(each, work) and self._take_out(each)
                ]
            if self.state is OPEN and not (self.early and self._is_early(work)):
                self.pending.append(work)
                starting = None
            else:
                self.live[work] = None
                starting = self._admit([work])
        for each in replaced:
            self._let_go(each, "replaced")
        return starting

    def begin(self, loop: Loop, deadline: float | None) -> list[Work] | None:
        """The response is over: returns the callbacks that now are to be started or skipped. None
        if the queue had begun before."""
        with LOCK:
            if self.state is not OPEN:
                return None
            # Together with the move: from then on other threads may add works that need them.
            self.loop = loop
            self.deadline = deadline
            self.state = MOVES[self.state, "begin"]
            works, self.pending = self.pending, []
            live = self.live
            for work in works:
                live[work] = None
            return works

    def begin_early(self) -> list[Work]:
        """The final message is out: returns the callbacks marked early. Later ones start at
        once."""
        with LOCK:
            self.early = True
            works = [work for work in self.pending if self._is_early(work)]
            self.pending = [work for work in self.pending if not self._is_early(work)]
            for work in works:
                self.live[work] = None
            return works

    def admit(self, works: list[Work]) -> list[Work]:
        """Which of these, which are live and take turns, start now."""
        with LOCK:
            return self._admit(works)

    def leave(self, work: Work) -> list[Work] | None:
        """A live callback is over; returns what starts in its place."""
        works = None
        with LOCK:
            self.live.pop(work, None)
            if self.sequential:
                if self.current is work:
                    self.current = None
                works = self._admit([])
            if self.live or self.state is not DRAINING:
                return works
            self._settle()
        self._tell()
        return works

    def settle(self) -> None:
        """Closes a draining queue in which nothing is live."""
        with LOCK:
            if self.live or self.state is not DRAINING:
                return
            self._settle()
        self._tell()

    def withdraw(self, work: Work, reason: str) -> bool:
        """Takes a callback back that is not running. Returns whether that was in time."""
        with LOCK:
            taken = self._take_out(work)
        if taken:
            self._let_go(work, reason)
        return taken

    def forget(self, work: Work) -> None:
        """Takes a pending callback out, which its caller is about to end."""
        with LOCK:
            if work in self.pending:
                self.pending.remove(work)

    def cancel(self, key: str, reason: str) -> bool:
        """Withdraws what has that key and is not running. Returns whether there was any."""
        with LOCK:
            works = self._with_key(key)
        return sum(self.withdraw(work, reason) for work in works) > 0

    def unfinished(self) -> list[Work]:
        """All callbacks that are not over, in the order queued."""
        with LOCK:
            return [*self.live, *self.pending]

    def when_drained(self, listener: Listener) -> None:
        """Calls `listener` once the running drain is over, from whatever thread ends it; at once if
        none is running."""
        with LOCK:
            if self.state is DRAINING:
                if self.listeners is None:
                    self.listeners = []
                self.listeners.append(listener)
                return
        listener()

    def _is_early(self, work: Work) -> bool:
        # While the queue is open only early callbacks run, so what they queue is early too.
        return self.owner.settings.early or work.options.early or work.chain != ()

    def _with_key(self, key: str) -> list[Work]:
        return [work for work in (*self.pending, *self.live) if work.options.key == key]

    def _take_out(self, work: Work) -> bool:
        if work.state != QUEUED or (work.ticket is not None and work.ticket.gone):
            return False
        work.state = DONE
        if work in self.pending:
            self.pending.remove(work)
        return True

    def _let_go(self, work: Work, reason: str) -> None:
        # Told before it leaves, so that a drain does not end before this was reported.
        if self.owner.withdrawn(work, reason):
            return
        following = self.leave(work)
        if following:
            self.owner.start_soon(following)

    def _admit(self, works: list[Work]) -> list[Work]:
        if not self.sequential:
            return works
        if self.line is None:
            self.line = []
        self.line += works
        while self.line and self.current is None:
            work = self.line.pop(0)
            if work.state == QUEUED:
                self.current = work
                return [work]
        return []

    def _settle(self) -> None:
        self.state = MOVES[self.state, "reopen" if self.hold_open else "settle"]

    def _tell(self) -> None:
        self.owner.settled(self)
        if self.listeners is not None:
            listeners, self.listeners = self.listeners, None
            for listener in listeners:
                listener()


def _share_keys(one: Work, other: Work) -> bool:
    return _durable_job(one) is _durable_job(other)


def _durable_job(work: Work) -> object:
    job = None if work.ticket is None else work.ticket.job
    return job if job is not None and job.policy.durable else None

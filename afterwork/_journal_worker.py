"""Takes calls out of the journal and runs them: what was delayed, is tried again, or was left."""

from __future__ import annotations

from . import _events
from .errors import PayloadError, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._envelope import Envelope
    from ._journal import Journal
    from ._loop import Loop, Signal
    from ._work import Work

POLL_SECONDS = 1.0
"""How often a worker looks for calls that other processes have written."""
FAILED_SECONDS = 1.0
"""The pause after a failure of the store; it doubles up to `MOST_FAILED_SECONDS`."""
MOST_FAILED_SECONDS = 30.0
HELD_SECONDS = 0.1
"""How often a worker looks again at what is due but held back by a limit."""


class JournalWorker:
    """Runs at most `concurrency` calls at a time in this process."""

    def __init__(self, journal: Journal, concurrency: int) -> None:
        self.journal = journal
        self.dispatch = journal.dispatch
        self.concurrency = concurrency
        self._running: set[Work] = set()
        self._alarm: Signal | None = None
        self._rung = False
        self._stopped = False
        self._failures = 0
        self._asked_at = 0.0

    async def run(self, stop: Awaitable[object]) -> None:
        """Takes and runs until `stop` is done, then waits for what runs. Raises nothing but
        cancellation: then what runs goes on, and is given back if its process ends."""
        loop = self.dispatch.running_loop()
        self.journal.listen(self.ring)

        async def wait_for_stop() -> None:
            try:
                await stop
            finally:
                self._stopped = True
                self.ring()

        loop.background(wait_for_stop)
        try:
            while not self._stopped:
                await self._turn(loop)
            while self._running:
                await self._sleep(loop, POLL_SECONDS)
        finally:
            self._stopped = True
            self.journal.unlisten(self.ring)

    def ring(self) -> None:
        """Something has changed. From any thread."""
        self._rung = True
        alarm = self._alarm
        if alarm is not None:
            alarm.set()

    async def _turn(self, loop: Loop) -> None:
        """Takes out what is due and there is room for; then sleeps until there may be more."""
        self._rung = False
        try:
            pause = await self._take(loop)
            self._failures = 0
        except StoreError as error:
            self.dispatch.notices.say_each_minute(
                "store.error", _events.ERROR, error, doing="take calls"
            )
            pause = min(FAILED_SECONDS * 2**self._failures, MOST_FAILED_SECONDS)
            self._failures = min(self._failures + 1, 10)
        except Exception as error:
            _events.emit(_events.ERROR, "worker.failed", error)
            pause = FAILED_SECONDS
        if not self._rung and not self._stopped:
            await self._sleep(loop, pause)

    async def _sleep(self, loop: Loop, seconds: float) -> None:
        self._alarm = loop.signal()
        if not self._rung or self._stopped:
            await self._alarm.wait(seconds)
        self._alarm = None
        self._rung = False

    async def _take(self, loop: Loop) -> float:
        """Returns how long to sleep if nothing happens."""
        journal = self.journal
        room = self.concurrency - len(self._running)
        due_at, now = await self.dispatch.ask(loop, self._look)
        if due_at is None or due_at > now:
            return POLL_SECONDS if due_at is None else min(due_at - now, POLL_SECONDS)
        if room <= 0:
            return POLL_SECONDS
        taken = await self.dispatch.ask(loop, lambda: journal.take(room))
        for envelope in taken:
            self._start(envelope, loop)
        return 0.0 if len(taken) == room else HELD_SECONDS

    def _look(self) -> tuple[float | None, float]:
        """When the next call is due, and what the time is."""
        journal, now = self.journal, self.dispatch.clock.monotonic()
        if not self._asked_at or now - self._asked_at >= POLL_SECONDS:
            self._asked_at = now
            journal.take_over()
            self._say_unknown()
        names = journal.job_names()
        due_at = journal.read("look for calls", lambda tables: (tables.due_at(names), tables.now))
        found: tuple[float | None, float] = due_at
        return found

    def _say_unknown(self) -> None:
        """Calls of jobs that are not registered wait for a process that knows them."""
        known = set(self.journal.job_names())
        waiting = self.journal.read("look for calls", lambda tables: tables.jobs_waiting())
        unknown = sorted(set(waiting) - known)
        if unknown:
            self.dispatch.notices.say_each_minute(
                "engine.unknown_job",
                _events.ERROR,
                jobs=unknown,
                note="calls of these jobs wait, and none of that name is durable here",
            )

    def _start(self, envelope: Envelope, loop: Loop) -> None:
        try:
            work = self.journal.order(envelope)
        except PayloadError as error:
            self.journal.refuse(envelope, error)
            return
        self._running.add(work)
        self.dispatch.begin(work, loop, None)
        work.queue.when_drained(lambda: self._over(work))

    def _over(self, work: Work) -> None:
        self._running.discard(work)
        self.ring()

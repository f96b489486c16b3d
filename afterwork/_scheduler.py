"""The in-process scheduler: the door for jobs that the app sets off itself.

1. Every process may run one. The claims in the store make each slot run once; nobody leads.
2. At its start it reads the store's ledger for what was missed. From then on it knows the next slot
   of each job, and after a long sleep (a suspended machine, a clock that was set) it does the same
   with what passed meanwhile.
3. It never sleeps longer than `MAX_SLEEP_SECONDS`, and works out anew what is due each time: a
   clock may be set while it sleeps.
4. It starts runs and does not wait for them. Once told to stop it starts none.
5. It does not stop by itself: a store that is down, or a schedule that raises, is said and tried
   again.
"""

from __future__ import annotations

import heapq

from . import _due, _events, _slots
from ._clock import MAX_SLEEP_SECONDS
from ._housekeeping import Housekeeping
from ._job_ticket import Occurrence
from ._slots import MIN_GRACE_SECONDS
from .errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._job import Job
    from ._loop import Loop, Signal

    Entry = tuple[float, int, int]

LAG_SECONDS = 1.0
"""From how late a turn on it is worth a warning."""
AT_ONCE = 20
"""How many runs are started before the loop has its turn."""
READY_SECONDS = 1.0
"""How often `ready` is asked."""


class Scheduler:
    """The scheduler of one `Afterwork`."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.housekeeping = Housekeeping(dispatch)
        self._users = 0
        self._wake: Signal | None = None
        self._loop: Loop | None = None
        self._heap: list[Entry] = []
        self._jobs: list[Job[..., Any]] = []

    @property
    def running(self) -> bool:
        """Whether it has been started and not been told to stop."""
        return self._users > 0

    def refusal(self) -> str | None:
        """Why it cannot run here, or None."""
        host = self.dispatch.pipeline.host
        if host.info.mode != "detached" or not host.info.lifespan_is_process:
            return (
                f"the host {host.info.name!r} stops or freezes the process between requests, so "
                "nothing would run on time. Let the platform's scheduler call the trigger route: "
                "work.routes(verify=...)"
            )
        return None

    def start(self, loop: Loop) -> None:
        """Starts it on this loop, unless it runs already or cannot run here."""
        settings = self.dispatch.pipeline.settings
        if settings.scheduler is False:
            return
        reason = self.refusal()
        if reason is not None:
            level = _events.ERROR if settings.scheduler is True else _events.WARNING
            self.dispatch.notices.say_each_minute("scheduler.refused", level, reason=reason)
            return
        self._users += 1
        if self._users == 1:
            self._loop = loop
            self._wake = loop.signal()
            loop.background(self._run)

    def stop(self) -> None:
        """No new runs from now on."""
        if self._users:
            self._users -= 1
            if self._users == 0 and self._wake is not None:
                self._wake.set()

    # -- its task

    async def _run(self) -> None:
        dispatch, loop, wake = self.dispatch, self._loop, self._wake
        assert loop is not None
        assert wake is not None
        try:
            if not await self._is_time(loop, wake):
                return
            _events.emit(_events.INFO, "scheduler.started", None, jobs=len(dispatch.jobs))
            self._warn_of_siblings()
            await self._catch_up(loop, wake)
            while self._goes_on(wake):
                await self._turn(loop, wake)
        except Exception as error:
            _events.emit(_events.ERROR, "scheduler.failed", error)
        finally:
            self.housekeeping.sign_off()
            _events.emit(_events.INFO, "scheduler.stopped", None)

    def _goes_on(self, wake: Signal) -> bool:
        return self.running and wake is self._wake

    async def _is_time(self, loop: Loop, wake: Signal) -> bool:
        """Waits for `start_delay`, then until the app says that it is ready."""
        clock, settings = self.dispatch.clock, self.dispatch.pipeline.settings
        end = clock.monotonic() + settings.start_delay
        while self._goes_on(wake) and (left := end - clock.monotonic()) > 0:
            await clock.sleep_until(clock.now() + left, wake)
        while self._goes_on(wake) and not await self._is_ready():
            await clock.sleep_until(clock.now() + READY_SECONDS, wake)
        return self._goes_on(wake)

    async def _is_ready(self) -> bool:
        ready = self.dispatch.pipeline.settings.ready
        if ready is None:
            return True
        try:
            answer = ready()
            if hasattr(answer, "__await__"):
                answer = await answer
            return bool(answer)
        except Exception as error:
            self.dispatch.notices.say_each_minute("scheduler.not_ready", error=error)
            return False

    async def _catch_up(self, loop: Loop, wake: Signal) -> None:
        """Runs, or takes down as missed, what passed while nobody was there. Retries until the
        store answers, since it has to know before anything else runs."""
        clock, pause = self.dispatch.clock, READY_SECONDS
        while self._goes_on(wake):
            now = clock.now()
            try:
                due = await self.dispatch.ask(loop, lambda now=now: self._sweep(now))
            except StoreError as error:
                self._say(error, "catch up")
                await clock.sleep_until(now + pause, wake)
                pause = min(pause * 2, MAX_SLEEP_SECONDS)
                continue
            for job, slot in due:
                self._begin(job, slot, loop)
            return

    async def _turn(self, loop: Loop, wake: Signal) -> None:
        clock = self.dispatch.clock
        due_at = self._heap[0][0] if self._heap else None
        latest = clock.now() + MAX_SLEEP_SECONDS
        await clock.sleep_until(latest if due_at is None else min(due_at, latest), wake)
        if not self._goes_on(wake):
            return
        now = clock.now()
        if due_at is not None and now - due_at > LAG_SECONDS:
            self.dispatch.notices.say_each_minute(
                "scheduler.lagging", lag_seconds=round(now - due_at, 3)
            )
        for count, (slot, index) in enumerate(self._take(now)):
            if count % AT_ONCE == AT_ONCE - 1:
                await wake.wait(0)  # many that are due together must not hold up the requests
            if not self._goes_on(wake):
                return
            job = self._jobs[index]
            try:
                await self._fire(job, index, slot, now, loop)
            except StoreError as error:
                self._say(error, "take down what was missed")
            except Exception as error:
                _events.emit(_events.ERROR, "scheduler.failed", error, job=job.name)
        self._fill(now)
        await self.housekeeping.turn(loop, now)

    # -- what is due

    def _sweep(self, now: float) -> list[tuple[Job[..., Any], int]]:
        self._fill(now)
        return _due.sweep(self.dispatch, now)

    def _fill(self, now: float) -> None:
        """Takes in jobs that were registered since the last turn."""
        for job in list(self.dispatch.jobs)[len(self._jobs) :]:
            self._jobs.append(job)
            self._plan(len(self._jobs) - 1, now)

    def _plan(self, index: int, after: float) -> None:
        """Puts the next slot of a job into the heap."""
        job = self._jobs[index]
        slot = None if job.schedule is None else _slots.after(job.schedule, after)
        if slot is not None:
            at = _slots.jittered(job.name, slot, job.policy.jitter)
            heapq.heappush(self._heap, (at, slot, index))

    def _take(self, now: float) -> list[tuple[int, int]]:
        """The slots that have come, with the jobs' numbers, taken out of the heap."""
        taken: list[tuple[int, int]] = []
        while self._heap and self._heap[0][0] <= now:
            _, slot, index = heapq.heappop(self._heap)
            taken.append((slot, index))
        return taken

    async def _fire(
        self, job: Job[..., Any], index: int, slot: int, now: float, loop: Loop
    ) -> None:
        """Runs what is due of one job. Usually that is one slot, and the next one is ahead."""
        schedule, jitter = job.schedule, job.policy.jitter
        assert schedule is not None
        following = _slots.after(schedule, slot)
        passed = following is not None and following <= now
        # With jitter the newest of them may not have its turn yet; who comes twice is a duplicate.
        self._plan(index, max(slot, now - jitter) if passed else slot)
        if not passed and now - slot <= MIN_GRACE_SECONDS + jitter:
            self._begin(job, slot, loop)
            return
        dispatch = self.dispatch
        plan = _due.plan(job, schedule, slot - 1, now)
        await dispatch.ask(loop, lambda: _due.miss(dispatch, job, plan))
        for each in plan.run:
            self._begin(job, each, loop)

    def _begin(self, job: Job[..., Any], slot: int, loop: Loop) -> None:
        occurrence = Occurrence("schedule", slot=slot, filtered=True)
        self.dispatch.launch(self.dispatch.order(job, occurrence), loop)

    # -- what is worth a word

    def _say(self, error: StoreError, doing: str) -> None:
        self.dispatch.notices.say_each_minute("store.error", _events.ERROR, error, doing=doing)

    def _warn_of_siblings(self) -> None:
        """Several processes with a store each would each run every slot."""
        if self.dispatch.chosen_store().shared != "process":
            return
        import multiprocessing
        import os

        workers = os.environ.get("WEB_CONCURRENCY", "1")
        if multiprocessing.parent_process() is not None or workers not in ("", "0", "1"):
            _events.emit(
                _events.WARNING,
                "store.not_shared",
                None,
                note="this process is one of several, and its store is its own: every slot would "
                "run in each of them. Give all the same store: "
                "Afterwork(store='sqlite:///afterwork.db')",
            )

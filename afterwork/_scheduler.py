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

from . import _catch_up, _due, _events, _slots
from ._clock import MAX_SLEEP_SECONDS
from ._housekeeping import Housekeeping
from ._occurrence import Occurrence
from ._slots import MIN_GRACE_SECONDS
from .errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping
    from typing import Any

    from ._dispatch import Dispatch
    from ._job import Job
    from ._loop import Loop, Signal
    from ._store import JobState

NO_STATES: Mapping[str, JobState] = {}
LAG_SECONDS = 1.0
"""From how late a turn on it is worth a warning."""
AT_ONCE = 20
"""How many runs are started before the loop has its turn."""
FAILED_SECONDS = 1.0
"""The pause after a failure, in real time."""
READY_SECONDS = 1.0
"""How often `ready` is asked."""


class Scheduler:
    """The scheduler of one `Afterwork`: it is started once, however often the app is mounted."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self._users = 0
        self._shift: Shift | None = None

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
        setting = self.dispatch.pipeline.settings.scheduler
        if setting is False:
            return
        reason = self.refusal()
        if reason is not None:
            level = _events.ERROR if setting is True else _events.WARNING
            self.dispatch.notices.say_each_minute("scheduler.refused", level, reason=reason)
            return
        self._users += 1
        if self._users == 1:
            self._shift = Shift(self.dispatch, loop)
            loop.background(self._shift.run)

    def stop(self) -> None:
        """No new runs from now on."""
        if self._users:
            self._users -= 1
            if self._users == 0 and self._shift is not None:
                self._shift.stop()
                self._shift = None


class Shift:
    """A scheduler between its start and its stop."""

    def __init__(self, dispatch: Dispatch, loop: Loop) -> None:
        self.dispatch = dispatch
        self.clock = dispatch.pipeline.settings.clock
        self.loop = loop
        self.housekeeping = Housekeeping(dispatch)
        self.on = True
        self._alarm: Signal | None = None
        self._jobs: list[Job[..., Any]] = []
        self._heap: list[tuple[float, int, int]] = []
        """When a slot starts, the slot, and the number of its job; one for each job."""

    def stop(self) -> None:
        """Ends it; it starts nothing any more."""
        self.on = False
        if self._alarm is not None:
            self._alarm.set()

    async def run(self) -> None:
        """The whole of it, as a task. Never raises."""
        try:
            await self._wait_for_start()
            if self.on:
                jobs = len(self.dispatch.jobs)
                _events.emit(_events.INFO, "scheduler.started", None, jobs=jobs)
                warn_of_siblings(self.dispatch)
                await self._catch_up()
            while self.on:
                await self._safely(self._turn())
        finally:
            self.housekeeping.sign_off()
            _events.emit(_events.INFO, "scheduler.stopped", None)

    async def _safely(self, step: Awaitable[None]) -> None:
        """What fails here is a mistake of ours or of a clock. It is said, and the rest goes on."""
        try:
            await step
        except Exception as error:
            _events.emit(_events.ERROR, "scheduler.failed", error)
            await self.loop.signal().wait(FAILED_SECONDS)

    async def _sleep_until(self, moment: float) -> None:
        self._alarm = self.loop.signal()
        if self.on:
            await self.clock.sleep_until(moment, self._alarm)

    # -- its start

    async def _wait_for_start(self) -> None:
        """Waits for `start_delay`, then until the app says that it is ready."""
        end = self.clock.monotonic() + self.dispatch.pipeline.settings.start_delay
        while self.on and (left := end - self.clock.monotonic()) > 0:
            await self._sleep_until(self.clock.now() + left)
        while self.on and not await self._is_ready():
            await self._sleep_until(self.clock.now() + READY_SECONDS)

    async def _is_ready(self) -> bool:
        ready = self.dispatch.pipeline.settings.ready
        if ready is None:
            return True
        try:
            answer: Any = ready()
            return bool(await answer if hasattr(answer, "__await__") else answer)
        except Exception as error:
            self.dispatch.notices.say_each_minute("scheduler.not_ready", error=error)
            return False

    async def _catch_up(self) -> None:
        """Runs, or takes down as missed, what passed while nobody was there. It has to know that
        before anything else runs, so it asks until the store answers."""
        pause = READY_SECONDS
        while self.on:
            try:
                due = await self.dispatch.ask(self.loop, self._sweep)
            except StoreError as error:
                self._say(error, "catch up")
                await self._sleep_until(self.clock.now() + pause)
                pause = min(pause * 2, MAX_SLEEP_SECONDS)
                continue
            for job, slots in due:
                self._begin(job, slots)
            return

    def _sweep(self) -> list[tuple[Job[..., Any], list[int]]]:
        now = self.clock.now()
        due = _due.sweep(self.dispatch, now)
        self._fill(now, self.dispatch.store().jobs())
        return due

    # -- its turns

    async def _turn(self) -> None:
        due_at = self._heap[0][0] if self._heap else None
        latest = self.clock.now() + MAX_SLEEP_SECONDS
        await self._sleep_until(latest if due_at is None else due_at)
        now = self.clock.now()
        if due_at is not None and now - due_at > LAG_SECONDS:
            self.dispatch.notices.say_each_minute(
                "scheduler.lagging", lag_seconds=round(now - due_at, 3)
            )
        for count, (slot, number) in enumerate(self._take(now)):
            if count % AT_ONCE == AT_ONCE - 1:
                # Many that are due together must not hold up the requests.
                await self.loop.signal().wait(0)
            if self.on:
                await self._safely(self._fire(slot, number, now))
        if self.on:
            self._fill(now)
            for name in await self.housekeeping.turn(self.loop, now):
                await self._take_over(name)

    async def _take_over(self, name: str) -> None:
        """Goes on with the missed slots of a job that another process had begun to make up for."""
        dispatch = self.dispatch
        if name in dispatch.jobs:
            ttl = dispatch.lease_seconds
            slots = await dispatch.ask(
                self.loop,
                lambda: _catch_up.take(dispatch.store(), name, [], dispatch.worker, ttl),
            )
            self._begin(dispatch.jobs.get(name), slots)

    def _take(self, now: float) -> list[tuple[int, int]]:
        """The slots that have come, with the numbers of their jobs, taken out of the heap."""
        taken: list[tuple[int, int]] = []
        while self._heap and self._heap[0][0] <= now:
            _, slot, number = heapq.heappop(self._heap)
            taken.append((slot, number))
        return taken

    async def _fire(self, slot: int, number: int, now: float) -> None:
        """Runs what is due of one job. Usually that is one slot, and the next one is ahead."""
        job = self._jobs[number]
        schedule, jitter = job.schedule, job.policy.jitter
        assert schedule is not None, "only such jobs come into the heap"
        following = _slots.after(schedule, slot)
        passed = following is not None and following <= now
        # With jitter the newest of them may not have its turn yet; who comes twice is a duplicate.
        self._plan(number, max(slot, now - jitter) if passed else slot)
        if not passed and now - slot <= MIN_GRACE_SECONDS + jitter:
            occurrence = Occurrence("schedule", slot=slot, filtered=True)
            self.dispatch.launch(job, [occurrence], self.loop)
            return
        plan = _due.plan(job, schedule, slot - 1, now)
        slots = plan.run
        try:
            slots = await self.dispatch.ask(
                self.loop, lambda: _due.settle(self.dispatch, job, plan)
            )
        except StoreError as error:
            self._say(error, "take down what was missed")
        self._begin(job, slots)

    def _fill(self, now: float, states: Mapping[str, JobState] = NO_STATES) -> None:
        """Takes in jobs that were registered since the last time."""
        if len(self.dispatch.jobs) == len(self._jobs):
            return  # as nearly always, and each turn asks
        for job in list(self.dispatch.jobs)[len(self._jobs) :]:
            self._jobs.append(job)
            state = states.get(job.name)
            after = now if state is None else _due.ahead(job, state, now)
            self._plan(len(self._jobs) - 1, after)

    def _plan(self, number: int, after: float) -> None:
        """Puts the next slot of a job into the heap."""
        job = self._jobs[number]
        slot = None if job.schedule is None else _slots.after(job.schedule, after)
        if slot is not None:
            at = _slots.jittered(job.name, slot, job.policy.jitter)
            heapq.heappush(self._heap, (at, slot, number))

    def _begin(self, job: Job[..., Any], slots: list[int]) -> None:
        occurrences = [self.dispatch.occurrence(job, slot) for slot in slots]
        self.dispatch.launch(job, occurrences, self.loop, lambda: self.on)

    def _say(self, error: StoreError, doing: str) -> None:
        self.dispatch.notices.say_each_minute("store.error", _events.ERROR, error, doing=doing)


def warn_of_siblings(dispatch: Dispatch) -> None:
    """Several processes with a store each would each run every slot."""
    if dispatch.chosen_store().shared != "process":
        return
    import multiprocessing
    import os

    workers = os.environ.get("WEB_CONCURRENCY", "1")
    if multiprocessing.parent_process() is not None or workers not in ("", "0", "1"):
        _events.emit(
            _events.WARNING,
            "store.not_shared",
            None,
            note="this process has a parent that may run several like it, and its store is its "
            "own: every slot would run in each of them. Give all the same store: "
            "Afterwork(store='sqlite:///afterwork.db')",
        )

"""From a job and what set it off to a run in the pipeline. Every door comes through here.

1. A run is one work in the pipeline, with a `JobTicket` that claims, leases and records.
2. It has a queue of its own, so that `after()` inside a job joins it; in mode `accept` it is one of
   the callbacks of the request that triggered it.
3. It does not end with its caller: a client that leaves costs it nothing.
"""

from __future__ import annotations

from contextvars import copy_context

from . import _check, _closing, _events, _kinds, _report, _slots
from ._callback_ticket import CallbackTicket
from ._current import current_exchange
from ._durable_calls import DurableCalls
from ._instants import second_after
from ._job_ticket import STOP_PREFIX, JobTicket
from ._jobs import Jobs
from ._loop import current_loop
from ._occurrence import TRIGGERS, Occurrence
from ._open_store import OpenStore
from ._outcome import Outcome
from ._queue import Queue
from ._run import Run
from ._threadless import new_keeper
from ._work import DONE, Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import Any, TypeVar

    from ._clock import Clock
    from ._envelope import Envelope
    from ._job import Job
    from ._loop import Loop
    from ._notices import Notices
    from ._occurrence import Trigger
    from ._pipeline import Pipeline
    from ._store import RunRecord, Store

    T = TypeVar("T")

RENEWALS_PER_LEASE = 3
MIN_KEEP_SECONDS = 86_400.0
MAX_KEEP_SECONDS = 366 * 86_400.0


class Dispatch:
    """The jobs of one `Afterwork`, their store, and the way to run them."""

    def __init__(self, pipeline: Pipeline) -> None:
        settings = pipeline.settings
        self.pipeline = pipeline
        self.jobs = Jobs()
        self.environment = settings.environment
        self.lease_seconds = settings.lease
        self.runs_without_store = settings.on_store_error == "run"
        self._keeper = new_keeper(settings.lease / RENEWALS_PER_LEASE)
        self._kept: dict[JobTicket, None] = {}
        self._stores = OpenStore(settings.store, self.jobs)
        self._host_name: str | None = None
        self.durable = DurableCalls(self)
        pipeline.ticket_for = CallbackTicket(self).give_to
        pipeline.dispatch = self

    @classmethod
    def of(cls, pipeline: Pipeline) -> Dispatch:
        """The one of a pipeline, made when it is first asked for."""
        return cls(pipeline) if pipeline.dispatch is None else pipeline.dispatch

    @property
    def clock(self) -> Clock:
        """The app's clock."""
        return self.pipeline.clock

    @property
    def notices(self) -> Notices:
        """Where warnings that may repeat are said."""
        return self.pipeline.notices

    @property
    def worker(self) -> str:
        """This process, for people: host and pid. A forked one has another."""
        import os

        if self._host_name is None:
            import socket

            self._host_name = socket.gethostname()
        return f"{self._host_name}:{os.getpid()}"

    # -- the store

    def chosen_store(self) -> Store:
        """The store, which may not be open."""
        return self._stores.chosen()

    def store(self) -> Store:
        """The store, open, with all jobs registered. May block. Raises `StoreError`."""
        return self._stores.opened()

    @property
    def blocks(self) -> bool:
        """Whether the store may block, so that it is asked in a thread."""
        return self._stores.blocks

    def look_at_store(self) -> None:
        """Opens the store while the app starts, so that a wrong one shows then and not at night."""
        if self.blocks:
            self.pipeline.admission.threads.submit(self._look_at_store, None)
        else:
            self._look_at_store(None)

    def _look_at_store(self, nothing: object) -> None:
        try:
            self.store()
        except Exception as error:  # also a URL in the environment that means no store
            self.notices.say_each_minute("store.error", _events.ERROR, error, doing="open")

    def keep_seconds(self, job: Job[..., Any]) -> float:
        """How long a claim of that job counts: longer than any delivery could be late."""
        if job.schedule is None:
            return MIN_KEEP_SECONDS
        twice = 2 * _slots.interval(job.schedule, self.clock.now())
        return min(max(twice, MIN_KEEP_SECONDS), MAX_KEEP_SECONDS)

    # -- runs

    def ticket(self, job: Job[..., Any]) -> JobTicket:
        """The ticket of a run that `after(job)` asked for."""
        return JobTicket(self, job, Occurrence("after"))

    def order(
        self,
        job: Job[..., Any],
        occurrence: Occurrence,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Work:
        """A run that is not under way yet."""
        work = self.order_call(job, args, kwargs)
        work.ticket = JobTicket(self, job, occurrence)
        return work

    def order_call(
        self, job: Job[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any] | None
    ) -> Work:
        """The same without a ticket, which its caller gives it."""
        work = Work()
        work.fn = job.fn
        work.args = args
        work.kwargs = kwargs or {}
        work.kind = _kinds.kind_of(job.fn)
        work.context = copy_context()
        # What the job queues is its own, not that of the request which triggered it.
        work.context.run(current_exchange.set, None)
        code = getattr(job.fn, "__code__", None)
        work.code = code or Dispatch.order_call.__code__
        work.instruction = 0
        work.options = job.options
        work.queue = Queue(self.pipeline)
        return work

    def occurrence(self, job: Job[..., Any], slot: int) -> Occurrence:
        """A slot that a sweep found."""
        caught_up = job.policy.misfire == "all"
        return Occurrence("schedule", slot=slot, filtered=True, caught_up=caught_up)

    def order_slots(self, due: list[tuple[Job[..., Any], list[int]]]) -> list[Work]:
        """Runs for slots that are due. Several of one job go one after the other."""
        works: list[Work] = []
        for job, slots in due:
            last: JobTicket | None = None
            for slot in slots:
                work = self.order(job, self.occurrence(job, slot))
                ticket: Any = work.ticket
                ticket.behind, last = last, ticket
                works.append(work)
        return works

    def begin(self, work: Work, loop: Loop, deadline: float | None) -> None:
        """Starts an ordered run in its own queue. `deadline` is by the monotonic clock."""
        queue = work.queue
        self.pipeline.queues[queue] = None
        queue.add(work)
        self.pipeline.begin(queue, loop, deadline)

    async def run(
        self, name: str, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Run:
        """Runs a job by hand and waits for its end. Raises `UnknownJobError`."""
        job = self.jobs.get(name)
        loop = _running_loop()
        work = self.order(job, Occurrence("manual"), args, kwargs)
        self.begin(work, loop, None)
        await self.see_through(work, loop)
        return Run(work, self.clock)

    async def pause(self, name: str, seconds: float | None, note: str | None) -> None:
        """Pauses a job. Raises `UnknownJobError`, `StoreError`."""
        self.jobs.get(name)
        if seconds is not None:
            _check.seconds("seconds", seconds)
        loop = _running_loop()
        await self.ask(loop, lambda: self.store().pause(name, seconds=seconds, note=note))
        _events.emit(_events.INFO, "job.paused", None, job=name, seconds=seconds, note=note)

    async def resume(self, name: str, resume_from: datetime | None) -> bool:
        """Ends a pause, and makes up for what passed. Raises `UnknownJobError`,
        `NaiveDatetimeError`, `StoreError`."""
        job, loop = self.jobs.get(name), _running_loop()
        since = None if resume_from is None else second_after("resume_from", resume_from) - 1
        resumed = await self.ask(loop, lambda: self.store().resume(name))
        _events.emit(_events.INFO, "job.resumed", None, job=name)
        if since is not None and job.schedule is not None:
            plan = _slots.plan(
                job.schedule, since=since, now=self.clock.now(), misfire="all", grace=0
            )
            occurrences = [Occurrence("schedule", slot=slot, again=True) for slot in plan.run]
            self.launch(job, occurrences, loop)
        return resumed

    def launch(
        self,
        job: Job[..., Any],
        occurrences: list[Occurrence],
        loop: Loop,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        """Starts runs for which nobody waits. Several of one job run one after the other, or they
        would stand in each other's way; `goes_on` says whether the next one may still start."""
        if loop.detaches and len(occurrences) == 1:
            self.begin(self.order(job, occurrences[0]), loop, None)
            return

        async def run_all() -> None:
            for occurrence in occurrences:
                if not goes_on():
                    return
                drain = _running_loop()  # on trio, each drain has its own
                work = self.order(job, occurrence)
                self.begin(work, drain, None)
                await self.see_through(work, drain)

        if occurrences:
            loop.background(run_all)

    async def see_through(self, work: Work, loop: Loop) -> None:
        """Waits until a run, and all that it queued, is over. On asyncio it goes on where the
        waiter is cancelled; on trio the waiter waits on."""
        queue = work.queue
        if loop.detaches:
            over = loop.signal()
            queue.when_drained(over.set)
            await over.wait(None)
        else:
            grace = self.pipeline.settings.grace
            await loop.hold(
                queue,
                grace,
                lambda: _closing.cut(self.pipeline, queue, "cancelled by the server"),
            )

    async def ask(self, loop: Loop, call: Callable[[], T]) -> T:
        """Calls what asks the store, in a thread. What it raises is raised here."""
        if not self.blocks:
            return call()
        answered = loop.signal()
        answers: list[T] = []
        errors: list[BaseException] = []

        def answer(nothing: None) -> None:
            try:
                answers.append(call())
            except BaseException as error:
                errors.append(error)
            finally:
                answered.set()

        self.pipeline.admission.threads.submit(answer, None)
        await answered.wait(None)
        if errors:
            raise errors[0]
        return answers[0]

    def running_loop(self) -> Loop:
        """The loop that runs here."""
        return _running_loop()

    async def ask_here(self, call: Callable[[], T]) -> T:
        """As `ask`, on the loop that runs here."""
        return await self.ask(_running_loop(), call)

    # -- runs that are under way

    def keep_alive(self, beat: Callable[[], None]) -> None:
        """Calls that a few times per lease, from a thread of its own, at the latest until
        `let_die`. It must not raise."""
        self._keeper.hold(beat)

    def let_die(self, beat: Callable[[], None]) -> None:
        """Stops that."""
        self._keeper.drop(beat)

    def keep(self, ticket: JobTicket) -> None:
        """Keeps the lease of a run until it is dropped."""
        self._kept[ticket] = None
        self._keeper.hold(ticket.renew)

    def drop(self, ticket: JobTicket) -> None:
        """Stops keeping it."""
        self._kept.pop(ticket, None)
        self._keeper.drop(ticket.renew)

    def reap(self) -> None:
        """Takes down the runs whose process died, and says so as of any other end. Blocks; raises
        `StoreError`."""
        for record in self.store().reap():
            if record.job in self.jobs:
                self.tell(self.jobs.get(record.job), record, Outcome.ABANDONED)
            else:
                event, name = f"run.{Outcome.ABANDONED}", record.job
                _events.emit(_events.ERROR, event, None, job=name, run_id=record.id)

    def tell_lost(self, envelope: Envelope) -> None:
        """Says of a durable call that its process died with it; it goes on somewhere."""
        _events.emit(
            _events.WARNING,
            "run.taken_over",
            None,
            job=envelope.job,
            run_id=envelope.id,
            attempt=envelope.attempt,
            note="the process that ran it has died or was frozen; it runs again",
        )

    def tell(self, job: Job[..., Any], record: RunRecord, outcome: Outcome) -> None:
        """Says of a run that is known from its record alone what is said of every other."""
        work = self.order(
            job, Occurrence(_trigger(record.trigger), slot=record.slot, delivery=record.delivery)
        )
        work.id = record.id
        work.state = DONE
        work.outcome = outcome
        work.cut = record.reason
        work.attempt = record.attempt
        _report.report(work, self.pipeline.settings, self.clock)

    def wake(self, job: str) -> None:
        """Lets this process' runs of a job ask at once whether they have to end."""
        for ticket in list(self._kept):
            if ticket.job.name == job:
                ticket.renew()

    def cancel(self, run_id: str, reason: str) -> None:
        """Asks a run to end, in whichever process it is. That process sees it when it next renews
        the run, a third of `lease` later at most; who is not there any more never does. Other runs
        of the job go on. Blocks; raises `StoreError`."""
        self.store().put(STOP_PREFIX + run_id, reason, ttl=2 * self.lease_seconds)

    def stop(self, work: Work, reason: str) -> None:
        """Asks a run of this process to end."""
        self.pipeline.soon(_stop, work, self.pipeline, reason)


def _running_loop() -> Loop:
    loop = current_loop()
    assert loop is not None, "a coroutine runs on a loop"
    return loop


def _trigger(text: str) -> Trigger:
    for trigger in TRIGGERS:
        if trigger == text:
            return trigger
    return "manual"  # of a version that knew more


def _stop(work: Work, pipeline: Pipeline, reason: str) -> None:
    _closing.stop(pipeline, work, reason)

"""The journal: the engine of one machine, in the store's own SQLite file.

1. A call that its process can run at once is written as running there, in one row and one commit
   shared with others. Nobody has to take it out of a queue.
2. A process owns what it runs as long as it says that it is alive, a third of `lease` apart. What
   a process that has stopped saying so had is taken over: at least once, and its attempt counts.
3. The end of a run deletes its row and writes its record in the same transaction. Whoever is not
   the owner any more, or not in that attempt, ends nothing.
4. Calls that wait, are delayed, are tried again or were left behind are taken by `JournalWorker`.
"""

from __future__ import annotations

import os
import threading

from . import _events, _retry_codec, _trace
from ._engine import Capabilities
from ._group_commit import GroupCommit, Write
from ._ids import run_id
from ._job_ticket import STOP_PREFIX
from ._journal_tables import Limits
from ._journal_ticket import JournalTicket
from ._journal_worker import POLL_SECONDS, JournalWorker
from ._journal_writes import Add, apply, fail
from ._outcome import Outcome
from ._results import PREFIX, Result
from ._run_record import describe
from ._store import LEASE_LOST, RunRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import Any

    from ._dispatch import Dispatch
    from ._engine import RunEnvelope
    from ._envelope import Envelope
    from ._journal_tables import JournalTables
    from ._work import Work


class Journal:
    """Keeps durable calls in the store of one `Afterwork`, and runs them."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.commits: GroupCommit[JournalTables] = GroupCommit(self._begin, apply)
        self._lock = threading.Lock()
        self._owner = ""
        self._process = 0
        self._beats = False
        self._running: dict[str, Work] = {}
        self._wakers: dict[Callable[[], None], None] = {}
        self._limits: tuple[int, dict[str, Limits]] = (0, {})
        file = dispatch.chosen_store().shared != "process"
        self.capabilities = Capabilities(
            delay_resolution=POLL_SECONDS,
            keys="active",
            priority=True,
            status=True,
            cancel=True,
            limits=True,
            survives="power" if file else "process",
            recovery_seconds=dispatch.lease_seconds + POLL_SECONDS,
        )
        """See `Engine`."""

    # -- what it is

    @property
    def name(self) -> str:
        """`journal`, and where it is."""
        return f"journal in {type(self.dispatch.chosen_store()).__name__}"

    @property
    def owner(self) -> str:
        """This process, as the journal knows it. A forked one is another, and owns nothing yet."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._owner, self._beats = run_id(), False
                    self._running = {}
                    self._process = os.getpid()
        return self._owner

    def now(self) -> float:
        """The store's clock."""
        return self.dispatch.chosen_store().now()

    def bind(self, run: RunEnvelope) -> None:
        """See `Engine`. The journal runs its calls itself."""

    async def close(self) -> None:
        """See `Engine`. Gives back what this process owns and does not run any more."""
        owner = self.owner

        def leave(tables: JournalTables) -> None:
            if not tables.beat(owner, self.dispatch.worker, self.dispatch.lease_seconds):
                tables.forget_owner(owner)

        self._stop_beating()
        await self.commits.write(leave, self.dispatch.running_loop())

    def _begin(self, doing: str) -> Any:
        store: Any = self.dispatch.store()
        return store.journal(doing)

    def read(self, doing: str, call: Callable[[JournalTables], Any]) -> Any:
        """Reads from the journal, in this thread. Raises `StoreError`."""
        store: Any = self.dispatch.store()
        with store.journal(doing, writes=False) as tables:
            return call(tables)

    # -- taking in

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        """See `Engine`: for whoever has time for it."""

        add = Add(envelopes, [None] * len(envelopes))
        await self.commits.begun(add, self.dispatch.running_loop())
        if add.error is not None:
            raise add.error
        self.wake()
        ids: list[str] = add.answer
        return ids

    async def write(self, works: list[Work], envelopes: list[Envelope]) -> None:
        """Writes the calls of a request. Those that it can run itself right after its response are
        this process' from here on, and their works get the journal's tickets."""
        owner = self.owner
        runs_here = self.dispatch.pipeline.settings.worker is not False
        if runs_here:
            self._start_beating()
        limits, now = self.limits(), self.now()
        owners = [
            owner
            if runs_here
            and envelope.job not in limits
            and (envelope.run_at is None or envelope.run_at <= now)
            else None
            for envelope in envelopes
        ]
        write = Add(envelopes, owners)
        written = cancelled = False

        def told(write: Write[JournalTables]) -> None:
            nonlocal written
            with self._lock:
                written = write.error is None
                taking_back = written and cancelled
            if taking_back:
                self._take_back(envelopes, owner)

        write.then = told
        try:
            await self.commits.begun(write, self.dispatch.running_loop())
        except BaseException:
            # The request was cancelled: nobody was promised anything, and nobody would run it.
            with self._lock:
                cancelled = True
                taking_back = written
            if taking_back:
                self._take_back(envelopes, owner)
            raise
        if write.error is not None:
            raise write.error
        for work, envelope, its_owner, added in zip(
            works, envelopes, owners, write.answer, strict=True
        ):
            if its_owner is not None and added == envelope.id:
                self._adopt(work, envelope)
        if not all(owners):
            self.wake()

    def _take_back(self, envelopes: Sequence[Envelope], owner: str) -> None:
        def take_back(tables: JournalTables) -> None:
            ids = [envelope.id for envelope in envelopes]
            own = tables.own(ids)
            tables.delete([call for call in ids if own.get(call, ("", 0))[0] == owner])
            for call in ids:
                tables.withdraw(call)

        self.commits.submit(Write(take_back))

    def limits(self) -> dict[str, Limits]:
        """The jobs with limits over all processes."""
        jobs = self.dispatch.jobs
        if self._limits[0] != len(jobs):
            found = {
                job.name: Limits(job.policy.concurrency, job.policy.rate)
                for job in jobs
                if job.policy.concurrency is not None or job.policy.rate is not None
            }
            self._limits = (len(jobs), found)
        return self._limits[1]

    # -- running

    def _adopt(self, work: Work, envelope: Envelope) -> None:
        """This request's own work runs the call."""
        job = self.dispatch.jobs.get(envelope.job)
        result = Result()
        result.watch(work)
        work.ticket = JournalTicket(self, job, envelope, result)
        self._running[envelope.id] = work

    def order(self, envelope: Envelope) -> Work:
        """A run of a call that this process has taken out. Raises `PayloadError`."""
        dispatch = self.dispatch
        job = dispatch.jobs.get(envelope.job)
        args, kwargs = job.codec.decode(envelope.payload)
        options = _retry_codec.options_for(job, envelope, dispatch.pipeline.settings.retry)
        work = dispatch.order_call(job, args, kwargs)
        work.options = options
        work.id = envelope.id
        _trace.restore(envelope.trace, work.context)
        self._adopt(work, envelope)
        return work

    def take(self, most: int) -> list[Envelope]:
        """Takes out calls that are due, at most so many. Blocks; raises `StoreError`."""
        self._start_beating()
        owner, names = self.owner, self.job_names()
        store: Any = self.dispatch.store()
        with store.journal("take calls") as tables:
            taken: list[Envelope] = tables.take(owner, names, self.limits(), most)
        return taken

    def job_names(self) -> list[str]:
        """The jobs whose calls this process can run."""
        return [job.name for job in self.dispatch.jobs if job.policy.durable]

    def take_over(self) -> None:
        """Lets others have what dead processes left, and says so. Blocks; raises `StoreError`."""
        if not self.read("look for dead workers", lambda tables: tables.dead_owners()):
            return  # as nearly always
        store: Any = self.dispatch.store()
        with store.journal("take over calls") as tables:
            left = [call for owner in tables.dead_owners() for call in tables.take_over(owner)]
        for call in left:
            self.dispatch.tell_lost(call.envelope)

    def left(self, ticket: JournalTicket, work: Work) -> None:
        """A run of this process is over."""
        self._running.pop(ticket.envelope.id, None)
        end = ticket.write_end(work)
        text = None
        if work.outcome is Outcome.SUCCEEDED and ticket.result.value is not None:
            job = self.dispatch.jobs.get(ticket.envelope.job)
            text = ticket.result.text(job.codec, job.name)

        def told(write: Write[JournalTables]) -> None:
            ticket.ended(write, work)
            if text is not None and write.answer:
                self._keep_result(ticket.envelope.id, text)
            if ticket.following is not None or ticket.envelope.job in self.limits():
                self.wake()

        end.then = told
        self.commits.submit(end)

    def refuse(self, envelope: Envelope, error: Exception) -> None:
        """A call that this process has taken out cannot be read: it is a dead letter."""
        _events.emit(
            _events.ERROR,
            "run.failed",
            error,
            job=envelope.job,
            run_id=envelope.id,
            attempt=envelope.attempt,
        )
        record = RunRecord(
            id=envelope.id,
            job=envelope.job,
            trigger="after",
            state=Outcome.FAILED,
            attempt=envelope.attempt,
            worker=self.dispatch.worker,
            error=describe(error),
        )
        owner = self.owner
        self.commits.submit(Write(lambda tables: fail(tables, envelope, owner, record)))

    def _keep_result(self, call: str, text: str) -> None:
        dispatch = self.dispatch
        try:
            ttl = dispatch.pipeline.settings.keep_for
            dispatch.store().put(PREFIX + call, text, ttl=ttl)
        except Exception as error:
            dispatch.notices.say_each_minute(
                "store.error", _events.ERROR, error, doing="keep the result of", run_id=call
            )

    def last_success_of(self, job: str) -> float | None:
        """When a job last succeeded. Blocks for a moment."""
        state = self.dispatch.store().jobs(job).get(job)
        return None if state is None else state.last_success_at

    # -- being alive

    def _start_beating(self) -> None:
        owner = self.owner
        if self._beats:
            return
        self._beats = True
        worker, ttl = self.dispatch.worker, self.dispatch.lease_seconds
        # Before anything is this process', in the same queue of writes.
        self.commits.submit(Write(lambda tables: tables.beat(owner, worker, ttl)))
        self.dispatch.keep_alive(self._beat)

    def _stop_beating(self) -> None:
        if self._beats:
            self._beats = False
            self.dispatch.let_die(self._beat)

    def _beat(self) -> None:
        """Says that this process is alive, and sees what it has lost and what is to end."""
        owner, dispatch = self.owner, self.dispatch
        running = dict(self._running)
        try:
            store: Any = dispatch.store()
            with store.journal("keep calls") as tables:
                own = set(tables.beat(owner, dispatch.worker, dispatch.lease_seconds))
            stops = store.notes(STOP_PREFIX) if running else {}
        except Exception as error:
            dispatch.notices.say_each_minute("store.error", _events.ERROR, error, doing="renew")
            return
        for call, work in running.items():
            ticket = work.ticket
            if not isinstance(ticket, JournalTicket) or call not in self._running:
                continue
            reason = stops.get(STOP_PREFIX + call)
            if call not in own:
                ticket.lost = True
                dispatch.stop(work, LEASE_LOST)
            elif reason is not None:
                store.delete(STOP_PREFIX + call)
                ticket.was_cancelled = True
                dispatch.stop(work, reason)

    # -- waking workers

    def wake(self) -> None:
        """There may be something to take out. From any thread."""
        for wake in list(self._wakers):
            wake()

    def listen(self, wake: Callable[[], None]) -> None:
        """Calls `wake` from now on."""
        self._wakers[wake] = None

    def unlisten(self, wake: Callable[[], None]) -> None:
        """Stops that."""
        self._wakers.pop(wake, None)

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        """See `Engine`."""
        await JournalWorker(self, concurrency).run(stop)

    # -- looking and deciding

    async def revive(self, run_ids: Sequence[str]) -> list[str]:
        """Makes new calls of dead letters. Returns their ids. Raises `StoreError`."""
        revived: list[str] = await self.commits.write(
            lambda tables: tables.revive(run_ids, run_id), self.dispatch.running_loop()
        )
        self.wake()
        return revived

    async def bury(self, run_ids: Sequence[str]) -> int:
        """Deletes dead letters. Returns how many. Raises `StoreError`."""
        count: int = await self.commits.write(
            lambda tables: tables.bury(run_ids), self.dispatch.running_loop()
        )
        return count

    async def status(self, run_id: str) -> str | None:
        """See `Engine`."""
        call = await self.dispatch.ask_here(
            lambda: self.read("read a call", lambda tables: tables.find(run_id))
        )
        return None if call is None else str(call.state)

    async def cancel(self, run_id: str) -> bool:
        """See `Engine`."""
        call = await self.commits.write(
            lambda tables: tables.withdraw(run_id), self.dispatch.running_loop()
        )
        return call is not None

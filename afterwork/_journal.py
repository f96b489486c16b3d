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
import weakref

from . import _events, _retry_codec, _trace
from ._engine import Capabilities
from ._envelope import MOST_CRASHES
from ._group_commit import GroupCommit, Write
from ._ids import run_id
from ._job_ticket import STOP_PREFIX
from ._journal_tables import Limits
from ._journal_ticket import JournalTicket
from ._journal_worker import POLL_SECONDS, JournalWorker
from ._journal_writes import Add, apply, fail
from ._outcome import Outcome
from ._results import Result
from ._run_record import describe
from ._store import LEASE_LOST, RunRecord, kept_error
from .errors import PermanentFailure

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
        self.commits: GroupCommit[JournalTables] = GroupCommit(self._begin, self._apply)
        self._lock = threading.Lock()
        self._owner = ""
        self._process = 0
        self._beats = False
        self._running: dict[str, Work] = {}
        self._late: list[Write[JournalTables]] = []
        """Ends that could not be written when they came."""
        self._wakers: dict[Callable[[], None], None] = {}
        self._served = False
        """Whether a worker has been there in this process."""
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
        _JOURNALS.add(self)

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
                    self._running, self._late = {}, []
                    self._process = os.getpid()
        return self._owner

    def now(self) -> float:
        """The store's clock."""
        return self.dispatch.chosen_store().now()

    def bind(self, run: RunEnvelope) -> None:
        """See `Engine`. The journal runs its calls itself."""

    async def close(self) -> None:
        """See `Engine`. Writes what is left to write. Where this process runs nothing any more, it
        is forgotten; else it has died once its lease is over."""
        owner = self.owner

        def leave(tables: JournalTables) -> None:
            if not tables.beat(owner, self.dispatch.worker, self.dispatch.lease_seconds):
                tables.forget_owner(owner)

        self._stop_beating()
        self._write_late()
        await self.commits.write(leave, self.dispatch.running_loop())

    def _begin(self, doing: str) -> Any:
        store: Any = self.dispatch.store()
        return store.journal(doing)

    def _apply(self, tables: JournalTables, batch: list[Write[JournalTables]]) -> None:
        if self._beats:  # in the same transaction that makes calls this process'
            tables.enter(self.owner, self.dispatch.worker, self.dispatch.lease_seconds)
        apply(tables, batch)

    def forked(self) -> None:
        """This is a forked child: what its parent was doing is not its own."""
        self._lock = threading.Lock()
        self._wakers, self._served = {}, False
        self.commits.forked()

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
            if added != envelope.id:
                work.id = added  # of the call with its key
            elif its_owner is not None:
                self._adopt(work, envelope)
        if not all(owners):
            self.wake()
            self._say_unserved()

    def _take_back(self, envelopes: Sequence[Envelope], owner: str) -> None:
        def take_back(tables: JournalTables) -> None:
            ids = [envelope.id for envelope in envelopes]
            own = tables.own(ids)
            tables.delete([call for call in ids if own.get(call, ("", 0))[0] == owner])
            for call in ids:
                tables.withdraw(call)

        self._end(Write(take_back))

    def _end(
        self,
        write: Write[JournalTables],
        told: Callable[[Write[JournalTables]], object] = lambda write: None,
    ) -> None:
        """Writes what has to be written sooner or later: until then its call belongs to this
        process, and nobody runs it."""

        def seen(write: Write[JournalTables]) -> None:
            if write.error is not None:
                with self._lock:
                    self._late.append(write)
            told(write)

        write.then = seen
        self.commits.submit(write)

    def _write_late(self) -> None:
        with self._lock:
            late, self._late = self._late, []
        for write in late:
            write.error = None
            self.commits.submit(write)

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
        """A run of a call that this process has taken out. Raises `PayloadError`, and
        `PermanentFailure` for one that was lost too often."""
        dispatch = self.dispatch
        if envelope.crashes > MOST_CRASHES:
            lost = f"given up: {envelope.crashes} of its runs ended with their process"
            raise PermanentFailure(lost)
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
        owner, names = self.owner, self.job_names()
        self._start_beating()
        store: Any = self.dispatch.store()
        with store.journal("take calls") as tables:
            tables.enter(owner, self.dispatch.worker, self.dispatch.lease_seconds)
            taken: list[Envelope] = tables.take(owner, names, self.limits(), most)
        return taken

    def give_back(self, envelopes: Sequence[Envelope]) -> None:
        """Lets others have calls that were taken out and not begun."""
        owner = self.owner

        def give_back(tables: JournalTables) -> None:
            for envelope in envelopes:
                tables.give_back(envelope, owner, envelope, None)

        if envelopes:
            self._end(Write(give_back), lambda write: self.wake())

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

        def told(write: Write[JournalTables]) -> None:
            ticket.ended(write, work)
            if ticket.following is not None or ticket.envelope.job in self.limits():
                self.wake()
            if ticket.following is not None:
                self._say_unserved()

        self._end(ticket.write_end(work), told)

    def refuse(self, envelope: Envelope, error: Exception) -> None:
        """A call that this process has taken out cannot be run: it is a dead letter."""
        _events.emit(
            _events.ERROR,
            "run.failed",
            error,
            job=envelope.job,
            run_id=envelope.id,
            attempt=envelope.attempt,
        )
        record = self._record(envelope, Outcome.FAILED, kept_error(describe(error)))
        owner = self.owner
        self._end(Write(lambda tables: fail(tables, envelope, owner, record)))

    def _record(self, envelope: Envelope, outcome: Outcome, error: str | None = None) -> RunRecord:
        return RunRecord(
            id=envelope.id,
            job=envelope.job,
            trigger="after",
            state=str(outcome),
            attempt=envelope.attempt,
            worker=self.dispatch.worker,
            error=error,
        )

    def last_success_of(self, job: str) -> float | None:
        """When a job last succeeded. Blocks for a moment."""
        state = self.dispatch.store().jobs(job).get(job)
        return None if state is None else state.last_success_at

    # -- being alive

    def _start_beating(self) -> None:
        if not self._beats:
            self._beats = True
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
            for call in stops.keys() & {STOP_PREFIX + call for call in running}:
                store.delete(call)  # a later attempt is not meant
        except Exception as error:
            dispatch.notices.say_each_minute("store.error", _events.ERROR, error, doing="renew")
            return
        self._write_late()
        for call, work in running.items():
            ticket = work.ticket
            if not isinstance(ticket, JournalTicket) or call not in self._running:
                continue
            reason = stops.get(STOP_PREFIX + call)
            if call not in own:
                ticket.lost = True
                dispatch.stop(work, LEASE_LOST)
            elif reason is not None:
                ticket.was_cancelled = True
                dispatch.stop(work, reason)

    # -- waking workers

    def wake(self) -> None:
        """There may be something to take out. From any thread."""
        for wake in list(self._wakers):
            wake()

    def listen(self, wake: Callable[[], None]) -> None:
        """Calls `wake` from now on."""
        self._served = True
        self._wakers[wake] = None

    def unlisten(self, wake: Callable[[], None]) -> None:
        """Stops that."""
        self._wakers.pop(wake, None)

    def _say_unserved(self) -> None:
        """A call waits, and nothing in this process will ever take it out. From any thread."""
        pipeline = self.dispatch.pipeline
        wanted = pipeline.settings.worker is not False
        if wanted and pipeline.worker is None and not self._served:
            pipeline.notices.say_once(
                "worker.missing",
                pipeline.host.info.name,
                "a durable call waits (delayed, tried again, or held back by a limit), and no "
                "worker runs in this process: that takes asyncio, the lifespan, and a host that "
                "does not freeze it. See to that, or run one beside it, afterwork worker; with "
                "worker=False this is silent",
            )

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
        """See `Engine`. What is taken back has a record that says so."""

        def cancel(tables: JournalTables) -> bool:
            call = tables.withdraw(run_id)
            if call is not None:
                tables.record([self._record(call.envelope, Outcome.CANCELLED)])
            return call is not None

        cancelled: bool = await self.commits.write(cancel, self.dispatch.running_loop())
        return cancelled


_JOURNALS: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork() -> None:
    for journal in list(_JOURNALS):
        journal.forked()


# Windows has no fork.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)

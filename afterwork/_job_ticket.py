"""A run of a job, as far as the store has a say in it: claim, lease, record.

1. Whatever can be known without the store is asked first: paused, environment, time of day, `when`.
   Such a run is skipped, and its record says why.
2. Then the claim: it makes a slot or a delivery run once. Who comes second is a duplicate, and no
   run.
3. Then the lease, if the job's runs must not overlap; what happens if it is taken is the job's
   `overlap`.
4. The store's failure never lets a run go that needed a claim or a lease (`on_store_error="run"`
   lets it). One that needed neither goes, unrecorded.
5. When the work is over, its end is recorded and the lease given back. Both are one step.
"""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Lock

from . import _catch_up, _events, _slots
from ._occurrence import short
from ._outcome import Outcome
from ._run_record import describe, write_end
from ._store import LEASE_LOST, RunRecord
from ._ticket import GO, Plain, Verdict
from .errors import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._job import Job
    from ._occurrence import Occurrence, Trigger
    from ._store import Store
    from ._work import Work

ENTER_TRIES = 3
"""How often the store is asked before it counts as down."""
PAUSE_SECONDS = 0.2
"""Between two tries; it doubles."""
FIRST_POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 1.0
REPLACED = "replaced by run"
"""Begins the reason of a run that had to make way for a newer one."""
STOP_PREFIX = "stop:"
"""Notes of the store under this and a run's id ask that run to end; their text is the reason."""


class JobTicket(Plain):
    """The ticket of one run of a job."""

    __slots__ = (
        "_asked_to_stop",
        "_entered",
        "_left",
        "_lock",
        "_poll",
        "_renewed_at",
        "_tries",
        "_verdict",
        "_work",
        "behind",
        "dispatch",
        "earlier_attempts",
        "first",
        "job",
        "lag_seconds",
        "last_success_at",
        "occurrence",
        "over",
        "run",
        "slot",
        "status",
        "token",
        "was_cancelled",
    )

    def __init__(self, dispatch: Dispatch, job: Job[..., Any], occurrence: Occurrence) -> None:
        self.dispatch = dispatch
        self.job = job
        self.occurrence = occurrence
        self.slot = occurrence.slot
        """The occurrence of the schedule that it is. A redelivery has that of its first attempt."""
        self.earlier_attempts = 0
        self.last_success_at: float | None = None
        self.lag_seconds: float | None = None
        self.token: int | None = None
        self.run: RunRecord | None = None
        """The record of its claim; None before it and where there is none."""
        self.behind: JobTicket | None = None
        """The run of an earlier slot that goes first: of several slots that were missed."""
        self.over = False
        """Its end is recorded, and its lease given back."""
        self.first: RunRecord | None = None
        """The run that it is a duplicate of."""
        self.status: str | None = None
        """Why it did not run: `duplicate`, `paused`, `skipped` or `unavailable`."""
        self.was_cancelled = False
        """Somebody asked this very run to end."""
        self._lock = Lock()
        self._left = False
        self._work: Work | None = None
        self._tries = 0
        self._poll = FIRST_POLL_SECONDS
        self._asked_to_stop = False
        self._entered = False
        self._verdict: Verdict | None = None
        self._renewed_at = 0.0

    @property
    def blocks(self) -> bool:
        """Whether the store does, or the job's condition may."""
        return self.dispatch.blocks or self.job.policy.when is not None

    @property
    def trigger(self) -> Trigger:
        return self.occurrence.trigger

    @property
    def delivery(self) -> str | None:
        return self.occurrence.delivery

    @property
    def payload(self) -> object:
        return self.occurrence.payload

    # -- before

    def enter(self, work: Work) -> Verdict:
        with self._lock:
            if self._left:
                return Verdict(outcome=Outcome.CANCELLED)
            if self.behind is not None and not self.behind.over:
                return Verdict(wait=self._next_poll())
            self.behind = None
            if self._verdict is None:
                verdict = self._ask(work)
                if verdict.outcome is None:
                    return verdict
                self._verdict = verdict
            return self._verdict

    def _ask(self, work: Work) -> Verdict:
        self._work = work
        try:
            verdict = self._enter(self.dispatch.store(), work)
        except StoreError as error:
            return self._without_store(error)
        except BaseException as error:  # a `when`, or a store that raises what no store may
            return Verdict(outcome=Outcome.FAILED, error=error)
        self._tries = 0
        return verdict

    def _enter(self, store: Store, work: Work) -> Verdict:
        if self.run is None:
            state = store.jobs(self.job.name).get(self.job.name)
            self.last_success_at = None if state is None else state.last_success_at
            paused = state is not None and state.pause is not None
            self.dispatch.reap()  # whoever died with the lease is taken down before it is taken
            refusal = self._claim(store, work, paused)
            if refusal is not None:
                return refusal
        assert self.run is not None
        exclusive = self.job.policy.overlap != "allow"
        lock = self.job.name if exclusive else None
        ttl = self.dispatch.lease_seconds
        lease = store.acquire(self.run.id, lock, ttl=ttl)
        if lease.mine:
            self.lag_seconds = self._lag()
            self.token = lease.token if exclusive else None
            self._entered = True
            self._keep()
            return GO
        if not lease.holder:
            return self._lost(store)
        return self._overlap(store, self.run, lease.holder)

    def _claim(self, store: Store, work: Work, paused: bool) -> Verdict | None:
        """Takes the slot. Returns a verdict where that is the end of it."""
        occurrence = self.occurrence
        reason: str | None = None
        problem: BaseException | None = None
        try:
            reason = self._refusal(paused) if occurrence.filtered else None
        except StoreError:
            raise  # the condition asked the store itself
        except BaseException as error:  # a condition that raises: a run that failed, with a record
            problem = error
        record = RunRecord(
            id=work.run_id,
            job=self.job.name,
            trigger=occurrence.trigger,
            state="claimed" if reason is None else Outcome.SKIPPED,
            slot=occurrence.slot,
            delivery=None if occurrence.delivery is None else short(occurrence.delivery),
            attempt=occurrence.attempt or 1,
            worker=self.dispatch.worker,
            reason=reason,
        )
        claim = store.claim(
            record,
            occurrence.keys,
            keep=self._keep_seconds(),
            ttl=self.dispatch.lease_seconds,
            # What is not to run now is not made a next attempt: nobody would end it.
            reopen=occurrence.reopens and reason is None,
        )
        if occurrence.caught_up and occurrence.slot is not None:
            dispatch, slot = self.dispatch, occurrence.slot
            _catch_up.done(store, self.job.name, slot, dispatch.worker, dispatch.lease_seconds)
        if not claim.mine:
            self.status, self.first = "duplicate", claim.run
            return Verdict(outcome=Outcome.SKIPPED, reason=f"a duplicate of run {claim.run.id}")
        if reason is not None:
            self.status = "paused" if paused else "skipped"
            return Verdict(outcome=Outcome.SKIPPED, reason=reason)
        self.run = claim.run
        self.slot = claim.run.slot
        self.earlier_attempts = claim.run.attempt - 1
        work.id = claim.run.id
        if problem is not None:
            raise problem
        return None

    def _keep_seconds(self) -> float:
        """How long its keys count."""
        return self.dispatch.keep_seconds(self.job)

    def _refusal(self, paused: bool) -> str | None:
        """Why it is not to run, whoever else is running."""
        policy = self.job.policy
        if paused:
            return "paused"
        if policy.environments and self.dispatch.environment not in policy.environments:
            here = self.dispatch.environment or "not named (set AFTERWORK_ENV)"
            return f"only in {', '.join(policy.environments)}; this environment is {here}"
        if policy.between is not None and not policy.between.holds(self.dispatch.clock.now()):
            return f"only between {policy.between}"
        if policy.when is not None and not policy.when():
            return "its condition (when=) is not met"
        return None

    def _lag(self) -> float | None:
        slot = self.occurrence.slot
        if self.occurrence.trigger != "schedule" or slot is None:
            return None
        due = _slots.jittered(self.job.name, slot, self.job.policy.jitter)
        return round(self.dispatch.clock.now() - due, 3)

    def _overlap(self, store: Store, run: RunRecord, holder: str) -> Verdict:
        """Another run of the job is on its way."""
        job = self.job
        if job.policy.overlap == "skip" and self.occurrence.caught_up:
            self._keep()  # the slot before it, in whatever process: this one has its turn, too
            return Verdict(wait=self._next_poll())
        if job.policy.overlap == "skip":
            reason = f"run {holder} is still running"
            self._record_end(Outcome.SKIPPED, reason=reason)
            self.status = "skipped"
            return Verdict(outcome=Outcome.SKIPPED, reason=reason)
        if job.policy.overlap == "replace" and not self._asked_to_stop:
            store.stop(job.name, f"{REPLACED} {run.id}")
            self._asked_to_stop = True
            self.dispatch.wake(job.name)
        if not store.wait(run.id, job.name):
            return self._lost(store)
        self._keep()
        return Verdict(wait=self._next_poll())

    def _next_poll(self) -> float:
        wait, self._poll = self._poll, min(self._poll * 2, LONGEST_POLL_SECONDS)
        return wait

    def _lost(self, store: Store) -> Verdict:
        """The run was ended by somebody else while it waited."""
        assert self.run is not None
        record = store.run(self.run.id)
        self.run, self.status = None, "skipped"
        self._drop()
        reason = "its record is gone" if record is None else record.reason or record.state
        return Verdict(outcome=Outcome.SKIPPED, reason=reason)

    def _without_store(self, error: StoreError) -> Verdict:
        self._tries += 1
        if self._tries < ENTER_TRIES:
            return Verdict(wait=PAUSE_SECONDS * 2**self._tries)
        self._report(error, "run")
        if self._is_free or self.dispatch.runs_without_store:
            return GO
        self.status = "unavailable"
        return Verdict(outcome=Outcome.FAILED, reason="the store is not available", error=error)

    # -- while it runs

    def renew(self) -> None:
        """Keeps the lease. Where it is lost, or somebody wants the run to end, it is stopped."""
        run, work = self.run, self._work
        if run is None or work is None:
            return
        asked_at = time.monotonic()
        try:
            store = self.dispatch.store()
            reason = store.renew(run.id, ttl=self.dispatch.lease_seconds)
            self._renewed_at = asked_at
            if reason is None and (reason := store.get(STOP_PREFIX + run.id)) is not None:
                store.delete(STOP_PREFIX + run.id)  # a later attempt is not meant
                self.was_cancelled = True
        except Exception as error:
            self._report(error, "renew")
            late = asked_at - self._renewed_at
            reason = LEASE_LOST if late > self.dispatch.lease_seconds else None
        if reason == LEASE_LOST and (self._is_free or not self._entered):
            return  # it has none to lose; one that waits for a lease finds out where it stands
        if reason is not None:
            self.dispatch.stop(work, reason)

    @property
    def _is_free(self) -> bool:
        """Whether it runs whatever others do, so that the store has no say in it."""
        return not self.occurrence.keys and self.job.policy.overlap == "allow"

    def _keep(self) -> None:
        self._renewed_at = time.monotonic()
        self.dispatch.keep(self)

    def _drop(self) -> None:
        self.dispatch.drop(self)

    # -- after

    def leave(self, work: Work) -> None:
        with self._lock:
            self._left = True
            self._drop()
            outcome = work.outcome
            assert outcome is not None
            self._record_end(outcome, work.cut, work.error, work)
            self._work = None
            self.over = True

    def _record_end(
        self,
        outcome: Outcome,
        reason: str | None = None,
        error: BaseException | None = None,
        work: Work | None = None,
    ) -> None:
        run, self.run = self.run, None
        if run is None:
            return
        record = replace(
            run,
            state=str(outcome),
            attempt=self.earlier_attempts + (1 if work is None else work.attempt),
            duration=None if work is None else work.duration,
            reason=reason,
            error=None if error is None else describe(error),
        )
        write_end(self.dispatch, record)

    def _report(self, error: Exception, doing: str) -> None:
        self.dispatch.notices.say_each_minute(
            "store.error", _events.ERROR, error, job=self.job.name, doing=doing
        )

"""A run that an engine delivered, as far as the store has a say in it.

It is a run of a job like any other. Only its claim differs: an engine may deliver a call twice, or
again because its worker died, and those two have to be told apart.

The plan for a next attempt is kept in the store before the end of this one is written. So whoever
finds a run that has ended also finds whether it goes on, even if its worker died before the engine
had the plan.
"""

from __future__ import annotations

from dataclasses import replace

from ._envelope import MOST_CRASHES
from ._ids import run_id
from ._job_ticket import JobTicket
from ._occurrence import Occurrence
from ._outcome import Outcome
from ._ticket import Verdict
from .errors import PermanentFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._envelope import Envelope
    from ._job import Job
    from ._store import Store
    from ._work import Work
    from .errors import StoreError

CALLER = "engine"
STARTING = "starting:"
"""Notes of the store under this and a call's id: a delivery of it is about to begin its run."""
DEAD = "dead:"
"""Notes of the store under this and a call's id: the envelope of a call that is a dead letter."""
PLANNED = "planned:"
"""Notes of the store under this and a call's id: the envelope of its next attempt."""
KEEP_SECONDS = 7 * 86_400.0
"""How long after a delivery another one of it is still known, beside the longest delay."""
WAIT_SECONDS = 5.0
"""After how long what could not be written down is tried again."""
DIED = "abandoned"
"""How a run ended that nobody ended, so that a delivery of it goes on."""


class DeliveryTicket(JobTicket):
    """The ticket of one delivery of a durable call. `problem`: why it cannot be run at all."""

    __slots__ = ("_mark", "_postponed", "envelope", "following", "problem")

    def __init__(
        self,
        dispatch: Dispatch,
        job: Job[..., Any],
        envelope: Envelope,
        problem: Exception | None = None,
    ) -> None:
        super().__init__(
            dispatch,
            job,
            Occurrence("after", delivery=envelope.id, caller=CALLER, attempt=envelope.attempt),
        )
        self.envelope = envelope
        self.problem = problem
        self.earlier_attempts = envelope.attempt - 1
        self.following: Envelope | None = None
        """The next attempt, which the engine is to take in."""
        self._postponed = False
        self._mark = run_id()

    @property
    def comes_again(self) -> bool:
        """The engine has it."""
        return True

    @property
    def crashes(self) -> int:
        """How many of the attempts before this one ended with their process."""
        return self.envelope.crashes + self.earlier_attempts + 1 - self.envelope.attempt

    @property
    def earlier_failures(self) -> int:
        """How many of the attempts before this one failed."""
        return self.earlier_attempts - self.crashes

    def _keep_seconds(self) -> float:
        retry = None if self._work is None else self._work.options.retry
        longest = getattr(retry, "max_delay", 0.0)
        return KEEP_SECONDS + 2 * float(longest)

    def _claim(self, store: Store, work: Work, paused: bool) -> Verdict | None:
        call = self.envelope.id
        before = store.run(call)
        if before is not None:
            work.id = self._mark  # the claim is this delivery's, the run that it opens again is not
            self.occurrence.reopens = before.state == DIED or before.attempt < self.envelope.attempt
        elif not self._is_first(store):
            self.status = "duplicate"
            return Verdict(outcome=Outcome.SKIPPED, reason="another delivery of it is starting")
        try:
            refusal = super()._claim(store, work, paused)
        finally:
            work.id = call
        if refusal is not None:
            return refusal
        problem = self.problem
        if problem is None and self.crashes > MOST_CRASHES:
            # Counted here: an engine that delivers again does not change the envelope.
            lost = f"given up: {self.crashes} of its runs ended with their process"
            problem = PermanentFailure(lost)
        return None if problem is None else Verdict(outcome=Outcome.FAILED, error=problem)

    def _is_first(self, store: Store) -> bool:
        """Whether this delivery begins the run: of two at the same moment only one may."""
        key, ttl = STARTING + self.envelope.id, self.dispatch.lease_seconds
        return store.add(key, self._mark, ttl=ttl) or store.get(key) == self._mark

    def _without_store(self, error: StoreError) -> Verdict:
        verdict = super()._without_store(error)
        if self.status is None:
            return verdict
        return Verdict(outcome=Outcome.SKIPPED, reason=verdict.reason)  # it comes again

    def again(self, work: Work, delay: float, error: BaseException) -> bool:
        """The attempt failed and another is to be made: the engine keeps it until then."""
        self.following = self._next(self.dispatch.clock.now() + delay)
        self._postponed = True
        return True

    def _next(self, run_at: float | None, *, crashed: bool = False) -> Envelope:
        return replace(
            self.envelope.again(run_at),
            attempt=self.earlier_attempts + 2,
            crashes=self.crashes + crashed,
        )

    def leave(self, work: Work) -> None:
        if self._postponed:
            work.outcome = Outcome.FAILED  # of this attempt, which is what the record tells
        elif self._was_cut(work):
            self.following = self._next(None, crashed=True)
        if not self._keep_what_follows(work) or self.status == "unavailable":
            self.run = None  # its record stays open, so that the run counts as one that died
        super().leave(work)

    def _was_cut(self, work: Work) -> bool:
        """Whether it did not end by itself, nor by somebody's wish: another attempt is to be made
        at once."""
        return (
            self.status is None
            and work.cut is not None
            and work.outcome is not Outcome.SUCCEEDED
            and not self.was_cancelled
        )

    def _keep_what_follows(self, work: Work) -> bool:
        """Keeps the plan for the next attempt, or the dead letter of a call that is over without
        success. Returns False where that cannot be done."""
        call, over = self.envelope.id, work.outcome in (Outcome.FAILED, Outcome.TIMED_OUT)
        try:
            if self.following is not None:
                text, ttl = self.following.to_json(), self._keep_seconds()
                self.dispatch.store().put(PLANNED + call, text, ttl=ttl)
            elif over and self.status is None:
                self.dispatch.store().put(DEAD + call, self.envelope.to_json())
        except Exception as error:  # whatever it is: the work is over
            self._report(error, "keep what follows")
            if self.following is None:
                self.following = self._next(self.dispatch.clock.now() + WAIT_SECONDS, crashed=True)
            return False
        return True

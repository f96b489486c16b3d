"""A run that an engine delivered, as far as the store has a say in it.

It is a run of a job like any other. Only its claim differs: an engine may deliver a call twice, or
again because its worker died, and those two have to be told apart.
"""

from __future__ import annotations

from dataclasses import replace

from ._ids import run_id
from ._job_ticket import JobTicket
from ._occurrence import Occurrence
from ._outcome import Outcome
from ._ticket import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._envelope import Envelope
    from ._job import Job
    from ._store import Store
    from ._work import Work

CALLER = "engine"
STARTING = "starting:"
"""Notes of the store under this and a call's id: a delivery of it is about to begin its run."""
KEEP_SECONDS = 7 * 86_400.0
"""How long after a delivery another one of it is still known, beside the longest delay."""
GIVEN_BACK = ("cancelled", "abandoned")
"""How a run ended that did not end by itself, so that a delivery of it goes on."""


class DeliveryTicket(JobTicket):
    """The ticket of one delivery of a durable call."""

    __slots__ = ("_mark", "_postponed", "envelope", "following")

    def __init__(self, dispatch: Dispatch, job: Job[..., Any], envelope: Envelope) -> None:
        super().__init__(
            dispatch,
            job,
            Occurrence("after", delivery=envelope.id, caller=CALLER, attempt=envelope.attempt),
        )
        self.envelope = envelope
        self.following: Envelope | None = None
        """The next attempt, which the engine is to take in."""
        self._postponed = False
        self._mark = run_id()

    @property
    def crashes(self) -> int:
        """How many of the attempts before this one ended with their process."""
        return self.envelope.crashes + self.earlier_attempts + 1 - self.envelope.attempt

    @property
    def earlier_failures(self) -> int:
        """How many of the attempts before this one failed."""
        return self.earlier_attempts - self.crashes

    def _keep_seconds(self) -> float:
        retry = self.job.options.retry
        longest = getattr(retry, "max_delay", 0.0)
        return KEEP_SECONDS + 2 * float(longest)

    def _claim(self, store: Store, work: Work, paused: bool) -> Verdict | None:
        call = self.envelope.id
        before = store.run(call)
        if before is not None:
            work.id = None  # the claim is this delivery's, and the run that it opens again is not
            self.occurrence.reopens = (
                before.state in GIVEN_BACK or before.attempt < self.envelope.attempt
            )
        elif not self._is_first(store):
            self.status = "duplicate"
            return Verdict(outcome=Outcome.SKIPPED, reason="another delivery of it is starting")
        refusal = super()._claim(store, work, paused)
        work.id = call
        return refusal

    def _is_first(self, store: Store) -> bool:
        """Whether this delivery begins the run: of two at the same moment only one may."""
        key, ttl = STARTING + self.envelope.id, self.dispatch.lease_seconds
        return store.add(key, self._mark, ttl=ttl) or store.get(key) == self._mark

    def again(self, work: Work, delay: float, error: BaseException) -> bool:
        """The attempt failed and another is to be made: the engine keeps it until then."""
        self.following = self._next(self.dispatch.clock.now() + delay)
        self._postponed = True
        return True

    def give_back(self, *, crashed: bool) -> None:
        """The attempt was cut: another is to be made at once."""
        self.following = self._next(None, crashed=crashed)

    def _next(self, run_at: float | None, *, crashed: bool = False) -> Envelope:
        return replace(
            self.envelope.again(run_at),
            attempt=self.earlier_attempts + 2,
            crashes=self.crashes + crashed,
        )

    def leave(self, work: Work) -> None:
        if self._postponed:
            work.outcome = Outcome.FAILED  # of this attempt, which is what the record tells
        super().leave(work)

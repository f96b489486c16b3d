"""Runs what an engine delivers: the door for durable calls that run somewhere else.

1. It ends in one of two ways: the call is over, or there is an envelope for its next attempt. What
   the engine does with either is its own.
2. A delivery never ends by being unknown, early, doubled or cut: then it comes again later.
3. A call that is over without success is a dead letter. Its envelope is kept in the store until
   somebody retries or deletes it.
"""

from __future__ import annotations

from dataclasses import replace

from . import _events, _results, _trace
from ._delivery_ticket import DEAD, DIED, PLANNED, WAIT_SECONDS, DeliveryTicket
from ._envelope import Envelope
from ._outcome import Outcome
from ._retry_codec import options_for
from ._store import LIVE, RunRecord
from .errors import PayloadError, PermanentFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._dispatch import Dispatch
    from ._job import Job
    from ._work import Work

EARLY_SECONDS = 0.001
UNKNOWN_WAIT_SECONDS = 30.0
"""When a call for a job that this worker does not know is tried again: by then another worker may
have it, or this one's deploy is over."""
UNKNOWN_SECONDS = 86_400.0
"""How long that is tried, from the first delivery on: a call may have been delayed for longer."""
UNKNOWN = "unknown:"
"""Notes of the store under this and a call's id: since when that is tried."""
BEHIND_SECONDS = 0.1
"""How long after the end of another's lease its run is looked at again."""


class Deliveries:
    """Runs the envelopes of one `Afterwork`."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch

    async def run(self, envelope: Envelope, *, deadline: float | None = None) -> Envelope | None:
        """Runs a call to the end of this attempt, which is cut at `deadline` by the monotonic
        clock. Returns the next one, or None when it is over. Raises nothing but cancellation."""
        dispatch = self.dispatch
        now = dispatch.clock.now()
        if envelope.run_at is not None and envelope.run_at > now + EARLY_SECONDS:
            return replace(envelope, key=None)
        job = dispatch.jobs.find(envelope.job)
        if job is None or not job.policy.durable:
            return await self._unknown(envelope, now)
        problem: PayloadError | None = None
        try:
            args, kwargs = job.codec.decode(envelope.payload)
            options = options_for(job, envelope, dispatch.pipeline.settings.retry)
        except PayloadError as error:
            args, kwargs, options, problem = (), {}, job.options, error
        ticket = DeliveryTicket(dispatch, job, envelope, problem)
        work = dispatch.order_call(job, args, kwargs)
        work.id = envelope.id
        work.ticket = ticket
        work.options = options
        _trace.restore(envelope.trace, work.context)
        result = _results.Result()
        result.watch(work)
        loop = dispatch.running_loop()
        dispatch.begin(work, loop, deadline)
        await dispatch.see_through(work, loop)
        return await self._settle(envelope, job, work, ticket, result)

    async def _settle(
        self,
        envelope: Envelope,
        job: Job[..., Any],
        work: Work,
        ticket: DeliveryTicket,
        result: _results.Result,
    ) -> Envelope | None:
        """What follows from how a run ended."""
        if ticket.following is not None:
            return ticket.following
        if ticket.status == "unavailable":
            return self._later(envelope, WAIT_SECONDS)
        if work.outcome is Outcome.SKIPPED:
            return await self._behind(envelope, ticket)
        if work.outcome is Outcome.SUCCEEDED:
            text = result.text(job.codec, job.name)
            if text is not None:
                await self._keep(_results.PREFIX + envelope.id, text)
        return None

    async def _behind(self, envelope: Envelope, ticket: DeliveryTicket) -> Envelope | None:
        """Another delivery of this call was there first."""
        first = ticket.first
        if first is None:  # another delivery is starting, or somebody else has ended this run
            return self._later(envelope, BEHIND_SECONDS + self.dispatch.lease_seconds)
        if first.state in LIVE:  # it may die yet
            alive = (first.alive_until or 0.0) - self.dispatch.clock.now()
            return self._later(envelope, max(alive, 0.0) + BEHIND_SECONDS)
        if first.state == DIED:  # it did between the look at it and the claim
            return self._later(envelope, WAIT_SECONDS)
        # It may have died between the end of the attempt and telling the engine of the next.
        try:
            plan = await self.dispatch.ask_here(
                lambda: self.dispatch.store().get(PLANNED + envelope.id)
            )
        except Exception as error:
            self._say(error, envelope.job)
            return self._later(envelope, WAIT_SECONDS)
        following = None if plan is None else Envelope.from_json(plan)
        if following is None or following.attempt != first.attempt + 1:
            return None  # it is over, or a later attempt is
        return following

    def _later(self, envelope: Envelope, seconds: float) -> Envelope:
        return replace(envelope, key=None, run_at=self.dispatch.clock.now() + seconds)

    async def _unknown(self, envelope: Envelope, now: float) -> Envelope | None:
        self.dispatch.notices.say_each_minute(
            "engine.unknown_job",
            _events.ERROR,
            job=envelope.job,
            run_id=envelope.id,
            note="no job of that name is registered here as durable=True; its call waits",
        )
        key = UNKNOWN + envelope.id

        def first_seen() -> float:
            store = self.dispatch.store()
            store.add(key, repr(now), ttl=2 * UNKNOWN_SECONDS)
            return float(store.get(key) or now)

        try:
            since = await self.dispatch.ask_here(first_seen)
        except Exception as error:
            self._say(error, envelope.job)
            since = now
        if now - since < UNKNOWN_SECONDS:
            return self._later(envelope, UNKNOWN_WAIT_SECONDS)
        return await self._give_up(envelope, PermanentFailure("no worker knows this job"))

    async def _give_up(self, envelope: Envelope, error: Exception) -> Envelope | None:
        """Takes down a call that cannot be run at all."""
        dispatch = self.dispatch
        _events.emit(
            _events.ERROR,
            "run.failed",
            error,
            job=envelope.job,
            run_id=envelope.id,
            attempt=envelope.attempt,
        )
        from ._run_record import describe

        record = RunRecord(
            id=envelope.id,
            job=envelope.job,
            trigger="after",
            state=Outcome.FAILED,
            delivery=envelope.id,
            attempt=envelope.attempt,
            worker=dispatch.worker,
            error=describe(error),
        )
        letter = envelope.to_json()

        def write() -> None:
            store = dispatch.store()
            store.claim(record, (), keep=0, ttl=0)
            store.put(DEAD + envelope.id, letter)

        try:
            await dispatch.ask_here(write)
        except Exception as problem:
            self._say(problem, envelope.job)
            return self._later(envelope, WAIT_SECONDS)
        return None

    async def _keep(self, key: str, text: str) -> None:
        dispatch = self.dispatch
        ttl = dispatch.pipeline.settings.keep_for
        try:
            await dispatch.ask_here(lambda: dispatch.store().put(key, text, ttl=ttl))
        except Exception as error:
            self._say(error, key)

    def _say(self, error: Exception, what: str) -> None:
        self.dispatch.notices.say_each_minute(
            "store.error", _events.ERROR, error, doing="keep what became of", what=what
        )

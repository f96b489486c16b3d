"""A run that this process owns in the journal: how it ends is one write, shared with others."""

from __future__ import annotations

from . import _events
from ._group_commit import Write
from ._journal_writes import End, fail
from ._outcome import Outcome
from ._results import PREFIX
from ._run_record import describe
from ._store import RunRecord, kept_error
from ._ticket import GO, Plain, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from ._envelope import Envelope
    from ._job import Job
    from ._journal import Journal
    from ._journal_tables import JournalTables
    from ._results import Result
    from ._work import Work

CANCELLED_HERE = ("cancelled", "replaced")
"""Why a call was taken back before it ran: by its own request."""


class JournalTicket(Plain):
    """The ticket of one run of a durable call that the journal says is this process'."""

    __slots__ = ("envelope", "following", "job", "journal", "lost", "result", "was_cancelled")

    trigger: Literal["after", "schedule", "http", "manual", "retry"] = "after"
    slot: int | None = None
    payload: object = None
    lag_seconds: float | None = None
    token: int | None = None
    blocks = False

    def __init__(
        self, journal: Journal, job: Job[..., Any], envelope: Envelope, result: Result
    ) -> None:
        self.journal = journal
        self.job: Job[..., Any] | None = job
        self.envelope = envelope
        self.result = result
        self.following: Envelope | None = None
        """The next attempt, once this one has failed and another is to be made."""
        self.was_cancelled = False
        """Somebody asked this very run to end."""
        self.lost = False
        """Another process has it by now."""

    @property
    def delivery(self) -> str | None:
        """None: nobody delivered it."""
        return None

    @property
    def earlier_attempts(self) -> int:
        """How many attempts the call had before."""
        return self.envelope.attempt - 1

    @property
    def earlier_failures(self) -> int:
        """How many of them failed, and did not end with their process."""
        return self.envelope.attempt - 1 - self.envelope.crashes

    @property
    def last_success_at(self) -> float | None:
        """When the job last succeeded. Asks the store."""
        return self.journal.last_success_of(self.envelope.job)

    @property
    def admitted(self) -> bool:
        """Its condition was met when it was written."""
        return True

    @property
    def comes_again(self) -> bool:
        """The journal has it."""
        return True

    def again(self, work: Work, delay: float, error: BaseException) -> bool:
        """The attempt failed and another is to be made: the journal keeps it until then."""
        self.following = self.envelope.again(self.journal.now() + delay)
        return True

    def enter(self, work: Work) -> Verdict:
        return Verdict(outcome=Outcome.CANCELLED) if self.lost else GO

    def leave(self, work: Work) -> None:
        self.journal.left(self, work)

    def write_end(self, work: Work) -> Write[JournalTables]:
        """What is to be written now that the work is over. Its answer says whether the run was
        still this process'."""
        envelope, owner, outcome = self.envelope, self.journal.owner, work.outcome
        error = None if work.error is None else kept_error(describe(work.error))
        if self.following is None and outcome in (Outcome.CANCELLED, Outcome.ABANDONED):
            withdrawn = work.started is None and work.cut in CANCELLED_HERE
            if not withdrawn and not self.was_cancelled:
                self.following = envelope.again(None, crashed=True)
        following = self.following
        if following is not None:
            return Write(lambda tables: tables.give_back(envelope, owner, following, error))
        record = RunRecord(
            id=envelope.id,
            job=envelope.job,
            trigger=self.trigger,
            state=str(outcome),
            attempt=envelope.attempt,
            worker=self.journal.dispatch.worker,
            duration=work.duration,
            reason=work.cut,
            error=error,
        )
        if outcome in (Outcome.FAILED, Outcome.TIMED_OUT):
            return Write(lambda tables: fail(tables, envelope, owner, record))
        return End(envelope, owner, record, self._result(work))

    def _result(self, work: Work) -> tuple[str, str, float] | None:
        """What is to be kept of what it returned."""
        job = self.job
        if work.outcome is not Outcome.SUCCEEDED or self.result.value is None or job is None:
            return None
        text = self.result.text(job.codec, job.name)
        if text is None:
            return None
        return PREFIX + self.envelope.id, text, work.queue.owner.settings.keep_for

    def ended(self, write: Write[JournalTables], work: Work) -> None:
        """Told in the writing thread what became of it."""
        if write.error is not None:
            self.journal.dispatch.notices.say_each_minute(
                "store.error",
                _events.ERROR,
                write.error,
                job=self.envelope.job,
                doing="record the end of",
                outcome=None if work.outcome is None else str(work.outcome),
            )
        elif not write.answer:
            _events.emit(
                _events.WARNING,
                "run.lease_lost",
                job=self.envelope.job,
                run_id=self.envelope.id,
                outcome=None if work.outcome is None else str(work.outcome),
                note="somebody else has this call by now; this run's outcome is only here",
            )

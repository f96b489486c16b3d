"""Records callbacks that failed or were slow. It is given to them when they are over, so it has no
say in whether they run."""

from __future__ import annotations

from . import _events
from ._outcome import Outcome
from ._run_record import describe
from ._store import RunRecord
from ._ticket import GO, Plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from ._dispatch import Dispatch
    from ._job import Job
    from ._ticket import Verdict
    from ._work import Work

PREFIX = "after:"
"""Begins the names of callbacks in the store, so that none is taken for a job."""


class CallbackTicket(Plain):
    """The ticket of all callbacks of an app that are over and worth a record."""

    __slots__ = ("dispatch",)

    trigger: Literal["after", "schedule", "http", "manual", "retry"] = "after"
    job: Job[..., Any] | None = None
    slot: int | None = None
    delivery: str | None = None
    payload: object = None
    earlier_attempts = 0
    last_success_at: float | None = None
    lag_seconds: float | None = None
    token: int | None = None

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch

    @property
    def blocks(self) -> bool:
        """Whether the store does."""
        return self.dispatch.blocks

    def give_to(self, work: Work) -> CallbackTicket | None:
        """This, if the app wants to keep a record of a callback that is over."""
        settings = self.dispatch.pipeline.settings
        outcome = work.outcome
        if settings.record == "none" or outcome is Outcome.SKIPPED:
            return None
        if settings.record == "all" or outcome is not Outcome.SUCCEEDED:
            return self
        return self if (work.duration or 0.0) >= settings.slow else None

    def enter(self, work: Work) -> Verdict:
        return GO

    def leave(self, work: Work) -> None:
        record = RunRecord(
            id=work.run_id,
            job=f"{PREFIX}{work.title}",
            trigger=self.trigger,
            state=str(work.outcome),
            attempt=work.attempt,
            worker=self.dispatch.worker,
            duration=work.duration,
            reason=work.cut,
            error=None if work.error is None else describe(work.error),
        )
        try:
            self.dispatch.store().claim(record, (), keep=0, ttl=0)
        except Exception as error:  # whatever it is: the callback is over
            self.dispatch.notices.say_each_minute(
                "store.error", _events.ERROR, error, callback=work.title, doing="record"
            )

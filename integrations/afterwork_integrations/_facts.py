"""What a reporter takes down of a run, in the run's own thread, to tell it later from another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from afterwork import Outcome, Run

__all__ = ["MAX_ERROR_TEXT", "OWN_JOBS", "Facts", "facts_of"]

MAX_ERROR_TEXT = 500
OWN_JOBS = "afterwork."
"""Begins the names of jobs that afterwork itself has, such as the pruning of its store."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A run, without what it holds on to: its arguments, its error and its error's frames."""

    name: str
    is_job: bool
    run_id: str
    trigger: str
    attempt: int
    outcome: Outcome | None
    error: str | None
    """The class of the error."""
    error_text: str | None
    """Its message, cut. It may hold secrets."""
    reason: str | None
    scheduled_for: datetime | None
    duration: float | None
    at: datetime

    @property
    def headline(self) -> str:
        """How it ended, for people: `failed: ValueError`. Without the error's message."""
        cause = self.error or self.reason
        return f"{self.outcome or 'started'}{f': {cause}' if cause else ''}"


def facts_of(run: Run) -> Facts:
    """What a run shows at this moment."""
    error = run.error
    return Facts(
        name=run.name,
        is_job=run.job is not None,
        run_id=run.id,
        trigger=run.trigger,
        attempt=run.attempt,
        outcome=run.outcome,
        error=None if error is None else type(error).__name__,
        error_text=None if error is None else _text(error),
        reason=run.stop_reason,
        scheduled_for=run.scheduled_for,
        duration=run.duration,
        at=datetime.now(UTC),
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_ERROR_TEXT]
    except Exception:  # it is somebody else's class
        return ""
